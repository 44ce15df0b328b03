package protocol

import (
	"math"
	"strconv"
	"unicode/utf8"
)

// The first and the last millisecond of the years 1 to 9999.
const (
	minTime = -62_135_596_800_000
	maxTime = 253_402_300_799_999
)

// A checker collects the first fault of a message.
type checker struct{ err error }

func (c *checker) fail(format string, args ...any) {
	if c.err == nil {
		c.err = unreadable(format, args...)
	}
}

func (c *checker) text(name, value string) {
	if !utf8.ValidString(value) {
		c.fail("%s is not UTF-8", name)
	}
}

func (c *checker) named(name, value string) {
	c.text(name, value)
	if value == "" {
		c.fail("%s is empty", name)
	}
}

func (c *checker) optional(name string, value *string) {
	if value != nil {
		c.text(name, *value)
	}
}

func (c *checker) time(name string, value int64) {
	if value < minTime || value > maxTime {
		c.fail("%s is not in the years 1 to 9999: %d", name, value)
	}
}

func (c *checker) optionalTime(name string, value *int64) {
	if value != nil {
		c.time(name, *value)
	}
}

func (c *checker) atLeast(name string, value, least int64) {
	if value < least {
		c.fail("%s is %d, at least %d is allowed", name, value, least)
	}
}

func (c *checker) finite(name string, value float64) {
	if math.IsNaN(value) || math.IsInf(value, 0) {
		c.fail("%s is not a finite number", name)
	}
}

func (c *checker) attributes(value map[string]string) {
	for key, text := range value {
		c.text("a key of attributes", key)
		c.text("an attribute", text)
	}
}

func (c *checker) reference(name string, value *Reference) {
	if value == nil {
		return
	}
	c.named(name+".uri", value.URI)
	c.atLeast(name+".size", value.Size, 0)
	if len(value.SHA256) != 64 {
		c.fail("%s.sha256 has %d digits, not 64", name, len(value.SHA256))
	}
	for _, digit := range value.SHA256 {
		if !isHex(digit) {
			c.fail("%s.sha256 has a character that is not hexadecimal", name)
			return
		}
	}
}

func isHex(r rune) bool {
	return '0' <= r && r <= '9' || 'a' <= r && r <= 'f' || 'A' <= r && r <= 'F'
}

// typed checks data with its media type, and completes what is tolerated: a media type without data is
// JSON's null if it is a JSON type, and no data otherwise.
func (c *checker) typed(name string, data *[]byte, mediaType **string) {
	c.optional(name+"_type", *mediaType)
	switch {
	case *mediaType == nil && *data != nil:
		c.fail("%s has no media type", name)
	case *mediaType != nil && *data == nil && IsJSON(**mediaType):
		*data = []byte("null")
	case *data == nil:
		*mediaType = nil
	}
}

func (c *checker) task(task *Task) {
	if task == nil {
		return
	}
	for name, value := range map[string]string{
		"source": task.Source, "dag_id": task.DagID, "run_id": task.RunID, "task_id": task.TaskID,
	} {
		c.text("task."+name, value)
	}
	c.optional("task.url", task.URL)
}

func (r *JobRequest) valid() error {
	var c checker
	c.named("correlation_id", r.CorrelationID)
	c.named("job_type", r.JobType)
	c.named("response_topic", r.ResponseTopic)
	c.atLeast("attempt", int64(r.Attempt), 1)
	c.atLeast("heartbeat_interval_ms", int64(r.HeartbeatIntervalMS), 0)
	c.typed("payload", &r.Payload, &r.PayloadType)
	c.reference("payload_ref", r.PayloadRef)
	c.time("created_at", r.CreatedAt)
	c.optionalTime("expires_at", r.ExpiresAt)
	c.optionalTime("deadline", r.Deadline)
	c.task(r.Task)
	c.attributes(r.Attributes)
	return c.err
}

func (e *StatusEvent) valid() error {
	var head, rest checker
	head.named("correlation_id", e.CorrelationID)
	if e.Error != nil {
		e.Error.check(&head)
	}
	if head.err != nil {
		return head.err
	}
	e.check(&rest)
	if e.Error != nil {
		return nil // an invalid field beside an error does not hide the error
	}
	return rest.err
}

func (e *StatusEvent) check(c *checker) {
	c.named("event_id", e.EventID)
	c.atLeast("delivery", int64(e.Delivery), 1)
	c.atLeast("sequence", e.Sequence, 0)
	c.time("occurred_at", e.OccurredAt)
	c.text("worker_id", e.WorkerID)
	c.optional("message", e.Message)
	if e.Progress != nil {
		c.finite("progress.completed", e.Progress.Completed)
		if e.Progress.Total != nil {
			c.finite("progress.total", *e.Progress.Total)
		}
		c.optional("progress.unit", e.Progress.Unit)
	}
	c.optional("external_id", e.ExternalID)
	c.typed("result", &e.Result, &e.ResultType)
	c.reference("result_ref", e.ResultRef)
	c.attributes(e.Attributes)
}

func (f *JobFailure) check(c *checker) {
	if f.Type == "" {
		f.Type = "error"
	}
	c.text("error.type", f.Type)
	c.text("error.message", f.Message)
	c.optional("error.details", f.Details)
}

func (m *JobCommand) valid() error {
	var c checker
	c.named("correlation_id", m.CorrelationID)
	c.optional("reason", m.Reason)
	c.time("issued_at", m.IssuedAt)
	c.attributes(m.Attributes)
	return c.err
}

// IsCorrelationID tells whether a record's key is a correlation id: UUID text in lower case.
func IsCorrelationID(key []byte) bool {
	if len(key) != 36 {
		return false
	}
	for i, b := range key {
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if b != '-' {
				return false
			}
		} else if !('0' <= b && b <= '9' || 'a' <= b && b <= 'f') {
			return false
		}
	}
	return true
}

func quoted(text string) string { return strconv.Quote(text) }
