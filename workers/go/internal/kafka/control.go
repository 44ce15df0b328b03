package kafka

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"kafkabridge/internal/protocol"
)

// maxCancels is how many reasons are kept; the oldest ones are forgotten first.
const maxCancels = 1_000_000

// Control reads the control topic, all of it from its beginning, and keeps the reasons of all CANCELs.
type Control struct {
	topic    string
	client   *kgo.Client
	log      *slog.Logger
	onCancel func(correlationID string)

	mu      sync.Mutex
	reasons map[string]string
	order   []string
	next    map[int32]int64
}

// NewControl returns a reader of the control topic. onCancel is called with each CANCEL that is read.
func NewControl(options []kgo.Opt, topic string, log *slog.Logger, onCancel func(string)) (*Control, error) {
	const wait = 500 * time.Millisecond
	client, err := kgo.NewClient(append(Reader(options, wait), kgo.ConsumeTopics(topic))...)
	if err != nil {
		return nil, err
	}
	return &Control{
		topic:    topic,
		client:   client,
		log:      log,
		onCancel: onCancel,
		reasons:  map[string]string{},
		next:     map[int32]int64{},
	}, nil
}

// Follow reads until the context ends.
func (c *Control) Follow(ctx context.Context) {
	defer c.client.Close()
	for ctx.Err() == nil {
		fetches := c.client.PollFetches(ctx)
		fetches.EachError(func(_ string, _ int32, err error) {
			if ctx.Err() == nil {
				c.log.Warn("The control topic cannot be read; CANCELs are not seen until it can", "topic", c.topic, "error", err)
			}
		})
		fetches.EachRecord(c.read)
	}
}

func (c *Control) read(record *kgo.Record) {
	defer c.note(record)
	if record.Attrs.IsControl() || record.Value == nil {
		return
	}
	command, _, err := protocol.DecodeCommand(record.Value)
	if err != nil {
		c.log.Warn("A record of the control topic is not a command", "partition", record.Partition,
			"offset", record.Offset, "error", err)
		return
	}
	if command.Command != protocol.CommandCancel {
		return
	}
	reason := ""
	if command.Reason != nil {
		reason = *command.Reason
	}
	c.add(command.CorrelationID, reason)
	c.onCancel(command.CorrelationID)
}

func (c *Control) add(correlationID, reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, known := c.reasons[correlationID]; known {
		return
	}
	c.reasons[correlationID] = reason
	if c.order = append(c.order, correlationID); len(c.order) > maxCancels {
		delete(c.reasons, c.order[0])
		c.order = c.order[1:]
	}
}

func (c *Control) note(record *kgo.Record) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.next[record.Partition] = record.Offset + 1
}

// Cancelled returns the reason of a CANCEL, and whether there was one.
func (c *Control) Cancelled(correlationID string) (reason string, found bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	reason, found = c.reasons[correlationID]
	return reason, found
}

// CatchUp waits until everything is read that is in the topic now.
func (c *Control) CatchUp(ctx context.Context) error {
	const pause = 10 * time.Millisecond
	extents, err := Extents(ctx, kadm.NewClient(c.client), c.topic)
	if err != nil {
		return err
	}
	for !c.hasRead(extents) {
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (c *Control) hasRead(extents map[int32]Extent) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for partition, extent := range extents {
		if extent.Start < extent.End && c.next[partition] < extent.End {
			return false
		}
	}
	return true
}
