// Command conformance is the worker that `kafka-bridge conformance` tests. docs/how-to/check-a-worker.md
// says what each job type does.
package main

import (
	"context"
	"encoding/json"
	"log"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"kafkabridge"
)

type sleep struct {
	Seconds  float64 `json:"seconds"`
	Stubborn bool    `json:"stubborn"`
}

type steps struct {
	Steps   int     `json:"steps"`
	Seconds float64 `json:"seconds"`
}

type failure struct {
	Type      string `json:"type"`
	Message   string `json:"message"`
	Retryable bool   `json:"retryable"`
}

type echoed struct {
	Type   *string         `json:"type"`
	JSON   json.RawMessage `json:"json,omitempty"`
	Base64 []byte          `json:"base64,omitzero"`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	settings, err := kafkabridge.SettingsFromEnv()
	if err != nil {
		log.Fatal(err)
	}
	settings.Kafka = append(settings.Kafka, kgo.Balancers(unhurried{kgo.CooperativeStickyBalancer()}))
	worker, err := kafkabridge.New(settings)
	if err != nil {
		log.Fatal(err)
	}
	kafkabridge.Handle(worker, "test.echo", noted(echo))
	kafkabridge.Handle(worker, "test.bytes", noted(allBytes))
	kafkabridge.Handle(worker, "test.sleep", noted(sleepFor))
	kafkabridge.Handle(worker, "test.progress", noted(progress))
	kafkabridge.Handle(worker, "test.fail", noted(fail))
	kafkabridge.Handle(worker, "test.crash", noted(crash))
	if err := worker.Run(ctx); err != nil {
		log.Fatal(err)
	}
}

func echo(_ context.Context, job *kafkabridge.Job[kafkabridge.Data]) (echoed, error) {
	if job.PayloadType == "" {
		return echoed{}, nil
	}
	result := echoed{Type: &job.PayloadType}
	name, _, _ := strings.Cut(strings.ToLower(job.PayloadType), ";")
	if name = strings.TrimSpace(name); name == "application/json" || strings.HasSuffix(name, "+json") {
		result.JSON = job.Payload.Bytes
	} else {
		result.Base64 = job.Payload.Bytes
	}
	return result, nil
}

func allBytes(context.Context, *kafkabridge.Job[kafkabridge.None]) (kafkabridge.Data, error) {
	result := make([]byte, 256)
	for i := range result {
		result[i] = byte(i)
	}
	return kafkabridge.Data{Type: "application/octet-stream", Bytes: result}, nil
}

func sleepFor(ctx context.Context, job *kafkabridge.Job[sleep]) (map[string]float64, error) {
	done := time.After(time.Duration(job.Payload.Seconds * float64(time.Second)))
	if job.Payload.Stubborn {
		ctx = context.WithoutCancel(ctx)
	}
	select {
	case <-done:
		return map[string]float64{"slept": job.Payload.Seconds}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func progress(_ context.Context, job *kafkabridge.Job[steps]) (map[string]int, error) {
	for step := 1; step <= job.Payload.Steps; step++ {
		time.Sleep(time.Duration(job.Payload.Seconds * float64(time.Second)))
		job.Progress(float64(step), float64(job.Payload.Steps), "steps")
	}
	return map[string]int{"steps": job.Payload.Steps}, nil
}

func fail(_ context.Context, job *kafkabridge.Job[failure]) (kafkabridge.None, error) {
	p := job.Payload
	return kafkabridge.None{}, &kafkabridge.Error{Type: p.Type, Message: p.Message, Retryable: p.Retryable}
}

func crash(_ context.Context, job *kafkabridge.Job[kafkabridge.None]) (map[string]int, error) {
	if job.Delivery == 1 {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	}
	return map[string]int{"delivery": job.Delivery}, nil
}
