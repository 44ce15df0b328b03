package runtime

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"kafkabridge/internal/kafka"
	"kafkabridge/internal/protocol"
)

const buryPause = 5 * time.Second

// bury writes a job's request to the dead-letter topic. Then its offset may be committed.
func (l *loop) bury(j *job, why error) {
	j.phase = phaseBurying
	if j.reporter != nil {
		j.reporter.close()
	}
	l.log.Error("Request becomes a dead letter", "job", j.request.CorrelationID, "job_type", j.request.JobType, "error", why)
	l.writeDeadLetter(j.record, why, func() {
		if j.phase == phaseBurying {
			l.forget(j, true)
		}
	})
}

// writeDeadLetter publishes a record on the dead-letter topic until the brokers have it.
func (l *loop) writeDeadLetter(record *kgo.Record, why error, then func()) {
	headers := protocol.DeadLetterHeaders(kafka.Headers(record), kafka.OriginOf(record), fmt.Sprintf("%T", root(why)), why.Error())
	letter := kafka.NewRecord(l.settings.DeadLetterTopic, record.Key, record.Value, headers)
	l.services.publisher.TryProduce(l.ctx, letter, func(_ *kgo.Record, err error) {
		l.mailbox.post(func() {
			if err == nil {
				then()
				return
			}
			if l.ctx.Err() != nil {
				return
			}
			l.log.Error("A dead letter cannot be written; its request stays uncommitted, and it is tried again",
				"topic", letter.Topic, "partition", record.Partition, "offset", record.Offset, "error", err)
			time.AfterFunc(buryPause, func() { l.mailbox.post(func() { l.writeDeadLetter(record, why, then) }) })
		})
	})
}

// root returns the error that says most: the one at the end of the chain.
func root(err error) error {
	for {
		inner, ok := err.(interface{ Unwrap() error })
		if !ok || inner.Unwrap() == nil {
			return err
		}
		err = inner.Unwrap()
	}
}

// rejectUnreadable writes a record to the dead-letter topic, and tells the task if it can be found.
func (l *loop) rejectUnreadable(p *partition, record *kgo.Record, encoding protocol.Encoding, why error) {
	l.log.Error("A request cannot be read", "partition", record.Partition, "offset", record.Offset, "error", why)
	finish := func() { p.offsets.finish(record.Offset) }
	l.writeDeadLetter(record, why, func() {
		topic := protocol.LastHeader(kafka.Headers(record), protocol.HeaderReplyTopic)
		if !protocol.IsCorrelationID(record.Key) || len(topic) == 0 {
			finish()
			return
		}
		l.tellUnreadable(record, string(topic), encoding, why, finish)
	})
}

func (l *loop) tellUnreadable(record *kgo.Record, topic string, encoding protocol.Encoding, why error, then func()) {
	if encoding == "" {
		encoding = protocol.EncodingAvro
	}
	key := string(record.Key)
	failure := failed(protocol.ErrorUnreadable, false, "%v", why).failure
	value, err := protocol.EncodeEvent(&protocol.StatusEvent{
		CorrelationID: key,
		EventID:       newEventID(),
		Delivery:      1,
		State:         protocol.StateFailed,
		OccurredAt:    time.Now().UnixMilli(),
		WorkerID:      l.settings.WorkerID,
		Error:         failure,
	}, encoding)
	if err != nil {
		then()
		return
	}
	headers := protocol.EventHeaders(key, encoding, kafka.Headers(record))
	event := kafka.NewRecord(topic, record.Key, value, headers)
	ctx, cancel := context.WithTimeout(l.ctx, time.Minute)
	l.services.publisher.TryProduce(ctx, event, func(_ *kgo.Record, err error) {
		cancel()
		l.mailbox.post(func() {
			if err != nil {
				l.log.Warn("The task of an unreadable request cannot be told", "job", key, "topic", topic, "error", err)
			}
			then()
		})
	})
}
