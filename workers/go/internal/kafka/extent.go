package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// Extent is the part of a partition that is there: the first offset, and the one after the last.
type Extent struct{ Start, End int64 }

// Extents returns the extent of each partition of a topic. The end is the high watermark.
func Extents(ctx context.Context, admin *kadm.Client, topic string) (map[int32]Extent, error) {
	starts, err := listed(admin.ListStartOffsets(ctx, topic))
	if err != nil {
		return nil, err
	}
	ends, err := listed(admin.ListEndOffsets(ctx, topic))
	if err != nil {
		return nil, err
	}
	extents := map[int32]Extent{}
	ends.Each(func(end kadm.ListedOffset) {
		start, _ := starts.Lookup(topic, end.Partition)
		extents[end.Partition] = Extent{start.Offset, end.Offset}
	})
	return extents, nil
}

func listed(offsets kadm.ListedOffsets, err error) (kadm.ListedOffsets, error) {
	if err == nil {
		err = offsets.Error()
	}
	if err == nil && len(offsets) == 0 {
		err = kerr.UnknownTopicOrPartition
	}
	return offsets, err
}

// extentsSince is like Extents, but each start is that of the first record since a time.
func extentsSince(ctx context.Context, admin *kadm.Client, topic string, sinceMS int64) (map[int32]Extent, error) {
	extents, err := Extents(ctx, admin, topic)
	if err != nil {
		return nil, err
	}
	since, err := listed(admin.ListOffsetsAfterMilli(ctx, max(0, sinceMS), topic))
	if err != nil {
		return nil, err
	}
	oldest, err := listed(admin.ListOffsetsAfterMilli(ctx, 0, topic))
	if err != nil {
		return nil, err
	}
	for partition, extent := range extents {
		// Some brokers for tests find nothing by time, whatever there is: then all is read.
		if found, ok := oldest.Lookup(topic, partition); !ok || found.Timestamp < 0 {
			continue
		}
		if found, ok := since.Lookup(topic, partition); ok {
			extents[partition] = Extent{max(extent.Start, found.Offset), extent.End}
		}
	}
	return extents, nil
}

// Backlog returns for each partition of a group's topic where the group continues, and where the topic ends.
func Backlog(ctx context.Context, admin *kadm.Client, group, topic string) (map[int32]Extent, error) {
	extents, err := Extents(ctx, admin, topic)
	if err != nil {
		return nil, err
	}
	committed, err := admin.FetchOffsetsForTopics(ctx, group, topic)
	if err == nil {
		err = committed.Error()
	}
	if err != nil {
		return nil, err
	}
	for partition, extent := range extents {
		if at, ok := committed.Lookup(topic, partition); ok && at.At >= 0 {
			extents[partition] = Extent{max(extent.Start, at.At), extent.End}
		}
	}
	return extents, nil
}
