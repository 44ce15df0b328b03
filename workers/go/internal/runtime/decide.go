package runtime

import (
	"fmt"
	"time"

	"kafkabridge/internal/protocol"
)

// A verdict is what to do with a job that has not started.
type verdict int

const (
	verdictStart  verdict = iota
	verdictSkip           // it is finished: commit without an event
	verdictEnd            // publish a terminal event, without a start
	verdictPoison         // the same, and write the request to the dead-letter topic
)

// A decision is a verdict and the terminal event that belongs to it, if there is one.
type decision struct {
	verdict verdict
	ending  ending
}

// An ending is what a terminal event says.
type ending struct {
	state      protocol.State
	message    string
	result     []byte
	resultType string
	failure    *protocol.JobFailure
	attributes map[string]string
}

// facts is all that a decision depends on.
type facts struct {
	request       *protocol.JobRequest
	isFinished    bool
	history       history
	cancelled     bool
	cancelReason  string
	isKnownType   bool
	maxDeliveries int
	now           time.Time
}

// decide is pure.
func decide(f facts) decision {
	switch {
	case f.isFinished:
		return decision{verdict: verdictSkip}
	case f.cancelled:
		return decision{verdictEnd, ending{state: protocol.StateCancelled, message: f.cancelReason}}
	case int(f.history.interrupted()) >= f.maxDeliveries:
		return decision{verdictPoison, failed(protocol.ErrorTooManyDeliveries, false,
			"the job was started %d times, and each time its worker died or stopped responding: the job may be "+
				"the cause. Its request is in the dead-letter topic", f.history.interrupted())}
	}
	if late := tooLate(f.request, f.now); late != nil {
		return decision{verdictEnd, *late}
	}
	if !f.isKnownType {
		return decision{verdictEnd, failed(protocol.ErrorUnknownJobType, false,
			"this worker has no handler for the job type %q: is the request on the right topic, and is the "+
				"worker up to date?", f.request.JobType)}
	}
	if ref := f.request.PayloadRef; ref != nil {
		return decision{verdictEnd, failed(protocol.ErrorUnsupportedReference, false,
			"the payload is a reference, %s, and this worker does not fetch references: send the address in the "+
				"payload itself, and let the handler read it", ref.URI)}
	}
	return decision{verdict: verdictStart}
}

// tooLate returns the end of a job that must not start any more, or nil.
func tooLate(request *protocol.JobRequest, now time.Time) *ending {
	nowMS := now.UnixMilli()
	if at := request.ExpiresAt; at != nil && *at <= nowMS {
		end := failed(protocol.ErrorExpired, true, "the job had not started at %s, when it expired", utc(*at))
		return &end
	}
	if at := request.Deadline; at != nil && *at <= nowMS {
		end := failed(protocol.ErrorDeadlineExceeded, true, "the deadline %s passed before the job started", utc(*at))
		return &end
	}
	return nil
}

func failed(kind string, retryable bool, format string, args ...any) ending {
	message := protocol.OneLine(fmt.Sprintf(format, args...), protocol.MaxErrorMessageBytes)
	return ending{
		state:   protocol.StateFailed,
		failure: &protocol.JobFailure{Type: kind, Message: message, Retryable: retryable},
	}
}

func utc(ms int64) string { return time.UnixMilli(ms).UTC().Format(time.RFC3339) }

// outcomeOf returns how a job ends whose handler has returned; false if it has no end of its own, because
// it only stopped for a reason that is not the job's.
func outcomeOf(outcome Outcome, stop *Stop, deadline *int64) (ending, bool) {
	if outcome.Failure != nil && outcome.Stopped && stop != nil {
		switch stop.Kind {
		case StopCancelled:
			return ending{state: protocol.StateCancelled, message: stop.Reason}, true
		case StopDeadline:
			return failed(protocol.ErrorDeadlineExceeded, true, "the job was stopped at its deadline %s", utc(*deadline)), true
		default:
			return ending{}, false
		}
	}
	end := ending{state: protocol.StateSucceeded, result: outcome.Result, resultType: outcome.ResultType}
	if outcome.Failure != nil {
		end = ending{state: protocol.StateFailed, failure: outcome.Failure}
	}
	if stop != nil && stop.attribute() != "" {
		end.attributes = map[string]string{"stop_requested": stop.attribute()}
	}
	return end, true
}
