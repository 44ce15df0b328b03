package runtime

import (
	"context"
	"encoding/json"

	"kafkabridge/internal/protocol"
)

// A Handler does the work of one job type.
type Handler struct {
	Run         func(context.Context, *Call) Outcome
	Concurrency int // how many jobs of this type run at the same time; 0: as many as the worker runs
}

// A Call is one start of a job, as its handler sees it.
type Call struct {
	Request    *protocol.JobRequest
	Headers    []protocol.Header
	Delivery   int
	ExternalID string          // as an earlier delivery has reported it
	Checkpoint json.RawMessage // as an earlier delivery has saved it; nil: none

	reporter *reporter
}

// Progress reports how much is done. Events go out at most twice a second; the last one always does.
func (c *Call) Progress(completed float64, total *float64, unit string) {
	c.reporter.progress(completed, total, unit)
}

// Message reports a line for people.
func (c *Call) Message(text string) { c.reporter.report(nil, text) }

// SetExternalID reports what the system that does the work calls the job.
func (c *Call) SetExternalID(id string) { c.reporter.setExternalID(id) }

// SaveCheckpoint keeps JSON for the next delivery. Events go out at most four times a second.
func (c *Call) SaveCheckpoint(text string) { c.reporter.saveCheckpoint(text) }

// An Outcome is how a handler has ended.
type Outcome struct {
	Result     []byte // nil: none
	ResultType string // empty: no result
	Failure    *protocol.JobFailure
	Stopped    bool // the failure only says that the context was cancelled
}
