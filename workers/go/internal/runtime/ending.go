package runtime

import (
	"fmt"

	"kafkabridge/internal/protocol"
)

// end publishes the terminal event of a job. Then its offset may be committed.
func (l *loop) end(j *job, end ending) {
	l.publishEnd(j, end, func() { l.forget(j, true) })
}

// endAndBury also writes the request to the dead-letter topic.
func (l *loop) endAndBury(j *job, end ending) {
	l.publishEnd(j, end, func() { l.bury(j, fmt.Errorf("%s: %s", end.failure.Type, end.failure.Message)) })
}

func (l *loop) publishEnd(j *job, end ending, then func()) {
	j.phase = phaseEnding
	if j.reporter == nil {
		j.reporter = l.newReporter(j, j.history.delivery+1)
	}
	err := j.reporter.publish(end.state, end, func(err error) {
		l.mailbox.post(func() {
			if j.phase != phaseEnding {
				return
			}
			l.endSettled(j, end, err, then)
		})
	})
	if err != nil { // such as a result that is declared as JSON and is not
		l.publishEnd(j, failed("invalid_result", false, "the result cannot be written: %v", err), then)
	}
}

func (l *loop) endSettled(j *job, end ending, err error, then func()) {
	switch {
	case err == nil:
		l.finished.add(j.id)
		then()
	case isTooLarge(err) && end.resultType != "":
		l.publishEnd(j, failed("result_too_large", false,
			"the result has %d bytes, which do not fit into a record of the response topic: store it elsewhere, and "+
				"return its address", len(end.result)), then)
	case isTooLarge(err) && end.failure != nil && end.failure.Details != nil:
		smaller := *end.failure
		smaller.Details = nil
		end.failure = &smaller
		l.publishEnd(j, end, then)
	default:
		l.bury(j, err)
	}
}

// release gives a job back: another worker does it again. Its offset is not committed.
func (l *loop) release(j *job) {
	j.phase = phaseReleasing
	message := fmt.Sprintf("Worker %s gives the job back", l.settings.WorkerID)
	_ = j.reporter.publish(protocol.StateReleased, ending{message: message}, func(err error) {
		l.mailbox.post(func() {
			if err != nil {
				l.log.Warn("RELEASED was not published", "job", j.request.CorrelationID, "error", err)
			}
			if j.phase == phaseReleasing {
				l.forget(j, false)
			}
		})
	})
	l.freeUnlessRunning(j)
}

// abandon leaves a job to other workers, without an event.
func (l *loop) abandon(j *job) {
	if j.reporter != nil {
		j.reporter.abandon()
	}
	j.ask(&Stop{Kind: StopLost})
	l.freeUnlessRunning(j)
}

// freeUnlessRunning frees the slot of a job whose handler was not called; otherwise it is free when the
// handler returns.
func (l *loop) freeUnlessRunning(j *job) {
	if j.cancel == nil {
		l.slots.free(j)
	}
}

// forget removes a job of which nothing is left to do. isFinished tells whether it may be committed.
func (l *loop) forget(j *job, isFinished bool) {
	j.phase = phaseOver
	j.closeHandover()
	if j.reporter != nil {
		j.reporter.close()
	}
	if l.jobs[j.id] == j {
		delete(l.jobs, j.id)
	}
	if l.orphans[j.id] == j {
		delete(l.orphans, j.id)
	}
	if isFinished {
		l.commitLater(j)
	}
	duplicates := j.duplicates
	j.duplicates = nil
	for _, each := range duplicates {
		switch {
		case l.partitions[each.partition.number] != each.partition:
		case isFinished:
			l.commitLater(each)
		default:
			l.admit(each)
		}
	}
}

func (l *loop) commitLater(j *job) { j.partition.offsets.finish(j.record.Offset) }
