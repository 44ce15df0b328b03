package protocol

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strconv"
)

// An object is a JSON object with its fields undecoded. Of a key that occurs twice the last one counts,
// and names are compared as they are: encoding/json ignores the case of the names of struct fields.
type object map[string]json.RawMessage

func parseObject(value []byte) (object, error) {
	if err := ValidJSON(value); err != nil {
		return nil, err
	}
	var fields object
	if err := json.Unmarshal(value, &fields); err != nil {
		return nil, unreadable("%v", err)
	}
	return fields, nil
}

// A fieldReader reads the fields of an object and keeps the first error. If it is lenient, an invalid
// field is read as its zero value instead.
type fieldReader struct {
	fields  object
	lenient bool
	err     error
}

func (r *fieldReader) fail(name, want string) {
	if r.err == nil && !r.lenient {
		r.err = unreadable("%s is not %s", quoted(name), want)
	}
}

func (r *fieldReader) has(name string) bool {
	raw, found := r.fields[name]
	return found && !bytes.Equal(raw, []byte("null"))
}

// required reports a field that is missing or null.
func (r *fieldReader) required(name string) bool {
	if r.has(name) {
		return true
	}
	if r.err == nil && !r.lenient {
		r.err = unreadable("%s is missing", quoted(name))
	}
	return false
}

// withDefault tells whether a field with a default that is not null is present.
func (r *fieldReader) withDefault(name string) bool {
	if _, found := r.fields[name]; !found {
		return false
	}
	return r.required(name)
}

func (r *fieldReader) parse(name, want string, into any) bool {
	if err := json.Unmarshal(r.fields[name], into); err != nil {
		r.fail(name, want)
		return false
	}
	return true
}

func (r *fieldReader) text(name string) (value string) {
	if r.required(name) {
		r.parse(name, "text", &value)
	}
	return value
}

func (r *fieldReader) optionalText(name string) *string {
	var value string
	if !r.has(name) || !r.parse(name, "text", &value) {
		return nil
	}
	return &value
}

func (r *fieldReader) integer(name string, bits int) int64 {
	if !r.required(name) {
		return 0
	}
	value, err := strconv.ParseInt(string(r.fields[name]), 10, bits)
	if err != nil {
		r.fail(name, "an integer of "+strconv.Itoa(bits)+" bits")
	}
	return value
}

func (r *fieldReader) optionalInteger(name string) *int64 {
	if !r.has(name) {
		return nil
	}
	value := r.integer(name, 64)
	return &value
}

func (r *fieldReader) number(name string) (value float64) {
	if r.required(name) {
		r.parse(name, "a number", &value)
	}
	return value
}

func (r *fieldReader) optionalNumber(name string) *float64 {
	if !r.has(name) {
		return nil
	}
	value := r.number(name)
	return &value
}

func (r *fieldReader) boolean(name string) (value bool) {
	if r.required(name) {
		r.parse(name, "true or false", &value)
	}
	return value
}

func (r *fieldReader) attributes(name string) map[string]string {
	texts := map[string]string{}
	if !r.withDefault(name) {
		return texts
	}
	var values map[string]*string
	if !r.parse(name, "an object of texts", &values) {
		return texts
	}
	for key, value := range values {
		if value == nil {
			r.fail(name, "an object of texts")
			continue
		}
		texts[key] = *value
	}
	return texts
}

// symbol reads an enum symbol; an unknown one becomes "UNKNOWN".
func (r *fieldReader) symbol(name string, known ...string) string {
	value := r.text(name)
	for _, each := range known {
		if value == each {
			return value
		}
	}
	return "UNKNOWN"
}

// data reads a payload or a result, which depends on its media type.
func (r *fieldReader) data(name string, mediaType *string) []byte {
	raw, found := r.fields[name]
	switch {
	case mediaType == nil:
		if r.has(name) {
			r.fail(name, "allowed without its media type")
		}
		return nil
	case IsJSON(*mediaType):
		if !found {
			return nil
		}
		return raw
	case !r.has(name):
		return nil
	}
	var text string
	if !r.parse(name, "base64", &text) {
		return nil
	}
	// Strict about padding bits; line breaks, which Go's decoder skips, are not in the alphabet either.
	data, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || base64.StdEncoding.EncodedLen(len(data)) != len(text) {
		r.fail(name, "base64")
		return nil
	}
	return data
}

