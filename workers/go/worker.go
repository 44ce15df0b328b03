package kafkabridge

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kgo"

	"kafkabridge/internal/runtime"
)

// A Worker consumes job requests and runs them with its handlers.
type Worker struct {
	settings Settings
	handlers map[string]*runtime.Handler
	hasRun   atomic.Bool
}

// New returns a worker without handlers. It does not connect yet.
func New(settings Settings) (*Worker, error) {
	settings, err := settings.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Worker{settings: settings, handlers: map[string]*runtime.Handler{}}, nil
}

// Run runs jobs until the context ends. Then it accepts no more, lets the running jobs continue for the
// grace period, gives back what has not ended, and returns nil.
//
// While no broker answers it waits and continues. Its errors are those of settings that cannot be used.
func (w *Worker) Run(ctx context.Context) error {
	if len(w.handlers) == 0 {
		return fmt.Errorf("the worker has no handlers: call kafkabridge.Handle before Run")
	}
	if w.hasRun.Swap(true) {
		return fmt.Errorf("a worker runs once: create another one")
	}
	s := w.settings
	options := append([]kgo.Opt{
		kgo.SeedBrokers(s.Brokers...),
		kgo.ClientID("kafka-bridge"),
		kgo.MaxVersions(versions()),
		kgo.WithLogger(clientLogger{s.Logger}),
	}, s.Kafka...)
	return runtime.Serve(ctx, runtime.Settings{
		RequestTopic:    s.RequestTopic,
		DeadLetterTopic: s.DeadLetterTopic,
		WorkerID:        s.WorkerID,
		Concurrency:     s.Concurrency,
		MaxDeliveries:   s.MaxDeliveries,
		Grace:           s.Grace,
		Handlers:        w.handlers,
		Log:             s.Logger,
	}, runtime.Kafka{
		Group:             s.Group,
		ControlTopic:      s.ControlTopic,
		SessionTimeout:    s.SessionTimeout,
		HeartbeatInterval: s.HeartbeatInterval,
		RebalanceTimeout:  s.RebalanceTimeout,
		Options:           options,
	})
}
