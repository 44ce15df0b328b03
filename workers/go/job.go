package kafkabridge

import (
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
