package runtime

import (
	"context"
	"time"
)

// A drain gives the jobs of partitions back: those that have not started at once, and the others if they
// do not end within the grace period.
type drain struct {
	partitions []*partition
	askAt      time.Time // handlers are asked to stop
	releaseAt  time.Time // RELEASED is published, although they still run
	giveUpAt   time.Time
	done       chan struct{}
}

func (l *loop) drain(partitions []*partition, grace time.Duration) <-chan struct{} {
	now := time.Now()
	d := &drain{
		partitions: partitions,
		askAt:      now.Add(grace),
		releaseAt:  now.Add(grace + stopPatience),
		giveUpAt:   now.Add(grace + stopPatience + settlePatience),
		done:       make(chan struct{}),
	}
	l.drains = append(l.drains, d)
	for _, p := range partitions {
		p.leaving = true
		for _, j := range l.jobsOf(p) {
			switch j.phase {
			case phaseUndecided, phaseQueued:
				l.leaveQueue(j)
				l.forget(j, false)
			case phaseReady:
				l.release(j)
			}
		}
	}
	return d.done
}

func (l *loop) checkDrains() {
	open := l.drains[:0]
	for _, d := range l.drains {
		if l.isDrained(d, time.Now()) {
			close(d.done)
		} else {
			open = append(open, d)
		}
	}
	l.drains = open
}

func (l *loop) isDrained(d *drain, now time.Time) bool {
	isDrained := true
	for _, p := range d.partitions {
		for _, j := range l.jobsOf(p) {
			if !j.phase.isInFlight() {
				continue
			}
			if j.phase == phaseRunning && now.After(d.askAt) {
				j.ask(&Stop{Kind: StopReleased})
			}
			if j.phase == phaseReady || j.phase == phaseRunning && now.After(d.releaseAt) {
				l.release(j)
			}
			isDrained = false
		}
	}
	return isDrained || now.After(d.giveUpAt)
}

// revoked gives partitions back that the group moves to other workers. It returns when all is settled.
func (l *loop) revoked(numbers []int32) {
	var settled <-chan struct{}
	var leaving []*partition
	l.do(func() {
		for _, number := range numbers {
			if p := l.partitions[number]; p != nil {
				leaving = append(leaving, p)
			}
		}
		settled = l.drain(leaving, min(revokeGrace, l.settings.Grace))
	})
	if settled == nil {
		return // the loop has ended, and has given back everything
	}
	l.await(settled)
	var positions map[int32]int64
	l.do(func() { positions = positionsOf(leaving) })
	l.commit(positions)
	l.do(func() {
		for _, p := range leaving {
			delete(l.partitions, p.number)
			for _, j := range l.jobsOf(p) {
				l.abandon(j)
				l.forget(j, false)
			}
		}
	})
}

// shutDown gives everything back. The channel is closed when the loop may end.
func (l *loop) shutDown() <-chan struct{} {
	l.stopping = true
	l.log.Info("The worker stops", "running", l.slots.used, "grace", l.settings.Grace)
	all := make([]*partition, 0, len(l.partitions))
	for _, p := range l.partitions {
		all = append(all, p)
	}
	for _, j := range l.orphans {
		l.abandonOrphan(j)
	}
	settled := l.drain(all, l.settings.Grace)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		<-settled
		positions := make(chan map[int32]int64, 1)
		l.mailbox.post(func() { positions <- positionsOf(all) })
		l.commit(<-positions)
	}()
	return ended
}

func positionsOf(partitions []*partition) map[int32]int64 {
	positions := map[int32]int64{}
	for _, p := range partitions {
		if at, known := p.offsets.position(); known {
			positions[p.number] = at
		}
	}
	return positions
}

// commit waits until offsets are committed, or for some seconds.
func (l *loop) commit(positions map[int32]int64) {
	if len(positions) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), settlePatience)
	defer cancel()
	if err := l.services.commit(ctx, positions); err != nil {
		l.log.Warn("Offsets were not committed; finished jobs are recognised by their events", "error", err)
	}
}

// commitSometimes commits the offsets that have moved, beside the loop.
func (l *loop) commitSometimes() {
	if l.committing || l.stopping || time.Since(l.lastCommit) < commitInterval {
		return
	}
	l.lastCommit = time.Now()
	moved := map[int32]int64{}
	for number, p := range l.partitions {
		if at, has := p.offsets.moved(); has && !p.leaving {
			moved[number] = at
		}
	}
	if len(moved) == 0 {
		return
	}
	l.committing = true
	partitions := l.partitionsOf(moved)
	go func() {
		ctx, cancel := context.WithTimeout(l.ctx, settlePatience)
		defer cancel()
		err := l.services.commit(ctx, moved)
		l.mailbox.post(func() {
			l.committing = false
			if err != nil {
				l.log.Debug("Offsets were not committed; they are soon", "error", err)
				return
			}
			for number, p := range partitions {
				p.offsets.committed = moved[number]
			}
		})
	}()
}

func (l *loop) partitionsOf(offsets map[int32]int64) map[int32]*partition {
	chosen := map[int32]*partition{}
	for number := range offsets {
		chosen[number] = l.partitions[number]
	}
	return chosen
}
