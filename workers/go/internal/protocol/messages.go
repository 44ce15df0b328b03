package protocol

// State is the state of a job that a status event reports.
type State string

// The states. StateUnknown is never written: readers use it for a state of a later version.
const (
	StateUnknown   State = "UNKNOWN"
	StateAccepted  State = "ACCEPTED"
	StateRunning   State = "RUNNING"
	StateReleased  State = "RELEASED"
	StateSucceeded State = "SUCCEEDED"
	StateFailed    State = "FAILED"
	StateCancelled State = "CANCELLED"
)

// IsTerminal tells whether nothing follows this state.
func (s State) IsTerminal() bool {
	return s == StateSucceeded || s == StateFailed || s == StateCancelled
}

// Command is what Airflow tells the worker that has a job.
type Command string

// The commands. CommandUnknown is a command of a later version, which is ignored.
const (
	CommandUnknown Command = "UNKNOWN"
	CommandCancel  Command = "CANCEL"
)

// The reserved error types that a worker writes.
const (
	ErrorExpired              = "expired"
	ErrorDeadlineExceeded     = "deadline_exceeded"
	ErrorUnknownJobType       = "unknown_job_type"
	ErrorUnreadable           = "unreadable"
	ErrorInvalidPayload       = "invalid_payload"
	ErrorUnsupportedReference = "unsupported_reference"
	ErrorTooManyDeliveries    = "too_many_deliveries"
)

// Reference is a claim check: bytes that are stored elsewhere.
type Reference struct {
	URI    string `avro:"uri"`
	SHA256 string `avro:"sha256"`
	Size   int64  `avro:"size"`
}

// Task is the Airflow task that submitted a job.
type Task struct {
	Source    string  `avro:"source"`
	DagID     string  `avro:"dag_id"`
	RunID     string  `avro:"run_id"`
	TaskID    string  `avro:"task_id"`
	MapIndex  int32   `avro:"map_index"`
	TryNumber int32   `avro:"try_number"`
	URL       *string `avro:"url"`
}

// JobRequest is one job that Airflow wants done. Times are milliseconds since 1970, UTC.
type JobRequest struct {
	CorrelationID       string            `avro:"correlation_id"`
	Attempt             int32             `avro:"attempt"`
	JobType             string            `avro:"job_type"`
	Payload             []byte            `avro:"payload"` // nil: none
	PayloadType         *string           `avro:"payload_type"`
	PayloadRef          *Reference        `avro:"payload_ref"`
	ResponseTopic       string            `avro:"response_topic"`
	CreatedAt           int64             `avro:"created_at"`
	ExpiresAt           *int64            `avro:"expires_at"`
	Deadline            *int64            `avro:"deadline"`
	HeartbeatIntervalMS int32             `avro:"heartbeat_interval_ms"`
	Task                *Task             `avro:"task"`
	Attributes          map[string]string `avro:"attributes"`
}

// Progress is how much of a job is done.
type Progress struct {
	Completed float64  `avro:"completed"`
	Total     *float64 `avro:"total"`
	Unit      *string  `avro:"unit"`
}

// JobFailure is why a job failed.
type JobFailure struct {
	Type      string  `avro:"type"`
	Message   string  `avro:"message"`
	Details   *string `avro:"details"`
	Retryable bool    `avro:"retryable"`
}

// StatusEvent is what a worker reports of a job.
type StatusEvent struct {
	CorrelationID string            `avro:"correlation_id"`
	EventID       string            `avro:"event_id"`
	Delivery      int32             `avro:"delivery"`
	Sequence      int64             `avro:"sequence"`
	State         State             `avro:"state"`
	OccurredAt    int64             `avro:"occurred_at"`
	WorkerID      string            `avro:"worker_id"`
	Message       *string           `avro:"message"`
	Progress      *Progress         `avro:"progress"`
	ExternalID    *string           `avro:"external_id"`
	Result        []byte            `avro:"result"` // nil: none
	ResultType    *string           `avro:"result_type"`
	ResultRef     *Reference        `avro:"result_ref"`
	Error         *JobFailure       `avro:"error"`
	Attributes    map[string]string `avro:"attributes"`
}

// JobCommand is something that Airflow or a person tells the worker that has a job.
type JobCommand struct {
	CorrelationID string            `avro:"correlation_id"`
	Command       Command           `avro:"command"`
	Reason        *string           `avro:"reason"`
	IssuedAt      int64             `avro:"issued_at"`
	Attributes    map[string]string `avro:"attributes"`
}
