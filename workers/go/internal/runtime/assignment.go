package runtime

import (
	"context"
	"time"

	"kafkabridge/internal/kafka"
)

// assigned adds partitions. It returns when the loop knows them.
func (l *loop) assigned(numbers []int32) {
	l.do(func() {
		l.services.lease.RenewSoon()
		if len(numbers) > 0 {
			l.epoch++
			l.heldUntil = time.Now().Add(backlogPatience)
			for _, number := range numbers {
				l.partitions[number] = newPartition(number, l.epoch)
			}
			go l.findBacklog(l.epoch)
		}
		for _, j := range l.orphans {
			if l.partitions[j.partition.number] == nil {
				l.abandonOrphan(j)
			}
		}
	})
}

// findBacklog finds where the new partitions end.
func (l *loop) findBacklog(epoch int) {
	for l.ctx.Err() == nil {
		ctx, cancel := context.WithTimeout(l.ctx, backlogPatience)
		extents, err := l.services.backlog(ctx)
		cancel()
		if err == nil {
			l.mailbox.post(func() { l.backlogKnown(epoch, extents) })
			return
		}
		l.log.Debug("The backlog is not known yet", "error", err)
		select {
		case <-time.After(retryPause):
		case <-l.ctx.Done():
		}
	}
}

func (l *loop) backlogKnown(epoch int, extents map[int32]kafka.Extent) {
	for number, extent := range extents {
		p := l.partitions[number]
		if p == nil || p.epoch != epoch {
			continue
		}
		p.setBacklog(extent)
		for _, j := range l.orphans {
			if j.partition.number == number && j.record.Offset < extent.Start {
				l.abandonOrphan(j) // its request does not come again: others have finished the job
			}
		}
	}
}

// lost removes partitions that other workers may have. Their running jobs run on, silently: the group may
// give them back.
func (l *loop) lost(numbers []int32) {
	l.do(func() {
		for _, number := range numbers {
			if p := l.partitions[number]; p != nil {
				delete(l.partitions, number)
				l.losePartition(p)
			}
		}
	})
}

func (l *loop) losePartition(p *partition) {
	for _, j := range l.jobsOf(p) {
		switch j.phase {
		case phaseUndecided, phaseQueued:
			l.leaveQueue(j)
			l.forget(j, false)
		case phaseRunning, phaseEnding:
			if j.cancel == nil { // it was not started: the next owner decides again
				l.abandon(j)
				l.forget(j, false)
				continue
			}
			j.reporter.suspend()
			delete(l.jobs, j.id)
			l.orphans[j.id] = j
			j.duplicates = nil
		default:
			l.abandon(j)
			l.forget(j, false)
		}
	}
}

// takeBack decides what becomes of a job that still runs here when its request arrives again. It returns
// false if the job has to be decided as a new one.
func (l *loop) takeBack(j *job, isFinished bool) bool {
	orphan := j.orphan
	j.orphan = nil
	if l.orphans[j.id] != orphan {
		return l.finished.has(j.id) && l.skip(j)
	}
	if isFinished || j.history.delivery > orphan.reporter.delivery {
		l.abandonOrphan(orphan)
		return false
	}
	l.leaveQueue(j)
	delete(l.orphans, j.id)
	orphan.partition, orphan.record = j.partition, j.record
	orphan.duplicates, j.phase = j.duplicates, phaseOver
	l.jobs[j.id] = orphan
	orphan.reporter.resume()
	l.log.Info("The group has given a job back that still runs", "job", orphan.request.CorrelationID)
	l.applyCancel(orphan)
	return true
}

func (l *loop) skip(j *job) bool {
	l.leaveQueue(j)
	l.forget(j, true)
	return true
}

func (l *loop) abandonOrphan(j *job) {
	l.log.Warn("Another worker has a job that still runs here", "job", j.request.CorrelationID)
	l.abandon(j)
	l.forget(j, false)
}

func (l *loop) jobsOf(p *partition) (jobs []*job) {
	for _, j := range l.jobs {
		if j.partition == p {
			jobs = append(jobs, j)
		}
	}
	return jobs
}
