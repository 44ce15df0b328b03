package runtime

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"kafkabridge/internal/protocol"
)

const someID = "6f1c2f0a-8d4e-4b57-9a53-0c7d1be0a001"

func eventRecord(t *testing.T, state protocol.State, delivery int32) *kgo.Record {
	t.Helper()
	value, err := protocol.EncodeEvent(&protocol.StatusEvent{
		CorrelationID: someID, EventID: "e", Delivery: delivery, State: state, WorkerID: "other",
		Attributes: map[string]string{},
	}, protocol.EncodingAvro)
	if err != nil {
		t.Fatal(err)
	}
	return &kgo.Record{Key: []byte(someID), Value: value}
}

func TestTheFirstTerminalEventWins(t *testing.T) {
	s := newSnapshot(0, 1)
	s.read(eventRecord(t, protocol.StateSucceeded, 1))
	s.read(eventRecord(t, protocol.StateAccepted, 2))
	if !s.isFinished(idOf([]byte(someID))) || len(s.unfinished) != 0 {
		t.Error("an event after the end reopens the job")
	}
}

func TestWhatIsNotAnEventIsIgnored(t *testing.T) {
	s := newSnapshot(0, 1)
	for _, value := range [][]byte{nil, {}, []byte("garbage"), []byte("{}"), {0xC3, 0x01, 'x'}} {
		s.read(&kgo.Record{Key: []byte(someID), Value: value})
	}
	if len(s.finished)+len(s.unfinished) != 0 {
		t.Error("garbage counts")
	}
}

func TestAnInterruptedJobHasItsHistory(t *testing.T) {
	s := newSnapshot(0, 1)
	s.read(eventRecord(t, protocol.StateAccepted, 1))
	s.read(eventRecord(t, protocol.StateReleased, 1))
	if s.historyOf(idOf([]byte(someID))).wasBroken() {
		t.Error("a released job counts as interrupted")
	}
	s.read(eventRecord(t, protocol.StateAccepted, 2))
	h := s.historyOf(idOf([]byte(someID)))
	if h.delivery != 2 || h.interrupted() != 1 || !h.wasBroken() {
		t.Errorf("got %+v", h)
	}
}

func TestACheckpointOutlivesAWorkerThatDoesNotKnowIt(t *testing.T) {
	h := &history{}
	add := func(delivery int32, attributes map[string]string) {
		h.add(&protocol.StatusEvent{Delivery: delivery, State: protocol.StateRunning, Attributes: attributes})
	}
	add(1, map[string]string{"checkpoint": "1"})
	add(2, nil)
	add(1, map[string]string{"checkpoint": "2"})
	add(2, map[string]string{"checkpoint": strings.Repeat("1", 4_001)})
	if h.checkpoint == nil || *h.checkpoint != "1" {
		t.Errorf("the checkpoint is %v", h.checkpoint)
	}
	add(2, map[string]string{"checkpoint": "null"})
	if *h.checkpoint != "null" || protocol.CheckpointForHandler(h.checkpoint) != nil {
		t.Error("a cleared checkpoint is not cleared")
	}
}

func TestAnExternalIDOutlivesAnEventWithoutOne(t *testing.T) {
	h, named := &history{}, "batch-7"
	h.add(&protocol.StatusEvent{Delivery: 1, State: protocol.StateRunning, ExternalID: &named})
	h.add(&protocol.StatusEvent{Delivery: 2, State: protocol.StateAccepted})
	if h.externalID == nil || *h.externalID != named {
		t.Errorf("the external id is %v", h.externalID)
	}
}

func TestASnapshotCoversRequestsOfItsTimeAndItsAssignment(t *testing.T) {
	created := int64(10_000_000)
	s := newSnapshot(readingSince(created), 2)
	if !s.covers(created, 2) || !s.covers(created-30_000, 1) {
		t.Error("a covered request is not covered")
	}
	if s.covers(created, 3) || s.covers(created-120_000, 2) || (*snapshot)(nil).covers(created, 0) {
		t.Error("a request is covered that was not read")
	}
}

func TestIDsOfJobsDiffer(t *testing.T) {
	if idOf([]byte(someID)) == idOf([]byte("6f1c2f0a-8d4e-4b57-9a53-0c7d1be0a002")) || idOf([]byte("a")) == idOf([]byte("b")) {
		t.Error("two jobs have one id")
	}
	recent := newRecentIDs(2)
	for _, each := range []string{"a", "b", "b", "c"} {
		recent.add(idOf([]byte(each)))
	}
	if recent.has(idOf([]byte("a"))) || !recent.has(idOf([]byte("b"))) || !recent.has(idOf([]byte("c"))) {
		t.Error("not the last two are kept")
	}
}
