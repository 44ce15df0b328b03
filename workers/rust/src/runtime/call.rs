//! What a handler is given, and what it returns.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tokio_util::sync::CancellationToken;

use super::mail::{Mail, MailSender};
use super::port::BoxFuture;
use crate::kafka::Received;
use crate::protocol::{JobFailure, JobRequest, Progress};

/// Why a job was asked to stop.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StopReason {
    /// Airflow no longer wants the job.
    Cancelled {
        /// A line for a person; it may be empty.
        reason: String,
    },
    /// The deadline of the job has passed.
    Deadline,
    /// This worker gives the job back: it stops, or the group moves the partition.
    Released,
    /// Another worker has the job already.
    Lost,
}

impl StopReason {
    /// The value of the attribute `stop_requested`. The last two reasons are not the job's own.
    pub(super) fn attribute(&self) -> Option<&'static str> {
        match self {
            StopReason::Cancelled { .. } => Some("cancelled"),
            StopReason::Deadline => Some("deadline"),
            StopReason::Released | StopReason::Lost => None,
        }
    }
}

impl std::fmt::Display for StopReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            StopReason::Cancelled { reason } if reason.is_empty() => f.write_str("the job was cancelled"),
            StopReason::Cancelled { reason } => write!(f, "the job was cancelled: {reason}"),
            StopReason::Deadline => f.write_str("the deadline of the job has passed"),
            StopReason::Released => f.write_str("the worker gives the job back"),
            StopReason::Lost => f.write_str("another worker has the job"),
        }
    }
}

/// How a handler has ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The result's bytes and media type, if there is one.
    Done(Option<(Vec<u8>, String)>),
    Failed(JobFailure),
    /// The failure only says that the job was asked to stop.
    Stopped(JobFailure),
}

/// Does the work of one job type.
pub(crate) struct Handler {
    pub(crate) run: Box<dyn Fn(Call) -> BoxFuture<Outcome> + Send + Sync>,
    /// How many jobs of this type run at the same time; nothing: as many as the worker runs.
    pub(crate) concurrency: Option<usize>,
}

/// One start of a job, as its handler sees it.
#[derive(Clone)]
pub(crate) struct Call {
    pub(crate) request: Arc<JobRequest>,
    pub(crate) record: Arc<Received>,
    pub(crate) delivery: u32,
    /// What an earlier delivery has reported.
    pub(crate) external_id: Option<String>,
    /// What was saved last, by this delivery or by an earlier one.
    pub(crate) checkpoint: Arc<Mutex<Option<String>>>,
    pub(crate) stop: StopSignal,
    pub(crate) reports: Reports,
}

/// Asks a handler to stop; the first reason counts.
#[derive(Clone, Default)]
pub(crate) struct StopSignal {
    pub(crate) token: CancellationToken,
    reason: Arc<OnceLock<StopReason>>,
}

impl StopSignal {
    /// Returns whether this is the first reason.
    pub(super) fn ask(&self, reason: StopReason) -> bool {
        let is_first = self.reason.set(reason).is_ok();
        self.token.cancel();
        is_first
    }

    pub(crate) fn reason(&self) -> Option<&StopReason> {
        self.reason.get()
    }
}

/// What a handler has reported and the core has not taken yet. The latest values win, so it does not grow.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Report {
    pub(crate) progress: Option<Progress>,
    pub(crate) message: Option<String>,
    pub(crate) external_id: Option<String>,
    pub(crate) checkpoint: Option<String>,
}

/// Passes reports from a handler to the core.
#[derive(Clone, Default)]
pub(crate) struct Reports {
    unread: Arc<Mutex<Option<Report>>>,
    /// Nothing in tests of handlers: reports go nowhere.
    to: Option<(u64, MailSender)>,
}

impl Reports {
    pub(super) fn new(ticket: u64, mail: MailSender) -> Self {
        Reports { unread: Arc::default(), to: Some((ticket, mail)) }
    }

    /// Changes the unread report.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Report)) {
        let Some((ticket, mail)) = &self.to else { return };
        let mut unread = self.unread.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = unread.is_none();
        change(unread.get_or_insert_default());
        drop(unread);
        if is_new {
            mail.send(Mail::Reported(*ticket));
        }
    }

    pub(super) fn take(&self) -> Option<Report> {
        self.unread.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
