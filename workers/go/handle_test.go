package kafkabridge

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"kafkabridge/internal/protocol"
	"kafkabridge/internal/runtime"
)

type files struct {
	Path string `json:"path"`
	Size int64  `json:"size"`
}

func (f files) Validate() error {
	if f.Path == "" {
		return errors.New("path is empty")
	}
	return nil
}

// call runs a handler with a payload.
func call[P, R any](t *testing.T, mediaType, payload string, handler func(context.Context, *Job[P]) (R, error)) runtime.Outcome {
	t.Helper()
	worker, err := New(Settings{Brokers: []string{"b"}, Group: "g"})
	if err != nil {
		t.Fatal(err)
	}
	Handle(worker, "t", handler)
	request := &protocol.JobRequest{JobType: "t"}
	if mediaType != "" {
		request.PayloadType, request.Payload = &mediaType, []byte(payload)
	}
	return worker.handlers["t"].Run(t.Context(), &runtime.Call{Request: request, Delivery: 1})
}

func TestAPayloadIsDecodedAndAResultIsEncoded(t *testing.T) {
	got := call(t, "application/json", `{"path": "/a", "size": 9007199254740993}`, func(_ context.Context, job *Job[files]) (files, error) {
		return job.Payload, nil
	})
	if string(got.Result) != `{"path":"/a","size":9007199254740993}` || got.ResultType != "application/json" {
		t.Errorf("got %s", got.Result)
	}
}

func TestAPayloadThatDoesNotFitIsInvalid(t *testing.T) {
	handler := func(context.Context, *Job[files]) (None, error) {
		t.Error("the handler is called")
		return None{}, nil
	}
	for _, each := range [][2]string{
		{"application/json", `{"path": 1}`},
		{"application/json", `{"half": `},
		{"application/json", `{"path": ""}`},
		{"text/plain", `a`},
		{"", ""},
	} {
		if got := call(t, each[0], each[1], handler); got.Failure == nil || got.Failure.Type != "invalid_payload" || got.Failure.Retryable {
			t.Errorf("%v: got %+v", each, got.Failure)
		}
	}
}

func TestDataIsPassedAsItIs(t *testing.T) {
	got := call(t, "text/plain", "\x00\xff", func(_ context.Context, job *Job[Data]) (Data, error) { return job.Payload, nil })
	if string(got.Result) != "\x00\xff" || got.ResultType != "text/plain" {
		t.Errorf("got %+v", got)
	}
	got = call(t, "", "", func(_ context.Context, job *Job[Data]) (Data, error) { return job.Payload, nil })
	if got.Result != nil || got.ResultType != "" {
		t.Errorf("no payload became %+v", got)
	}
}

func TestAnErrorKeepsItsType(t *testing.T) {
	own := &Error{Type: "disk_full", Message: "No space", Details: "df", Retryable: false}
	for _, err := range []error{own, fmt.Errorf("while copying: %w", own)} {
		got := call(t, "", "", func(context.Context, *Job[None]) (None, error) { return None{}, err })
		if got.Failure.Type != "disk_full" || got.Failure.Message != "No space" || got.Failure.Retryable || *got.Failure.Details != "df" {
			t.Errorf("got %+v", got.Failure)
		}
	}
	got := call(t, "", "", func(context.Context, *Job[None]) (None, error) { return None{}, errors.New("other") })
	if got.Failure.Type != "error" || !got.Failure.Retryable {
		t.Errorf("got %+v", got.Failure)
	}
}

func TestTheCauseOfAStopIsKnown(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(&runtime.Stop{Kind: runtime.StopCancelled, Reason: "cleared by alice"})
	if cause := context.Cause(ctx); !errors.Is(cause, ErrCancelled) || errors.Is(cause, ErrLost) {
		t.Errorf("the cause is %v", cause)
	}
	if !isStop(ctx, fmt.Errorf("read: %w", ctx.Err())) || !isStop(ctx, context.Cause(ctx)) || isStop(ctx, errors.New("other")) {
		t.Error("errors that only say that the context has ended are not told from others")
	}
}

func TestReportsOfAJobInATestGoNowhere(t *testing.T) {
	job := &Job[files]{Payload: files{Path: "/a"}}
	job.Progress(1, 2, "files")
	job.Message("working")
	job.SetExternalID("x")
	if err := job.SaveCheckpoint(map[string]int{"page": 7}); err != nil {
		t.Error(err)
	}
}

func TestACheckpointThatCannotBeSavedIsAnError(t *testing.T) {
	job := &Job[None]{}
	for kind, value := range map[string]any{
		"checkpoint_too_large":        strings.Repeat("x", 3_999),
		"checkpoint_not_serialisable": make(chan int),
	} {
		var err *Error
		if !errors.As(job.SaveCheckpoint(value), &err) || err.Type != kind || err.Retryable {
			t.Errorf("%s: got %v", kind, err)
		}
	}
}

func TestAJobTypeHasOneHandler(t *testing.T) {
	worker, _ := New(Settings{Brokers: []string{"b"}, Group: "g"})
	handler := func(context.Context, *Job[None]) (None, error) { return None{}, nil }
	Handle(worker, "t", handler)
	defer func() {
		if recover() == nil {
			t.Error("a second handler replaces the first")
		}
	}()
	Handle(worker, "t", handler)
}
