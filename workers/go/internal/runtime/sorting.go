package runtime

import (
	"cmp"
	"slices"
)

// sortByArrival sorts jobs by the time of their records, and those of a partition by their offsets.
func sortByArrival(jobs []*job) {
	slices.SortFunc(jobs, func(a, b *job) int {
		if a.partition.number == b.partition.number {
			return cmp.Compare(a.record.Offset, b.record.Offset)
		}
		return cmp.Or(a.record.Timestamp.Compare(b.record.Timestamp), cmp.Compare(a.partition.number, b.partition.number))
	})
}
