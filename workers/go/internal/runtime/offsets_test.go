package runtime

import "testing"

func TestOnlyOffsetsUpToTheOldestUnfinishedJobAreCommitted(t *testing.T) {
	o := newOffsets()
	if _, known := o.position(); known {
		t.Fatal("a position is known before anything was consumed")
	}
	for _, offset := range []int64{5, 6, 9} { // 7 and 8 are transaction markers
		o.consume(offset)
	}
	want := func(position int64) {
		t.Helper()
		if at, _ := o.position(); at != position {
			t.Errorf("the position is %d, not %d", at, position)
		}
	}
	want(5)
	o.finish(6)
	want(5)
	o.finish(5)
	want(9)
	o.finish(9)
	want(10)
	o.committed = 10
	if _, moved := o.moved(); moved {
		t.Error("a committed position is committed again")
	}
}
