package runtime

// offsets knows which offsets of one assignment of a partition are finished. Jobs end out of order, but
// only the offset up to which all are finished may be committed.
type offsets struct {
	next       int64 // the offset after the last record that was consumed
	unfinished map[int64]struct{}
	order      []int64 // of the unfinished offsets, ascending; it may have finished ones, too
	committed  int64   // what was committed last; -1: nothing
	consumed   bool
}

func newOffsets() *offsets {
	return &offsets{unfinished: map[int64]struct{}{}, committed: -1}
}

func (o *offsets) consume(offset int64) {
	o.next, o.consumed = offset+1, true
	o.unfinished[offset] = struct{}{}
	o.order = append(o.order, offset)
}

func (o *offsets) finish(offset int64) { delete(o.unfinished, offset) }

// position returns the offset to continue from after a crash; false if nothing was consumed.
func (o *offsets) position() (int64, bool) {
	for len(o.order) > 0 {
		if _, found := o.unfinished[o.order[0]]; found {
			return o.order[0], true
		}
		o.order = o.order[1:]
	}
	return o.next, o.consumed
}

// moved returns the position if it is not committed yet.
func (o *offsets) moved() (int64, bool) {
	at, known := o.position()
	return at, known && at != o.committed
}
