package runtime

import (
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"kafkabridge/internal/protocol"
)

const (
	// clockSkew is how far the clocks of Airflow, workers and brokers may differ.
	clockSkew = 60 * time.Second
	// readEarlier is how much earlier a reading begins, so that slightly older requests need no second one.
	readEarlier = 60 * time.Second
)

// A history is what the response topic says of an unfinished job.
type history struct {
	delivery   int32 // the highest one seen
	released   int32 // how many RELEASED events there are
	isReleased bool  // whether the last event of the highest delivery is RELEASED
	sequence   int64 // of that event
	externalID *string
	checkpoint *string // of the last event that has one: not every worker knows checkpoints
}

// interrupted returns how many deliveries have ended without an event.
func (h history) interrupted() int32 { return max(0, h.delivery-h.released) }

// wasBroken tells whether the worker that had the job last is gone without giving it back.
func (h history) wasBroken() bool { return h.delivery > 0 && !h.isReleased }

func (h *history) add(event *protocol.StatusEvent) {
	if event.State == protocol.StateReleased {
		h.released++
	}
	if event.Delivery < h.delivery {
		return
	}
	h.delivery, h.sequence = event.Delivery, event.Sequence
	h.isReleased = event.State == protocol.StateReleased
	if event.ExternalID != nil {
		h.externalID = event.ExternalID
	}
	if saved := event.Checkpoint(); saved != nil {
		h.checkpoint = saved
	}
}

// A snapshot is what a response topic says of jobs since a time.
type snapshot struct {
	sinceMS    int64
	epoch      int   // the assignment up to which it counts
	err        error // why the topic cannot be used
	finished   map[jobID]struct{}
	unfinished map[jobID]*history
}

func newSnapshot(sinceMS int64, epoch int) *snapshot {
	s := &snapshot{sinceMS: sinceMS, epoch: epoch}
	s.clear()
	return s
}

// clear forgets what was read, so that the topic can be read again.
func (s *snapshot) clear() {
	s.finished, s.unfinished = map[jobID]struct{}{}, map[jobID]*history{}
}

// read adds a record of the response topic. What is not a status event is ignored.
func (s *snapshot) read(record *kgo.Record) {
	if record.Value == nil || record.Key == nil {
		return
	}
	id := idOf(record.Key)
	if s.isFinished(id) {
		return // the first terminal event wins
	}
	event, _, err := protocol.DecodeEvent(record.Value)
	if err != nil {
		return
	}
	if event.State.IsTerminal() {
		s.finished[id] = struct{}{}
		delete(s.unfinished, id)
		return
	}
	known := s.unfinished[id]
	if known == nil {
		known = &history{}
		s.unfinished[id] = known
	}
	known.add(event)
}

func (s *snapshot) isFinished(id jobID) bool {
	_, found := s.finished[id]
	return found
}

func (s *snapshot) historyOf(id jobID) history {
	if known := s.unfinished[id]; known != nil {
		return *known
	}
	return history{}
}

// covers tells whether the snapshot has all events of a job whose request is of this assignment.
func (s *snapshot) covers(createdAt int64, epoch int) bool {
	return s != nil && s.epoch >= epoch && s.sinceMS <= createdAt-clockSkew.Milliseconds()
}

// readingSince returns where a reading for a request begins.
func readingSince(createdAt int64) int64 {
	return createdAt - (clockSkew + readEarlier).Milliseconds()
}
