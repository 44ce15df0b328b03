package runtime

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"kafkabridge/internal/kafka"
	"kafkabridge/internal/protocol"
)

const (
	requests    = "jobs.requests"
	responses   = "jobs.responses"
	deadLetters = "jobs.dead-letters"
)

// A stage is a loop with a Kafka that exists only in memory, in a bubble with a clock of its own.
type stage struct {
	t         *testing.T
	loop      *loop
	handlers  map[string]*Handler
	member    atomic.Bool
	failWith  atomic.Pointer[error] // of the next records
	onFailure func()
	onPublish func()
	offset    int64
	stop      context.CancelFunc
	ended     chan struct{}
	mu        sync.Mutex
	published []*kgo.Record
	ledger    []*kgo.Record // what other workers have published
	cancels   map[string]string
	committed map[int32]int64
}

// onStage runs a test with a worker that has partition 0.
func onStage(t *testing.T, concurrency int, test func(*stage)) {
	synctest.Test(t, func(t *testing.T) {
		s := &stage{
			t: t, handlers: map[string]*Handler{}, ended: make(chan struct{}),
			cancels: map[string]string{}, committed: map[int32]int64{},
		}
		s.member.Store(true)
		s.loop = newLoop(Settings{
			RequestTopic: requests, DeadLetterTopic: deadLetters, WorkerID: "w", Concurrency: concurrency,
			MaxDeliveries: 5, Grace: time.Second, Handlers: s.handlers, Log: slog.New(slog.DiscardHandler),
		}, services{
			publisher: s, lease: s,
			cancelled: func(id string) (string, bool) {
				s.mu.Lock()
				defer s.mu.Unlock()
				reason, found := s.cancels[id]
				return reason, found
			},
			commit: func(_ context.Context, offsets map[int32]int64) error {
				s.mu.Lock()
				defer s.mu.Unlock()
				for partition, at := range offsets {
					s.committed[partition] = at
				}
				return nil
			},
			readLedger: func(_ context.Context, _ string, into *snapshot) error {
				s.mu.Lock()
				defer s.mu.Unlock()
				for _, each := range s.ledger {
					into.read(each)
				}
				return nil
			},
			backlog: func(context.Context) (map[int32]kafka.Extent, error) {
				return map[int32]kafka.Extent{0: {Start: 0, End: 0}}, nil
			},
		})
		var ctx context.Context
		ctx, s.stop = context.WithCancel(t.Context())
		go func() { defer close(s.ended); s.loop.run(ctx) }()
		s.loop.assigned([]int32{0})
		s.settle()
		test(s)
		s.stop()
		<-s.ended
	})
}

func (s *stage) IsValid() bool { return s.member.Load() }
func (s *stage) RenewSoon()    {}

func (s *stage) TryProduce(ctx context.Context, record *kgo.Record, promise func(*kgo.Record, error)) {
	go func() {
		if err := ctx.Err(); err != nil {
			promise(record, err)
			return
		}
		if err := s.failWith.Load(); err != nil && record.Topic == responses {
			if s.onFailure != nil {
				s.onFailure()
			}
			promise(record, *err)
			return
		}
		s.mu.Lock()
		s.published = append(s.published, record)
		s.mu.Unlock()
		if s.onPublish != nil {
			s.onPublish()
		}
		promise(record, nil)
	}()
}

// settle waits until nothing more happens by itself.
func (s *stage) settle() {
	for range 3 {
		synctest.Wait()
		time.Sleep(tickInterval)
	}
	synctest.Wait()
}

// handle registers a handler that runs until the channel is closed, or until it is asked to stop.
func (s *stage) handle(jobType string, until <-chan struct{}) {
	s.handlers[jobType] = &Handler{Run: func(ctx context.Context, _ *Call) Outcome {
		select {
		case <-until:
			return Outcome{}
		case <-ctx.Done():
			return Outcome{Failure: &protocol.JobFailure{Type: "error"}, Stopped: true}
		}
	}}
}

// submit publishes a request for a job, and returns its id.
func (s *stage) submit(jobType string) string {
	id := fmt.Sprintf("6f1c2f0a-8d4e-4b57-9a53-%012d", s.offset)
	s.publish(id, jobType, "")
	return id
}

func (s *stage) publish(id, jobType, more string) {
	text := fmt.Sprintf(`{"correlation_id": %q, "attempt": 1, "job_type": %q, "response_topic": %q, "created_at": %d,
		"heartbeat_interval_ms": 10000%s}`, id, jobType, responses, time.Now().UnixMilli(), more)
	s.deliver(id, []byte(text))
}

func (s *stage) deliver(key string, value []byte) {
	s.loop.receive([]*kgo.Record{{
		Topic: requests, Key: []byte(key), Value: value, Offset: s.offset, Timestamp: time.Now(),
		Headers: []kgo.RecordHeader{{Key: protocol.HeaderReplyTopic, Value: []byte(responses)}},
	}})
	s.offset++
	s.settle()
}

func (s *stage) events(id string) (events []*protocol.StatusEvent) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, record := range s.published {
		if record.Topic != responses || string(record.Key) != id {
			continue
		}
		event, _, err := protocol.DecodeEvent(record.Value)
		if err != nil {
			s.t.Fatal(err)
		}
		events = append(events, event)
	}
	return events
}

func (s *stage) states(id string) (states []protocol.State) {
	for _, each := range s.events(id) {
		if each.State != protocol.StateRunning {
			states = append(states, each.State)
		}
	}
	return states
}

func (s *stage) wantStates(id string, want ...protocol.State) {
	s.t.Helper()
	if got := s.states(id); fmt.Sprint(got) != fmt.Sprint(want) {
		s.t.Errorf("the events of %s are %v, not %v", id, got, want)
	}
}

func (s *stage) letters() (count int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, record := range s.published {
		if record.Topic == deadLetters {
			count++
		}
	}
	return count
}

func (s *stage) wantCommitted(want int64) {
	s.t.Helper()
	time.Sleep(2 * commitInterval)
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if got := s.committed[0]; got != want {
		s.t.Errorf("%d is committed, not %d", got, want)
	}
}

func (s *stage) cancel(id, reason string) {
	s.mu.Lock()
	s.cancels[id] = reason
	s.mu.Unlock()
	s.loop.cancelled(id)
	s.settle()
}

// tell publishes an event in the name of another worker.
func (s *stage) tell(id string, state protocol.State, delivery int32) {
	s.tellWith(id, state, delivery, nil)
}

func (s *stage) tellWith(id string, state protocol.State, delivery int32, attributes map[string]string) {
	s.tellEvent(&protocol.StatusEvent{
		CorrelationID: id, EventID: "e", Delivery: delivery, Sequence: 7, State: state, WorkerID: "other",
		Attributes: attributes,
	})
}

func (s *stage) tellEvent(event *protocol.StatusEvent) {
	value, err := protocol.EncodeEvent(event, protocol.EncodingJSON)
	if err != nil {
		s.t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ledger = append(s.ledger, &kgo.Record{Topic: responses, Key: []byte(event.CorrelationID), Value: value})
}

// indexOf returns where an event is among all that were published; -1 if it is not.
func (s *stage) indexOf(id string, state protocol.State) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, record := range s.published {
		event, _, err := protocol.DecodeEvent(record.Value)
		if err == nil && event.CorrelationID == id && event.State == state {
			return i
		}
	}
	return -1
}

func itoa(number int64) string { return fmt.Sprint(number) }
