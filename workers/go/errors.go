package kafkabridge

import (
	"context"
	"errors"
	"fmt"

	"kafkabridge/internal/protocol"
	"kafkabridge/internal/runtime"
)

// Why a handler is asked to stop: its context ends, and context.Cause of it is one of these, by errors.Is.
var (
	// ErrCancelled means that Airflow no longer wants the job.
	ErrCancelled error = &runtime.Stop{Kind: runtime.StopCancelled}
	// ErrDeadline means that the deadline of the job has passed.
	ErrDeadline error = &runtime.Stop{Kind: runtime.StopDeadline}
	// ErrReleased means that this worker gives the job back: it stops, or the group moves the partition.
	ErrReleased error = &runtime.Stop{Kind: runtime.StopReleased}
	// ErrLost means that another worker has the job already.
	ErrLost error = &runtime.Stop{Kind: runtime.StopLost}
)

// An Error fails a job. The task receives its type, its message, its details, and whether a retry may help.
//
// Any other error that a handler returns fails the job as type "error", and a retry may help.
type Error struct {
	Type      string // a short name such as "disk_full"
	Message   string // a line for a person
	Details   string // more text
	Retryable bool   // whether Airflow should retry
	Err       error  // the cause, if there is one; not sent
}

// Error returns the type and the message.
func (e *Error) Error() string { return e.Type + ": " + e.Message }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// InvalidPayload returns the error for a payload that can be decoded but makes no sense.
func InvalidPayload(format string, args ...any) *Error {
	return &Error{Type: protocol.ErrorInvalidPayload, Message: fmt.Sprintf(format, args...)}
}

// failureOf returns what a task receives of an error.
func failureOf(err error) *protocol.JobFailure {
	failure := &protocol.JobFailure{Type: "error", Message: err.Error(), Retryable: true}
	var own *Error
	if errors.As(err, &own) {
		failure.Message, failure.Retryable = own.Message, own.Retryable
		if own.Type != "" {
			failure.Type = protocol.OneLine(own.Type, protocol.MaxNameBytes)
		}
		if own.Details != "" {
			details := protocol.Block(own.Details, protocol.MaxDetailsBytes)
			failure.Details = &details
		}
	}
	failure.Message = protocol.Block(failure.Message, protocol.MaxErrorMessageBytes)
	return failure
}

// isStop tells whether an error only says that the context has ended.
func isStop(ctx context.Context, err error) bool {
	return ctx.Err() != nil &&
		(errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Cause(ctx)))
}
