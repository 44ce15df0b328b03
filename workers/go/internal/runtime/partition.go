package runtime

import "kafkabridge/internal/kafka"

// A partition is one assignment of a partition of the request topic.
type partition struct {
	number  int32
	epoch   int // numbers the assignments of this process
	offsets *offsets
	leaving bool // it is being revoked: nothing of it starts

	backlogEnd int64 // where the partition ended when it was assigned; -1: not known yet
}

func newPartition(number int32, epoch int) *partition {
	return &partition{number: number, epoch: epoch, offsets: newOffsets(), backlogEnd: -1}
}

func (p *partition) setBacklog(extent kafka.Extent) {
	p.backlogEnd = extent.End
	if extent.Start >= extent.End {
		p.backlogEnd = 0 // there is none
	}
}

// hasReadBacklog tells whether all requests have arrived that were there when it was assigned.
func (p *partition) hasReadBacklog() bool {
	return p.backlogEnd >= 0 && p.offsets.next >= p.backlogEnd
}
