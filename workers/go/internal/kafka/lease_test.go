package kafka

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func TestALeaseLastsHalfASessionFromBeforeTheQuestion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const session, answer = 10 * time.Second, 2 * time.Second
		var refuses atomic.Bool
		lease := NewLease(session)
		if lease.IsValid() {
			t.Fatal("it is valid before the group was asked")
		}
		ctx, cancel := context.WithCancel(t.Context())
		go lease.Keep(ctx, time.Second, func(context.Context) error {
			time.Sleep(answer)
			if refuses.Load() {
				return errors.New("unknown member")
			}
			return nil
		})
		time.Sleep(time.Minute)
		synctest.Wait()
		if !lease.IsValid() {
			t.Error("it is not kept")
		}
		refuses.Store(true)
		time.Sleep(session/2 + answer)
		synctest.Wait()
		if lease.IsValid() {
			t.Error("it outlasts half a session")
		}
		cancel()
		time.Sleep(answer) // the goroutine ends
	})
}

func TestAReadingStopsAtAPositionAndNotAtARecord(t *testing.T) {
	left := newPositions(map[int32]Extent{0: {Start: 0, End: 5}, 1: {Start: 3, End: 3}})
	if len(left) != 1 {
		t.Fatalf("an empty partition is waited for: %v", left)
	}
	record := func(offset int64) *kgo.Record { return &kgo.Record{Partition: 0, Offset: offset} }
	left.read(record(3))
	if left.isPast(record(3)) || !left.isPast(record(5)) || len(left) != 1 {
		t.Error("the position is not kept")
	}
	left.read(record(7)) // 4 to 6 were removed
	if len(left) != 0 {
		t.Error("a partition that was read beyond its position is waited for")
	}
}
