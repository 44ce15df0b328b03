package kafka

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	// scanSilence is how long brokers may send nothing during a scan; an open transaction ends before.
	scanSilence = 60 * time.Second
	scanWait    = 50 * time.Millisecond
)

// Reader returns the options of a client that reads topics without a group.
//
// Control records are kept: transaction markers have offsets, and without them a reader that stops at a
// position would wait for it forever.
func Reader(options []kgo.Opt, wait time.Duration) []kgo.Opt {
	return append(options[:len(options):len(options)],
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(),
		kgo.FetchMaxWait(wait),
		kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()),
	)
}

// Scan passes the records of a topic since a time (milliseconds since 1970) to a function, up to where
// the topic ends now. The end is a position and not a record.
func Scan(ctx context.Context, options []kgo.Opt, topic string, sinceMS int64, each func(*kgo.Record)) error {
	client, err := kgo.NewClient(Reader(options, scanWait)...)
	if err != nil {
		return err
	}
	defer client.Close()
	extents, err := extentsSince(ctx, kadm.NewClient(client), topic, sinceMS)
	if err != nil {
		return fmt.Errorf("find the events since %s in %s: %w", time.UnixMilli(sinceMS).UTC().Format(time.RFC3339), topic, err)
	}
	left := newPositions(extents)
	starts := map[int32]kgo.Offset{}
	for partition := range left {
		starts[partition] = kgo.NewOffset().At(extents[partition].Start)
	}
	client.AddConsumePartitions(map[string]map[int32]kgo.Offset{topic: starts})
	for len(left) > 0 {
		if err := scanMore(ctx, client, left, each); err != nil {
			return fmt.Errorf("read %s: %w", topic, err)
		}
	}
	return nil
}

func scanMore(ctx context.Context, client *kgo.Client, left positions, each func(*kgo.Record)) error {
	silence, cancel := context.WithTimeout(ctx, scanSilence)
	defer cancel()
	fetches := client.PollFetches(silence)
	if err := ctx.Err(); err != nil {
		return err
	}
	if silence.Err() != nil {
		return fmt.Errorf("no record came for %s", scanSilence)
	}
	var failure error
	fetches.EachError(func(_ string, _ int32, err error) {
		if IsUnusable(err) {
			failure = err
		}
	})
	fetches.EachRecord(func(record *kgo.Record) {
		if !record.Attrs.IsControl() && !left.isPast(record) {
			each(record)
		}
		left.read(record)
	})
	return failure
}

// positions has for each partition the offset to stop at.
type positions map[int32]int64

func newPositions(extents map[int32]Extent) positions {
	left := positions{}
	for partition, extent := range extents {
		if extent.Start < extent.End {
			left[partition] = extent.End
		}
	}
	return left
}

// isPast tells whether a record is behind the position.
func (p positions) isPast(record *kgo.Record) bool {
	end, found := p[record.Partition]
	return !found || record.Offset >= end
}

// read notes that a record was read; a partition that was read to its position is removed.
func (p positions) read(record *kgo.Record) {
	if end, found := p[record.Partition]; found && record.Offset+1 >= end {
		delete(p, record.Partition)
	}
}
