//! The messages as values. Times are milliseconds since 1970, UTC.

use std::collections::BTreeMap;

/// The state of a job that a status event reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// A state of a later version. Never written.
    Unknown,
    Accepted,
    Running,
    Released,
    Succeeded,
    Failed,
    Cancelled,
}

impl State {
    /// All states, in the order of the schema.
    pub(crate) const ALL: [State; 7] = [
        State::Unknown,
        State::Accepted,
        State::Running,
        State::Released,
        State::Succeeded,
        State::Failed,
        State::Cancelled,
    ];

    pub(crate) fn symbol(self) -> &'static str {
        match self {
            State::Unknown => "UNKNOWN",
            State::Accepted => "ACCEPTED",
            State::Running => "RUNNING",
            State::Released => "RELEASED",
            State::Succeeded => "SUCCEEDED",
            State::Failed => "FAILED",
            State::Cancelled => "CANCELLED",
        }
    }

    /// Whether nothing follows this state.
    pub(crate) fn is_terminal(self) -> bool {
        matches!(self, State::Succeeded | State::Failed | State::Cancelled)
    }
}

/// What Airflow tells the worker that has a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// A command of a later version, which is ignored.
    Unknown,
    Cancel,
}

/// The attribute of events with what a handler has saved for the next delivery.
pub(crate) const CHECKPOINT: &str = "checkpoint";

/// A longer checkpoint is ignored, as if it were absent.
pub(crate) const MAX_CHECKPOINT_BYTES: usize = 4_000;

/// The reserved error types that a worker writes.
pub(crate) mod error_type {
    pub(crate) const EXPIRED: &str = "expired";
    pub(crate) const DEADLINE_EXCEEDED: &str = "deadline_exceeded";
    pub(crate) const UNKNOWN_JOB_TYPE: &str = "unknown_job_type";
    pub(crate) const UNREADABLE: &str = "unreadable";
    pub(crate) const INVALID_PAYLOAD: &str = "invalid_payload";
    pub(crate) const UNSUPPORTED_REFERENCE: &str = "unsupported_reference";
    pub(crate) const TOO_MANY_DELIVERIES: &str = "too_many_deliveries";
}

/// A claim check: bytes that are stored elsewhere.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Reference {
    pub(crate) uri: String,
    pub(crate) sha256: String,
    pub(crate) size: i64,
}

/// The Airflow task that submitted a job.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Task {
    /// The Airflow deployment.
    pub source: String,
    /// The DAG.
    pub dag_id: String,
    /// The DAG run.
    pub run_id: String,
    /// The task.
    pub task_id: String,
    /// The index of a mapped task, or -1.
    pub map_index: i32,
    /// Airflow's try number.
    pub try_number: i32,
    /// The task in Airflow's user interface.
    pub url: Option<String>,
}

/// One job that Airflow wants done.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct JobRequest {
    pub(crate) correlation_id: String,
    pub(crate) attempt: i32,
    pub(crate) job_type: String,
    pub(crate) payload: Option<Vec<u8>>,
    pub(crate) payload_type: Option<String>,
    pub(crate) payload_ref: Option<Reference>,
    pub(crate) response_topic: String,
    pub(crate) created_at: i64,
    pub(crate) expires_at: Option<i64>,
    pub(crate) deadline: Option<i64>,
    pub(crate) heartbeat_interval_ms: i32,
    pub(crate) task: Option<Task>,
    pub(crate) attributes: BTreeMap<String, String>,
}

/// How much of a job is done.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Progress {
    pub(crate) completed: f64,
    pub(crate) total: Option<f64>,
    pub(crate) unit: Option<String>,
}

/// Why a job failed.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct JobFailure {
    pub(crate) kind: String,
    pub(crate) message: String,
    pub(crate) details: Option<String>,
    pub(crate) retryable: bool,
}

/// What a worker reports of a job.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StatusEvent {
    pub(crate) correlation_id: String,
    pub(crate) event_id: String,
    pub(crate) delivery: i32,
    pub(crate) sequence: i64,
    pub(crate) state: State,
    pub(crate) occurred_at: i64,
    pub(crate) worker_id: String,
    pub(crate) message: Option<String>,
    pub(crate) progress: Option<Progress>,
    pub(crate) external_id: Option<String>,
    pub(crate) result: Option<Vec<u8>>,
    pub(crate) result_type: Option<String>,
    pub(crate) result_ref: Option<Reference>,
    pub(crate) error: Option<JobFailure>,
    pub(crate) attributes: BTreeMap<String, String>,
}

/// Something that Airflow or a person tells the worker that has a job.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct JobCommand {
    pub(crate) correlation_id: String,
    pub(crate) command: Command,
    pub(crate) reason: Option<String>,
    pub(crate) issued_at: i64,
    pub(crate) attributes: BTreeMap<String, String>,
}
