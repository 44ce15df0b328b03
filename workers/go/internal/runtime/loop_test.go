package runtime

import (
	"cmp"
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"kafkabridge/internal/protocol"
)

const (
	accepted  = protocol.StateAccepted
	released  = protocol.StateReleased
	succeeded = protocol.StateSucceeded
	failure   = protocol.StateFailed
	cancelled = protocol.StateCancelled
)

func TestAJobIsAcceptedRunAndCommitted(t *testing.T) {
	onStage(t, 2, func(s *stage) {
		done := make(chan struct{})
		s.handle("t", done)
		id := s.submit("t")
		s.wantStates(id, accepted)
		s.wantCommitted(0)
		close(done)
		s.settle()
		s.wantStates(id, accepted, succeeded)
		s.wantCommitted(1)
	})
}

func TestHeartbeatsDoNotDependOnTheHandler(t *testing.T) {
	onStage(t, 1, func(s *stage) {
		s.handle("t", nil)
		id := s.submit("t")
		time.Sleep(35 * time.Second)
		synctest.Wait()
		if beats := len(s.events(id)) - 1; beats < 3 || beats > 5 {
			t.Errorf("%d heartbeats came in 35 s", beats)
		}
		for i, each := range s.events(id) {
			if each.Sequence != int64(i) {
				t.Errorf("event %d has the sequence %d", i, each.Sequence)
			}
		}
	})
}

func TestAPanicFailsTheJobWithItsStack(t *testing.T) {
	onStage(t, 1, func(s *stage) {
		s.handlers["t"] = &Handler{Run: func(context.Context, *Call) Outcome { panic("boom") }}
		id := s.submit("t")
		s.wantStates(id, accepted, failure)
		end := s.events(id)[1]
		if end.Error.Type != "panic" || end.Error.Message != "boom" || end.Error.Details == nil {
			t.Errorf("got %+v", end.Error)
		}
	})
}

func TestARequestThatIsPublishedTwiceIsRunOnce(t *testing.T) {
	onStage(t, 2, func(s *stage) {
		done := make(chan struct{})
		s.handle("t", done)
		id := s.submit("t")
		s.publish(id, "t", "")
		close(done)
		s.settle()
		s.publish(id, "t", "")
		s.wantStates(id, accepted, succeeded)
		s.wantCommitted(3)
	})
}

func TestAFinishedJobIsCommittedWithoutAnEvent(t *testing.T) {
	onStage(t, 2, func(s *stage) {
		s.handle("t", nil)
		s.tell("6f1c2f0a-8d4e-4b57-9a53-000000000000", succeeded, 1)
		id := s.submit("t")
		s.wantStates(id)
		s.wantCommitted(1)
	})
}

func TestACancelEndsAQueuedJobAtOnceAndStopsARunningOne(t *testing.T) {
	onStage(t, 1, func(s *stage) {
		s.handle("t", nil)
		running, queued := s.submit("t"), s.submit("t")
		s.wantStates(queued)
		s.cancel(queued, "cleared by alice")
		s.wantStates(queued, cancelled)
		if message := s.events(queued)[0].Message; message == nil || *message != "cleared by alice" {
			t.Errorf("the message is %v", message)
		}
		s.cancel(running, "too")
		s.wantStates(running, accepted, cancelled)
		s.wantCommitted(2)
	})
}

func TestADeadlineStopsAJob(t *testing.T) {
	onStage(t, 1, func(s *stage) {
		s.handle("t", nil)
		s.publish("job", "t", `, "deadline": `+itoa(time.Now().Add(5*time.Second).UnixMilli()))
		s.wantStates("job", accepted)
		time.Sleep(6 * time.Second)
		s.settle()
		s.wantStates("job", accepted, failure)
	})
}

func TestAnExternalIDComesBackAndIsInEveryEvent(t *testing.T) {
	onStage(t, 1, func(s *stage) {
		named, had := "batch-7", ""
		s.handlers["t"] = &Handler{Run: func(_ context.Context, call *Call) Outcome {
			had = call.ExternalID
			return Outcome{}
		}}
		s.tellEvent(&protocol.StatusEvent{
			CorrelationID: "broken", EventID: "e", Delivery: 1, State: protocol.StateRunning, WorkerID: "other",
			ExternalID: &named,
		})
		s.publish("broken", "t", "")
		s.wantStates("broken", accepted, succeeded)
		for _, each := range s.events("broken") {
			if each.ExternalID == nil || *each.ExternalID != named {
				t.Errorf("%s has the external id %v", each.State, each.ExternalID)
			}
		}
		if had != named {
			t.Errorf("the handler had the external id %q", had)
		}
	})
}

