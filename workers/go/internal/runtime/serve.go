package runtime

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kafkabridge/internal/kafka"
)

const (
	fetchWait     = 500 * time.Millisecond
	pollRecords   = 500
	topicAttempts = 3
)

// Kafka is how a worker reaches Kafka.
type Kafka struct {
	Group             string
	ControlTopic      string
	SessionTimeout    time.Duration
	HeartbeatInterval time.Duration
	RebalanceTimeout  time.Duration
	Options           []kgo.Opt // addresses and credentials, for all clients
}

// Serve runs jobs until the context ends and the running ones have ended or are given back.
func Serve(ctx context.Context, settings Settings, k Kafka) error {
	s := &service{settings: settings, kafka: k, lease: kafka.NewLease(k.SessionTimeout)}
	if err := s.connect(); err != nil {
		return err
	}
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	wg.Go(func() { s.control.Follow(background) })
	wg.Go(func() { s.poll(background) })
	wg.Go(func() {
		s.lease.Keep(background, k.HeartbeatInterval, func(ctx context.Context) error {
			return kafka.Heartbeat(ctx, s.client, k.Group)
		})
	})
	s.loop.run(ctx)
	stop()
	s.client.CloseAllowingRebalance() // leaves the group, so that others have its partitions at once
	wg.Wait()
	return nil
}

// A service connects the loop with Kafka.
type service struct {
	settings Settings
	kafka    Kafka
	lease    *kafka.Lease
	client   *kgo.Client
	admin    *kadm.Client
	control  *kafka.Control
	loop     *loop
}

func (s *service) connect() (err error) {
	s.control, err = kafka.NewControl(s.kafka.Options, s.kafka.ControlTopic, s.settings.Log, func(id string) { s.loop.cancelled(id) })
	if err != nil {
		return fmt.Errorf("create the reader of %s: %w", s.kafka.ControlTopic, err)
	}
	s.loop = newLoop(s.settings, services{
		publisher:  s,
		lease:      s.lease,
		cancelled:  s.control.Cancelled,
		commit:     s.commit,
		readLedger: s.readLedger,
		backlog: func(ctx context.Context) (map[int32]kafka.Extent, error) {
			return kafka.Backlog(ctx, s.admin, s.kafka.Group, s.settings.RequestTopic)
		},
	})
	// The callbacks need the client and come from its goroutines, maybe before NewClient has returned.
	connected := make(chan struct{})
	s.client, err = kgo.NewClient(s.options(connected)...)
	if err != nil {
		return fmt.Errorf("create the Kafka client: %w", err)
	}
	s.admin = kadm.NewClient(s.client)
	close(connected)
	return nil
}

func (s *service) options(connected <-chan struct{}) []kgo.Opt {
	topic := s.settings.RequestTopic
	callback := func(then func([]int32)) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
			<-connected
			then(partitions[topic])
		}
	}
	return append([]kgo.Opt{
		kgo.ConsumerGroup(s.kafka.Group),
		kgo.ConsumeTopics(topic),
		kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(),
		kgo.FetchMaxWait(fetchWait),
		kgo.Balancers(kgo.CooperativeStickyBalancer()), // as kafka-bridge's own worker: a group may have both
		kgo.SessionTimeout(s.kafka.SessionTimeout),
		kgo.HeartbeatInterval(s.kafka.HeartbeatInterval),
		kgo.RebalanceTimeout(s.kafka.RebalanceTimeout),
		kgo.DisableAutoCommit(),
		kgo.BlockRebalanceOnPoll(),
		kgo.OnPartitionsAssigned(callback(func(p []int32) { s.loop.assigned(p) })),
		kgo.OnPartitionsRevoked(callback(func(p []int32) { s.loop.revoked(p) })),
		kgo.OnPartitionsLost(callback(func(p []int32) { s.loop.lost(p) })),
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)), // murmur2, as Java's client
		kgo.ProducerLinger(0),
	}, s.kafka.Options...)
}

// TryProduce publishes a record.
func (s *service) TryProduce(ctx context.Context, record *kgo.Record, promise func(*kgo.Record, error)) {
	s.client.TryProduce(ctx, record, promise)
}

// poll passes the records of the request topic to the loop. It waits while the loop has no room: a client
// that does not poll stays in its group.
func (s *service) poll(ctx context.Context) {
	for ctx.Err() == nil {
		fetches := s.client.PollRecords(ctx, pollRecords)
		fetches.EachError(func(topic string, partition int32, err error) {
			if ctx.Err() == nil {
				s.settings.Log.Warn("Requests cannot be fetched", "topic", topic, "partition", partition, "error", err)
			}
		})
		var room <-chan struct{}
		if records := fetches.Records(); len(records) > 0 {
			room = s.loop.receive(records)
		}
		s.client.AllowRebalance()
		if room != nil {
			s.loop.await(room)
		}
	}
}

// commit commits offsets by partition, without metadata: kafka-bridge's own worker writes some, which
// nobody else need understand.
func (s *service) commit(ctx context.Context, positions map[int32]int64) error {
	offsets := map[int32]kgo.EpochOffset{}
	for partition, at := range positions {
		offsets[partition] = kgo.EpochOffset{Epoch: -1, Offset: at}
	}
	ctx = kgo.PreCommitFnContext(ctx, func(request *kmsg.OffsetCommitRequest) error {
		for i := range request.Topics {
			for k := range request.Topics[i].Partitions {
				request.Topics[i].Partitions[k].Metadata = kmsg.StringPtr("")
			}
		}
		return nil
	})
	var failure error
	s.client.CommitOffsetsSync(ctx, map[string]map[int32]kgo.EpochOffset{s.settings.RequestTopic: offsets},
		func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, response *kmsg.OffsetCommitResponse, err error) {
			failure = commitFailure(response, err)
		})
	return failure
}

// readLedger reads until it succeeds. Its only errors are those of a topic that cannot be used.
func (s *service) readLedger(ctx context.Context, topic string, into *snapshot) error {
	unusable := 0
	for {
		err := s.readLedgerOnce(ctx, topic, into)
		if err == nil || ctx.Err() != nil {
			return err
		}
		if kafka.IsUnusable(err) {
			if unusable++; unusable == topicAttempts { // it may have been created just now
				return err
			}
		} else {
			s.settings.Log.Warn("The response topic cannot be read yet; its jobs wait", "topic", topic, "error", err)
		}
		select {
		case <-time.After(retryPause):
		case <-ctx.Done():
		}
	}
}

func (s *service) readLedgerOnce(ctx context.Context, topic string, into *snapshot) error {
	err := s.control.CatchUp(ctx)
	if kafka.IsUnusable(err) {
		s.settings.Log.Warn("There are no CANCELs: the control topic cannot be used", "topic", s.kafka.ControlTopic, "error", err)
	} else if err != nil {
		return fmt.Errorf("read %s: %w", s.kafka.ControlTopic, err)
	}
	into.clear()
	return kafka.Scan(ctx, s.kafka.Options, topic, into.sinceMS, into.read)
}
