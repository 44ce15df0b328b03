package runtime

import (
	"testing"
	"time"

	"kafkabridge/internal/protocol"
)

func TestWhatIsDoneWithARequest(t *testing.T) {
	now := time.UnixMilli(1_000_000)
	past, future := now.UnixMilli()-1, now.UnixMilli()+1
	reference := &protocol.Reference{URI: "s3://bucket/key"}
	for name, each := range map[string]struct {
		change  func(*facts)
		verdict verdict
		state   protocol.State
		error   string
	}{
		"a new job starts":                      {func(*facts) {}, verdictStart, "", ""},
		"a finished job is skipped":             {func(f *facts) { f.isFinished, f.cancelled = true, true }, verdictSkip, "", ""},
		"a cancelled job ends":                  {func(f *facts) { f.cancelled = true }, verdictEnd, protocol.StateCancelled, ""},
		"an expired job fails":                  {func(f *facts) { f.request.ExpiresAt = &past }, verdictEnd, protocol.StateFailed, "expired"},
		"a job that expires later starts":       {func(f *facts) { f.request.ExpiresAt = &future }, verdictStart, "", ""},
		"a job after its deadline fails":        {func(f *facts) { f.request.Deadline = &past }, verdictEnd, protocol.StateFailed, "deadline_exceeded"},
		"a job of an unknown type fails":        {func(f *facts) { f.isKnownType = false }, verdictEnd, protocol.StateFailed, "unknown_job_type"},
		"a reference fails the job":             {func(f *facts) { f.request.PayloadRef = reference }, verdictEnd, protocol.StateFailed, "unsupported_reference"},
		"five interrupted deliveries fail it":   {func(f *facts) { f.history.delivery = 5 }, verdictPoison, protocol.StateFailed, "too_many_deliveries"},
		"released deliveries do not count":      {func(f *facts) { f.history = history{delivery: 6, released: 2} }, verdictStart, "", ""},
		"more releases than deliveries are odd": {func(f *facts) { f.history = history{delivery: 1, released: 9} }, verdictStart, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := facts{request: &protocol.JobRequest{JobType: "t"}, isKnownType: true, maxDeliveries: 5, now: now}
			each.change(&f)
			got := decide(f)
			if got.verdict != each.verdict || got.ending.state != each.state {
				t.Fatalf("got %+v", got)
			}
			if each.error != "" && got.ending.failure.Type != each.error {
				t.Errorf("got the error %+v", got.ending.failure)
			}
		})
	}
}

func TestHowAJobEndsThatWasAskedToStop(t *testing.T) {
	deadline := int64(1)
	stopped := Outcome{Failure: &protocol.JobFailure{Type: "error"}, Stopped: true}
	own := Outcome{Failure: &protocol.JobFailure{Type: "disk_full"}}
	for name, each := range map[string]struct {
		outcome   Outcome
		stop      *Stop
		isEnd     bool
		state     protocol.State
		attribute string
	}{
		"stopped by a CANCEL":          {stopped, &Stop{Kind: StopCancelled, Reason: "r"}, true, protocol.StateCancelled, ""},
		"stopped at its deadline":      {stopped, &Stop{Kind: StopDeadline}, true, protocol.StateFailed, ""},
		"stopped to be given back":     {stopped, &Stop{Kind: StopReleased}, false, "", ""},
		"succeeded in spite of it":     {Outcome{}, &Stop{Kind: StopCancelled}, true, protocol.StateSucceeded, "cancelled"},
		"failed in its own way":        {own, &Stop{Kind: StopDeadline}, true, protocol.StateFailed, "deadline"},
		"succeeded while given back":   {Outcome{}, &Stop{Kind: StopReleased}, true, protocol.StateSucceeded, ""},
		"a stop that nobody asked for": {stopped, nil, true, protocol.StateFailed, ""},
	} {
		t.Run(name, func(t *testing.T) {
			end, isEnd := outcomeOf(each.outcome, each.stop, &deadline)
			if isEnd != each.isEnd || end.state != each.state || end.attributes["stop_requested"] != each.attribute {
				t.Errorf("got %+v, %v", end, isEnd)
			}
		})
	}
}