// nested reads an optional record.
func nested[M any](r *fieldReader, name string, read func(*fieldReader) *M) *M {
	if !r.has(name) {
		return nil
	}
	var fields object
	if !r.parse(name, "an object", &fields) {
		return nil
	}
	inner := &fieldReader{fields: fields}
	value := read(inner)
	if inner.err != nil {
		if !r.lenient && r.err == nil {
			r.err = inner.err
		}
		return nil
	}
	return value
}

func readReference(r *fieldReader) *Reference {
	return &Reference{URI: r.text("uri"), SHA256: r.text("sha256"), Size: r.integer("size", 64)}
}

func readTask(r *fieldReader) *Task {
	return &Task{
		Source:    r.text("source"),
		DagID:     r.text("dag_id"),
		RunID:     r.text("run_id"),
		TaskID:    r.text("task_id"),
		MapIndex:  int32(r.integer("map_index", 32)),
		TryNumber: int32(r.integer("try_number", 32)),
		URL:       r.optionalText("url"),
	}
}

func readProgress(r *fieldReader) *Progress {
	return &Progress{
		Completed: r.number("completed"),
		Total:     r.optionalNumber("total"),
		Unit:      r.optionalText("unit"),
	}
}

func readFailure(r *fieldReader) *JobFailure {
	return &JobFailure{
		Type:      r.text("type"),
		Message:   r.text("message"),
		Details:   r.optionalText("details"),
		Retryable: r.boolean("retryable"),
	}
}

func requestFromJSON(fields object) (*JobRequest, error) {
	r := &fieldReader{fields: fields}
	payloadType := r.optionalText("payload_type")
	request := &JobRequest{
		CorrelationID:       r.text("correlation_id"),
		Attempt:             int32(r.integer("attempt", 32)),
		JobType:             r.text("job_type"),
		Payload:             r.data("payload", payloadType),
		PayloadType:         payloadType,
		PayloadRef:          nested(r, "payload_ref", readReference),
		ResponseTopic:       r.text("response_topic"),
		CreatedAt:           r.integer("created_at", 64),
		ExpiresAt:           r.optionalInteger("expires_at"),
		Deadline:            r.optionalInteger("deadline"),
		HeartbeatIntervalMS: int32(r.integer("heartbeat_interval_ms", 32)),
		Task:                nested(r, "task", readTask),
		Attributes:          r.attributes("attributes"),
	}
	return request, r.err
}

func eventFromJSON(fields object) (*StatusEvent, error) {
	head := &fieldReader{fields: fields}
	event := &StatusEvent{
		CorrelationID: head.text("correlation_id"),
		State: State(head.symbol("state", "ACCEPTED", "RUNNING", "RELEASED",
			"SUCCEEDED", "FAILED", "CANCELLED")),
		Error: nested(head, "error", readFailure),
	}
	if head.err != nil {
		return nil, head.err
	}
	r := &fieldReader{fields: fields, lenient: event.Error != nil}
	event.EventID = r.text("event_id")
	event.Delivery = 1
	if r.withDefault("delivery") {
		event.Delivery = int32(r.integer("delivery", 32))
	}
	event.Sequence = r.integer("sequence", 64)
	event.OccurredAt = r.integer("occurred_at", 64)
	event.WorkerID = r.text("worker_id")
	event.Message = r.optionalText("message")
	event.Progress = nested(r, "progress", readProgress)
	event.ExternalID = r.optionalText("external_id")
	event.ResultType = r.optionalText("result_type")
	event.Result = r.data("result", event.ResultType)
	event.ResultRef = nested(r, "result_ref", readReference)
	event.Attributes = r.attributes("attributes")
	return event, r.err
}

func commandFromJSON(fields object) (*JobCommand, error) {
	r := &fieldReader{fields: fields}
	command := &JobCommand{
		CorrelationID: r.text("correlation_id"),
		Command:       Command(r.symbol("command", "CANCEL")),
		Reason:        r.optionalText("reason"),
		IssuedAt:      r.integer("issued_at", 64),
		Attributes:    r.attributes("attributes"),
	}
	return command, r.err
}
