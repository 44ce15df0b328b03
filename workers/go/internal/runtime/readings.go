package runtime

import (
	"time"

	"kafkabridge/internal/protocol"
)

// startReadings decides what can be decided, and reads the response topics of all other requests.
func (l *loop) startReadings() {
	if len(l.undecided) == 0 || l.stopping || l.isHolding() {
		return
	}
	since := map[string]int64{}
	for j := range l.undecided {
		topic := j.request.ResponseTopic
		if s := l.snapshots[topic]; s.covers(j.request.CreatedAt, j.partition.epoch) {
			continue
		}
		if at, found := since[topic]; !found || readingSince(j.request.CreatedAt) < at {
			since[topic] = readingSince(j.request.CreatedAt)
		}
	}
	l.decideCovered()
	for topic, sinceMS := range since {
		if !l.reading[topic] {
			l.read(topic, newSnapshot(sinceMS, l.epoch))
		}
	}
}

func (l *loop) read(topic string, s *snapshot) {
	l.reading[topic] = true
	begun := time.Now()
	go func() {
		s.err = l.services.readLedger(l.ctx, topic, s)
		l.mailbox.post(func() {
			delete(l.reading, topic)
			l.haveRead(topic, s)
			l.log.Debug("Read the response topic", "topic", topic, "finished", len(s.finished),
				"unfinished", len(s.unfinished), "duration", time.Since(begun), "error", s.err)
		})
	}()
}

func (l *loop) haveRead(topic string, s *snapshot) {
	if l.ctx.Err() != nil {
		return
	}
	if s.err != nil { // it counts for the jobs that wait now
		for _, j := range l.undecidedInOrder() {
			if j.request.ResponseTopic == topic {
				l.leaveQueue(j)
				l.bury(j, s.err)
			}
		}
		return
	}
	l.snapshots[topic] = s
	for _, j := range l.jobs {
		isOpen := j.phase == phaseAccepting || j.phase == phaseReady || j.phase == phaseRunning
		if isOpen && j.request.ResponseTopic == topic && s.isFinished(j.id) {
			l.log.Warn("Another worker has finished a job that runs here", "job", j.request.CorrelationID)
			l.abandon(j)
			l.forget(j, true)
		}
	}
	l.decideCovered()
}

func (l *loop) decideCovered() {
	for _, j := range l.undecidedInOrder() {
		s := l.snapshots[j.request.ResponseTopic]
		if s.covers(j.request.CreatedAt, j.partition.epoch) {
			l.decide(j, s)
		}
	}
}

// undecidedInOrder returns the undecided jobs, those of a partition in the order of their offsets.
func (l *loop) undecidedInOrder() []*job {
	jobs := make([]*job, 0, len(l.undecided))
	for j := range l.undecided {
		jobs = append(jobs, j)
	}
	sortByArrival(jobs)
	return jobs
}

func (l *loop) decide(j *job, s *snapshot) {
	j.history = s.historyOf(j.id)
	isFinished := s.isFinished(j.id)
	if j.orphan != nil {
		if l.takeBack(j, isFinished) {
			return
		}
	}
	reason, cancelled := l.services.cancelled(j.request.CorrelationID)
	decision := decide(facts{
		request:       j.request,
		isFinished:    isFinished,
		history:       j.history,
		cancelled:     cancelled,
		cancelReason:  reason,
		isKnownType:   l.settings.Handlers[j.request.JobType] != nil,
		maxDeliveries: l.settings.MaxDeliveries,
		now:           time.Now(),
	})
	if decision.verdict == verdictStart {
		l.enqueue(j)
		return
	}
	l.leaveQueue(j)
	switch decision.verdict {
	case verdictSkip:
		l.forget(j, true)
	case verdictEnd:
		l.end(j, decision.ending)
	case verdictPoison:
		l.endAndBury(j, decision.ending)
	}
}

func (l *loop) enqueue(j *job) {
	delete(l.undecided, j)
	j.phase = phaseQueued
	l.queue.add(j)
	if j.history.wasBroken() && j.request.HeartbeatIntervalMS > 0 {
		j.handover = l.newReporter(j, j.history.delivery)
		j.handover.sequence = j.history.sequence + 1
		j.handover.note = "Waits for a free slot on worker " + l.settings.WorkerID + ": its last worker is gone"
	}
}

func (l *loop) newReporter(j *job, delivery int32) *reporter {
	r := &reporter{
		publisher: l.services.publisher,
		lease:     l.services.lease,
		log:       l.log,
		request:   j.request,
		headers:   protocol.EventHeaders(j.request.CorrelationID, j.encoding, j.headers()),
		encoding:  j.encoding,
		workerID:  l.settings.WorkerID,
		delivery:  delivery,

		externalID: j.history.externalID,
		checkpoint: j.history.checkpoint,
	}
	r.start()
	return r
}
