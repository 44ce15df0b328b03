package kafkabridge

import (
	"context"
	"encoding/json"
	"fmt"

	"kafkabridge/internal/protocol"
	"kafkabridge/internal/runtime"
)

// None is the payload or the result of jobs without one.
type None struct{}

// Data is a payload or a result with a media type of its own. A payload that is nil is none.
type Data struct {
	Type  string
	Bytes []byte
}

// A HandleOption changes how jobs of a type are run.
type HandleOption func(*runtime.Handler)

// Concurrency limits how many jobs of a type run at the same time, within that of the worker.
func Concurrency(limit int) HandleOption {
	return func(h *runtime.Handler) { h.Concurrency = limit }
}

// Handle registers the handler of a job type.
//
// The payload is decoded from JSON into P; if P has a method Validate() error, it is called. P may also be
// [Data], which takes any payload, or [None], which ignores it. The result is encoded as JSON, unless R is
// [Data] or [None].
//
// The context ends when the job must stop; context.Cause says why. A handler that returns the context's
// error then has stopped, and the job is CANCELLED, or failed at its deadline, or given back. A panic
// fails the job, with the stack.
//
// Handle panics if the type is empty or has a handler already: both are faults of the program.
func Handle[P, R any](w *Worker, jobType string, handler func(context.Context, *Job[P]) (R, error), options ...HandleOption) {
	if jobType == "" {
		panic("kafkabridge: a handler needs a job type")
	}
	if w.handlers[jobType] != nil {
		panic(fmt.Sprintf("kafkabridge: the job type %q has two handlers", jobType))
	}
	h := &runtime.Handler{Run: func(ctx context.Context, call *runtime.Call) runtime.Outcome {
		job := &Job[P]{JobInfo: infoOf(call)}
		if err := decodePayload(call.Request, &job.Payload); err != nil {
			return runtime.Outcome{Failure: failureOf(err)}
		}
		result, err := handler(ctx, job)
		if err != nil {
			return runtime.Outcome{Failure: failureOf(err), Stopped: isStop(ctx, err)}
		}
		return outcomeOf(result)
	}}
	for _, option := range options {
		option(h)
	}
	w.handlers[jobType] = h
}

// decodePayload reads the payload of a request.
func decodePayload(request *protocol.JobRequest, into any) error {
	switch into := into.(type) {
	case *None:
		return nil
	case *Data:
		if request.PayloadType != nil {
			*into = Data{Type: *request.PayloadType, Bytes: request.Payload}
		}
		return nil
	}
	if request.PayloadType == nil {
		return InvalidPayload("the job type %s needs a payload, and the request has none", request.JobType)
	}
	if !protocol.IsJSON(*request.PayloadType) {
		return InvalidPayload("the payload is %s, and JSON is expected", *request.PayloadType)
	}
	if err := json.Unmarshal(request.Payload, into); err != nil {
		return InvalidPayload("the payload does not fit: %v", err)
	}
	if checked, ok := into.(interface{ Validate() error }); ok {
		if err := checked.Validate(); err != nil {
			return InvalidPayload("the payload is not valid: %v", err)
		}
	}
	return nil
}

// outcomeOf returns the result of a job as bytes.
func outcomeOf(result any) runtime.Outcome {
	switch result := result.(type) {
	case None:
		return runtime.Outcome{}
	case Data:
		if result.Type == "" && result.Bytes == nil {
			return runtime.Outcome{}
		}
		if result.Type == "" {
			result.Type = protocol.MediaTypeBinary
		}
		if result.Bytes == nil {
			result.Bytes = []byte{}
		}
		return runtime.Outcome{Result: result.Bytes, ResultType: result.Type}
	}
	text, err := json.Marshal(result)
	if err != nil {
		return runtime.Outcome{Failure: failureOf(&Error{Type: "invalid_result", Message: fmt.Sprintf("the result cannot be encoded: %v", err)})}
	}
	return runtime.Outcome{Result: text, ResultType: protocol.MediaTypeJSON}
}
