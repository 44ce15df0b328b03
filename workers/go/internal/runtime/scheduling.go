package runtime

import (
	"context"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"time"

	"kafkabridge/internal/protocol"
)

// acceptJobs gives free slots to the jobs whose turn it is. What gets none publishes handover heartbeats.
func (l *loop) acceptJobs() {
	for !l.stopping && l.slots.hasFree() && l.services.lease.IsValid() {
		j := l.queue.next(l.isHolding(), l.slots.hasFreeFor)
		if j == nil {
			break
		}
		l.accept(j)
	}
	l.startHandovers()
}

// startHandovers publishes the first heartbeat of interrupted jobs that have to wait.
func (l *loop) startHandovers() {
	for _, of := range l.queue.byType {
		for _, each := range of.interrupted {
			r := each.job.handover
			if r != nil && each.job.phase == phaseQueued && !r.hasStarted() && r.mayPublish() {
				r.heartbeatNow()
			}
		}
	}
}

func (l *loop) accept(j *job) {
	l.leaveQueue(j)
	if late := tooLate(j.request, time.Now()); late != nil {
		l.end(j, *late)
		return
	}
	j.phase = phaseAccepting
	l.slots.take(j)
	j.reporter = l.newReporter(j, j.history.delivery+1)
	err := j.reporter.publish(protocol.StateAccepted, ending{}, func(err error) {
		l.mailbox.post(func() { l.accepted(j, err) })
	})
	if err != nil {
		l.accepted(j, err)
	}
}

func (l *loop) accepted(j *job, err error) {
	if j.phase != phaseAccepting {
		return
	}
	if err != nil {
		l.slots.free(j)
		l.bury(j, err)
		return
	}
	j.phase = phaseReady
	if j.partition.leaving || l.stopping {
		l.release(j)
		return
	}
	l.start(j)
}

// startReady starts accepted jobs that had to wait until the group confirmed the membership.
func (l *loop) startReady() {
	waiting := slices.Collect(maps.Keys(l.ready))
	clear(l.ready)
	for _, j := range waiting {
		if j.phase == phaseReady {
			l.start(j)
		}
	}
}

// start calls the handler of an accepted job, unless it has ended while it waited.
func (l *loop) start(j *job) {
	if !j.reporter.mayPublish() {
		l.ready[j] = struct{}{} // later, or never: the group may have given the job to another worker
		return
	}
	if reason, cancelled := l.services.cancelled(j.request.CorrelationID); cancelled {
		l.slots.free(j)
		l.end(j, ending{state: protocol.StateCancelled, message: reason})
		return
	}
	if late := tooLate(j.request, time.Now()); late != nil {
		l.slots.free(j)
		l.end(j, *late)
		return
	}
	j.phase = phaseRunning
	ctx, cancel := context.WithCancelCause(context.Background())
	j.cancel = cancel
	handler := l.settings.Handlers[j.request.JobType]
	call := &Call{Request: j.request, Headers: j.headers(), Delivery: int(j.reporter.delivery), reporter: j.reporter}
	if j.history.externalID != nil {
		call.ExternalID = *j.history.externalID
	}
	call.Checkpoint = protocol.CheckpointForHandler(j.history.checkpoint)
	l.log.Info("Job started", "job", j.request.CorrelationID, "job_type", j.request.JobType, "delivery", call.Delivery)
	timer := l.watchDeadline(j)
	go func() {
		defer timer.Stop()
		if !call.reporter.mayPublish() { // the process may have been frozen since the check above
			l.mailbox.post(func() { l.postpone(j) })
			return
		}
		began := time.Now()
		outcome := run(ctx, handler, call)
		l.mailbox.post(func() {
			l.returned(j, outcome, time.Since(began))
			cancel(nil)
		})
	}()
}

// postpone takes back that a job has started: its handler was not called.
func (l *loop) postpone(j *job) {
	j.cancel(nil)
	j.cancel, j.stop = nil, nil
	if j.phase != phaseRunning {
		l.slots.free(j) // it is given back or abandoned
		return
	}
	j.phase = phaseReady
	l.ready[j] = struct{}{}
}

func (l *loop) watchDeadline(j *job) *time.Timer {
	pause := idlePause
	if j.request.Deadline != nil {
		pause = time.Until(time.UnixMilli(*j.request.Deadline))
	}
	return time.AfterFunc(pause, func() {
		l.mailbox.post(func() {
			if j.request.Deadline != nil && j.phase == phaseRunning {
				j.ask(&Stop{Kind: StopDeadline})
			}
		})
	})
}

// run calls a handler. A panic fails the job, with the stack.
func run(ctx context.Context, handler *Handler, call *Call) (outcome Outcome) {
	returned := false
	defer func() {
		if returned {
			return
		}
		message := "the handler ended its goroutine"
		if value := recover(); value != nil {
			message = fmt.Sprint(value)
		}
		details := protocol.Block(string(debug.Stack()), protocol.MaxDetailsBytes)
		outcome = Outcome{Failure: &protocol.JobFailure{
			Type:      "panic",
			Message:   protocol.Block(message, protocol.MaxErrorMessageBytes),
			Details:   &details,
			Retryable: true,
		}}
	}()
	outcome = handler.Run(ctx, call)
	returned = true
	return outcome
}

// returned ends a job whose handler has returned.
func (l *loop) returned(j *job, outcome Outcome, took time.Duration) {
	l.slots.free(j)
	if j.phase != phaseRunning {
		return // it is given back or abandoned
	}
	end, isEnd := outcomeOf(outcome, j.stop, j.request.Deadline)
	if !isEnd {
		if j.stop.Kind == StopReleased {
			l.release(j)
		}
		return
	}
	attributes := []any{"job", j.request.CorrelationID, "job_type", j.request.JobType, "state", end.state, "duration", took}
	if end.failure != nil {
		attributes = append(attributes, "error_type", end.failure.Type, "error", end.failure.Message)
	}
	l.log.Info("Job ended", attributes...)
	l.end(j, end)
}