func TestACheckpointIsRepeatedAndComesBack(t *testing.T) {
	onStage(t, 1, func(s *stage) {
		done := make(chan struct{})
		s.handle("busy", done)
		s.handlers["t"] = &Handler{Run: func(ctx context.Context, call *Call) Outcome {
			for step := range 40 {
				call.SaveCheckpoint(itoa(int64(step)))
				time.Sleep(25 * time.Millisecond)
			}
			return Outcome{Result: call.Checkpoint, ResultType: protocol.MediaTypeJSON}
		}}
		s.submit("busy")
		s.tellWith("broken", accepted, 1, map[string]string{"checkpoint": "[7]"})
		s.tell("broken", accepted, 2)
		s.loop.assigned([]int32{0}) // so that the ledger is read again
		s.publish("broken", "t", "")
		close(done)
		time.Sleep(2 * time.Second)
		s.settle()
		events := s.events("broken")
		slices.SortFunc(events, func(a, b *protocol.StatusEvent) int { // the stage publishes them in any order
			return cmp.Or(cmp.Compare(a.Delivery, b.Delivery), cmp.Compare(a.Sequence, b.Sequence))
		})
		var found []string
		for _, each := range events {
			found = append(found, each.Attributes["checkpoint"])
		}
		last := len(events) - 1
		if found[0] != "[7]" || events[0].State != protocol.StateRunning || found[1] != "[7]" || events[1].State != accepted {
			t.Errorf("the heartbeat and ACCEPTED have %q", found[:2])
		}
		if found[2] != "0" || found[last-1] != "39" || found[last] != "" || last > 8 {
			t.Errorf("the checkpoints are %q", found)
		}
		if string(events[last].Result) != "[7]" {
			t.Errorf("the handler has found %q", events[last].Result)
		}
	})
}

func TestInterruptedJobsStartFirstAndHaveHeartbeatsUntilThen(t *testing.T) {
	onStage(t, 1, func(s *stage) {
		done := make(chan struct{})
		s.handle("t", done)
		busy := s.submit("t")
		queued := s.submit("t")
		s.tell("broken", accepted, 3)
		s.loop.assigned([]int32{0}) // so that the ledger is read again
		s.publish("broken", "t", "")
		first := s.events("broken")[0]
		if first.State != protocol.StateRunning || first.Delivery != 3 || first.Sequence != 8 {
			t.Errorf("the handover heartbeat is %+v", first)
		}
		close(done)
		s.settle()
		s.wantStates(busy, accepted, succeeded)
		s.wantStates(queued, accepted, succeeded)
		s.wantStates("broken", accepted, succeeded)
		if s.events("broken")[1].Delivery != 4 {
			t.Error("the next delivery is not 4")
		}
		if s.indexOf("broken", accepted) > s.indexOf(queued, accepted) {
			t.Error("the new job was started before the interrupted one")
		}
	})
}

func TestAWorkerInDoubtPublishesNothingAndStartsNothing(t *testing.T) {
	onStage(t, 2, func(s *stage) {
		done := make(chan struct{})
		s.handle("t", done)
		id := s.submit("t")
		s.member.Store(false)
		later := s.submit("t")
		close(done)
		time.Sleep(time.Minute)
		s.settle()
		s.wantStates(id, accepted)
		s.wantStates(later)
		s.wantCommitted(0)
		s.member.Store(true)
		s.settle()
		s.wantStates(id, accepted, succeeded)
		s.wantStates(later, accepted, succeeded)
	})
}

func TestAJobWhosePartitionIsLostIsSilent(t *testing.T) {
	onStage(t, 1, func(s *stage) {
		done := make(chan struct{})
		s.handle("t", done)
		id := s.submit("t")
		s.loop.lost([]int32{0})
		close(done)
		time.Sleep(time.Minute)
		s.settle()
		s.wantStates(id, accepted)
		s.loop.assigned(nil) // the partition does not come back
		s.settle()
		s.wantStates(id, accepted)
	})
}

func TestAJobWhosePartitionComesBackContinues(t *testing.T) {
	onStage(t, 1, func(s *stage) {
		done := make(chan struct{})
		s.handle("t", done)
		id := s.submit("t")
		s.tell(id, accepted, 1)
		s.loop.lost([]int32{0})
		s.loop.assigned([]int32{0})
		s.offset = 0
		s.publish(id, "t", "")
		close(done)
		s.settle()
		s.wantStates(id, accepted, succeeded)
		s.wantCommitted(1)
	})
}

func TestAJobThatOthersHaveStartedMeanwhileIsAbandoned(t *testing.T) {
	onStage(t, 2, func(s *stage) {
		s.handle("t", nil)
		id := s.submit("t")
		s.tell(id, accepted, 2)
		s.loop.lost([]int32{0})
		s.loop.assigned([]int32{0})
		s.offset = 0
		s.publish(id, "t", "")
		s.wantStates(id, accepted, accepted)
		if delivery := s.events(id)[len(s.events(id))-1].Delivery; delivery != 3 {
			t.Errorf("the new delivery is %d", delivery)
		}
	})
}

