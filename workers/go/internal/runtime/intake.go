package runtime

import (
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"kafkabridge/internal/protocol"
)

// receive takes records of the request topic. It returns when the loop has them; the channel is closed
// when there is room for more.
func (l *loop) receive(records []*kgo.Record) (room <-chan struct{}) {
	wait := make(chan struct{})
	l.do(func() {
		for _, record := range records {
			l.consume(record)
		}
		l.room = wait
	})
	return wait
}

func (l *loop) consume(record *kgo.Record) {
	p := l.partitions[record.Partition]
	if p == nil || p.leaving {
		return
	}
	p.offsets.consume(record.Offset)
	if record.Attrs.IsControl() || record.Value == nil {
		p.offsets.finish(record.Offset)
		return
	}
	request, encoding, err := protocol.DecodeRequest(record.Value)
	if err != nil {
		l.rejectUnreadable(p, record, encoding, err)
		return
	}
	l.admit(newJob(p, record, request, encoding))
}

// admit makes a request a job that waits for the ledger, unless the same job is here already.
func (l *loop) admit(j *job) {
	if j.partition.leaving {
		return // the next owner of the partition has it
	}
	if l.finished.has(j.id) {
		j.partition.offsets.finish(j.record.Offset)
		return
	}
	if same := l.jobs[j.id]; same != nil {
		same.duplicates = append(same.duplicates, j)
		return
	}
	j.orphan = l.orphans[j.id]
	l.jobs[j.id] = j
	l.undecided[j] = struct{}{}
	l.waiting++
	l.waitingSize += j.size()
}

func (l *loop) leaveQueue(j *job) {
	delete(l.undecided, j)
	l.waiting--
	l.waitingSize -= j.size()
	j.closeHandover()
}

// isHolding tells whether requests that were there before an assignment are still on their way.
func (l *loop) isHolding() bool {
	if l.isFull() || !time.Now().Before(l.heldUntil) {
		return false
	}
	for _, p := range l.partitions {
		if !p.leaving && !p.hasReadBacklog() {
			return true
		}
	}
	return false
}
