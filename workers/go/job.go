package kafkabridge

import (
	"encoding/json"
	"fmt"
	"time"

	"kafkabridge/internal/protocol"
	"kafkabridge/internal/runtime"
)

// Types of the protocol that handlers see.
type (
	// Header is a header of the request's record, traceparent for example.
	Header = protocol.Header
	// Task is the Airflow task that submitted a job.
	Task = protocol.Task
)

// A Job is one job with its payload.
type Job[P any] struct {
	JobInfo
	Payload P
}

// JobInfo is what is known of a job, and how its handler reports. In tests of handlers its zero value is
// useful: reports go nowhere.
type JobInfo struct {
	ID          string // the correlation id; the idempotency key for systems that want one
	Type        string
	PayloadType string // the media type of the payload; empty without a payload
	Attempt     int    // counts the submissions of one task instance, from 1
	Delivery    int    // counts how often a worker has picked up the job, from 1
	CreatedAt   time.Time
	Deadline    time.Time // zero: none; the context ends then
	Task        *Task     // nil: not known
	Headers     []Header
	// ExternalID is what an earlier delivery has passed to SetExternalID: continue that work, if you can.
	ExternalID string
	// Checkpoint is what an earlier delivery has passed to SaveCheckpoint, as JSON: continue there. nil: nothing.
	Checkpoint json.RawMessage

	call *runtime.Call
}

// Progress reports how much is done, of how much, in which unit. Events go out at most twice a second;
// the last one always does.
func (j *JobInfo) Progress(completed, total float64, unit string) {
	j.report(completed, &total, unit)
}

// ProgressWithoutTotal is for work whose end is not known.
func (j *JobInfo) ProgressWithoutTotal(completed float64, unit string) {
	j.report(completed, nil, unit)
}

func (j *JobInfo) report(completed float64, total *float64, unit string) {
	if j.call != nil {
		j.call.Progress(completed, total, unit)
	}
}

// Message reports a line for the task's log. Of several lines within half a second, the last one counts.
func (j *JobInfo) Message(text string) {
	if j.call != nil {
		j.call.Message(text)
	}
}

// SetExternalID reports what the system that does the work calls the job. The next delivery finds it in
// ExternalID, if this worker dies.
func (j *JobInfo) SetExternalID(id string) {
	if j.call != nil {
		j.call.SetExternalID(id)
	}
}

// SaveCheckpoint keeps how far the job is: the next delivery finds it in Checkpoint, if this worker stops
// or dies. nil clears it. It is not shown in the task's log.
//
// Save what is done, after it is done: SaveCheckpoint does not wait until the brokers have the checkpoint, so
// the next delivery may repeat a little work. At most four events a second go out, always with the latest value.
//
// The error is an [*Error], and the checkpoint before is kept: value has no JSON form
// (checkpoint_not_serialisable), or more than 4,000 bytes of it (checkpoint_too_large).
func (j *JobInfo) SaveCheckpoint(value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return &Error{Type: "checkpoint_not_serialisable", Message: "the checkpoint was not saved: " + err.Error(), Err: err}
	}
	if len(text) > protocol.MaxCheckpointBytes {
		return &Error{Type: "checkpoint_too_large", Message: fmt.Sprintf(
			"the checkpoint was not saved: it has %d bytes as JSON, and %d are allowed", len(text), protocol.MaxCheckpointBytes)}
	}
	if j.call != nil {
		j.call.SaveCheckpoint(string(text))
	}
	return nil
}

func infoOf(call *runtime.Call) JobInfo {
	request := call.Request
	info := JobInfo{
		ID:         request.CorrelationID,
		Type:       request.JobType,
		Attempt:    int(request.Attempt),
		Delivery:   call.Delivery,
		CreatedAt:  time.UnixMilli(request.CreatedAt),
		Task:       request.Task,
		Headers:    call.Headers,
		ExternalID: call.ExternalID,
		Checkpoint: call.Checkpoint,
		call:       call,
	}
	if request.PayloadType != nil {
		info.PayloadType = *request.PayloadType
	}
	if request.Deadline != nil {
		info.Deadline = time.UnixMilli(*request.Deadline)
	}
	return info
}