func TestWhatHasNotEndedIsReleasedAtShutdown(t *testing.T) {
	onStage(t, 1, func(s *stage) {
		s.handle("t", nil)
		running, queued := s.submit("t"), s.submit("t")
		s.stop()
		<-s.ended
		s.wantStates(running, accepted, released)
		s.wantStates(queued)
		if s.committed[0] != 0 {
			t.Errorf("%d is committed", s.committed[0])
		}
	})
}

func TestAJobMayEndWithinTheGracePeriod(t *testing.T) {
	onStage(t, 1, func(s *stage) {
		done := make(chan struct{})
		s.handle("t", done)
		id := s.submit("t")
		s.stop()
		time.Sleep(s.loop.settings.Grace / 2)
		close(done)
		<-s.ended
		s.wantStates(id, accepted, succeeded)
		if s.committed[0] != 1 {
			t.Errorf("%d is committed", s.committed[0])
		}
	})
}

func TestARevokedPartitionIsGivenBackAndItsJobsAreSilent(t *testing.T) {
	onStage(t, 1, func(s *stage) {
		s.handle("t", nil)
		id := s.submit("t")
		s.loop.revoked([]int32{0})
		time.Sleep(time.Minute)
		s.settle()
		s.wantStates(id, accepted, released)
		if s.committed[0] != 0 {
			t.Errorf("%d is committed", s.committed[0])
		}
	})
}

func TestARequestThatCannotBeAnsweredBecomesADeadLetter(t *testing.T) {
	onStage(t, 1, func(s *stage) {
		s.handle("t", nil)
		var missing error = kerr.UnknownTopicOrPartition
		s.failWith.Store(&missing)
		id := s.submit("t")
		s.wantStates(id)
		s.wantCommitted(1)
		if s.letters() != 1 {
			t.Errorf("%d dead letters", s.letters())
		}
	})
}

func TestAnUnreadableRequestBecomesADeadLetterAndItsTaskIsTold(t *testing.T) {
	onStage(t, 1, func(s *stage) {
		s.deliver(someID, []byte("garbage"))
		s.wantStates(someID, failure)
		s.wantCommitted(1)
		if s.letters() != 1 {
			t.Errorf("%d dead letters", s.letters())
		}
	})
}

func TestATombstoneIsIgnored(t *testing.T) {
	onStage(t, 1, func(s *stage) {
		s.deliver(someID, nil)
		s.wantStates(someID)
		s.wantCommitted(1)
	})
}

func TestAJobTypeHasItsOwnConcurrency(t *testing.T) {
	onStage(t, 3, func(s *stage) {
		s.handle("narrow", nil)
		s.handlers["narrow"].Concurrency = 1
		s.handle("wide", nil)
		one, two, other := s.submit("narrow"), s.submit("narrow"), s.submit("wide")
		s.wantStates(one, accepted)
		s.wantStates(two)
		s.wantStates(other, accepted)
	})
}

func TestAJobThatWasAcceptedInDoubtStartsLater(t *testing.T) {
	onStage(t, 1, func(s *stage) {
		calls := 0
		s.handlers["t"] = &Handler{Run: func(context.Context, *Call) Outcome { calls++; return Outcome{} }}
		s.onPublish = func() { s.member.Store(false) } // frozen when ACCEPTED was acknowledged
		id := s.submit("t")
		s.wantStates(id, accepted)
		if calls != 0 {
			t.Error("the job has started")
		}
		s.onPublish = nil
		s.member.Store(true)
		s.settle()
		s.wantStates(id, accepted, succeeded)
	})
}

func TestAResultThatIsTooLargeFailsTheJob(t *testing.T) {
	onStage(t, 1, func(s *stage) {
		s.handlers["t"] = &Handler{Run: func(context.Context, *Call) Outcome {
			var tooLarge error = kerr.MessageTooLarge
			s.failWith.Store(&tooLarge)
			return Outcome{Result: []byte("{}"), ResultType: protocol.MediaTypeJSON}
		}}
		s.onFailure = func() { s.failWith.Store(nil) }
		id := s.submit("t")
		s.wantStates(id, accepted, failure)
		if kind := s.events(id)[1].Error.Type; kind != "result_too_large" {
			t.Errorf("the error is %s", kind)
		}
	})
}

func TestAResultThatIsNoJSONFailsTheJobInJSON(t *testing.T) {
	onStage(t, 1, func(s *stage) {
		s.handlers["t"] = &Handler{Run: func(context.Context, *Call) Outcome {
			return Outcome{Result: []byte(`{"half":`), ResultType: protocol.MediaTypeJSON}
		}}
		id := s.submit("t")
		s.wantStates(id, accepted, failure)
	})
}
