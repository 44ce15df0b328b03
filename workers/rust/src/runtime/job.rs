//! One request that was consumed, and everything that this worker does for it.

use std::sync::Arc;

use super::call::{Reports, StopReason, StopSignal};
use super::decide::Ending;
use super::ids::JobKey;
use super::ledger::History;
use super::mail::Ticket;
use super::partition::PartitionId;
use super::reporter::Reporter;
use super::settings::JOB_OVERHEAD_BYTES;
use crate::kafka::Received;
use crate::protocol::{Encoding, JobRequest, MAX_MESSAGE_BYTES, one_line};

/// What a worker is doing with a job. A job of which nothing is left to do is no longer there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// It waits for the ledger.
    Undecided,
    /// It waits for a slot.
    Queued,
    /// It has a slot, and ACCEPTED is being published.
    Accepting,
    /// ACCEPTED is acknowledged; the job starts as soon as events may be published.
    Ready,
    /// Its handler runs.
    Running,
    /// Its terminal event is being published.
    Ending,
    /// Its request is being written to the dead-letter topic.
    Burying,
    /// RELEASED is being published.
    Releasing,
}

impl Phase {
    /// Whether the job may be dropped if another worker has finished it.
    pub(super) fn is_open(self) -> bool {
        matches!(self, Phase::Accepting | Phase::Ready | Phase::Running)
    }
}

/// A terminal event that is being published.
pub(super) struct PendingEnd {
    pub(super) ending: Ending,
    /// Whether the request goes to the dead-letter topic then.
    pub(super) bury: bool,
}

/// The way to a handler that was called.
pub(super) struct Run {
    pub(super) signal: StopSignal,
    pub(super) reports: Reports,
}

pub(super) struct Job {
    pub(super) key: JobKey,
    pub(super) partition: PartitionId,
    pub(super) record: Arc<Received>,
    pub(super) request: Arc<JobRequest>,
    pub(super) encoding: Encoding,
    pub(super) phase: Phase,
    /// Whether it counts among the requests that wait in the process.
    pub(super) is_counted: bool,
    pub(super) history: History,
    /// From `Accepting` on, and for jobs that end without a start.
    pub(super) reporter: Option<Reporter>,
    /// The heartbeats of an interrupted delivery while the job waits.
    pub(super) handover: Option<Reporter>,
    pub(super) run: Option<Run>,
    pub(super) end: Option<PendingEnd>,
    /// The same job, which still runs here since an earlier assignment of the partition.
    pub(super) orphan: Option<Ticket>,
    /// The same request, published again meanwhile.
    pub(super) duplicates: Vec<Job>,
}

impl Job {
    pub(super) fn new(partition: PartitionId, record: Arc<Received>, request: JobRequest, encoding: Encoding) -> Self {
        Job {
            key: JobKey::of(request.correlation_id.as_bytes()),
            partition,
            record,
            request: Arc::new(request),
            encoding,
            phase: Phase::Undecided,
            is_counted: false,
            history: History::default(),
            reporter: None,
            handover: None,
            run: None,
            end: None,
            orphan: None,
            duplicates: Vec::new(),
        }
    }

    pub(super) fn id(&self) -> &str {
        &self.request.correlation_id
    }

    /// About how many bytes the job takes while it waits.
    pub(super) fn size(&self) -> usize {
        self.record.value.as_ref().map_or(0, Vec::len) + JOB_OVERHEAD_BYTES
    }

    pub(super) fn has_started(&self) -> bool {
        self.run.is_some()
    }

    /// Asks the handler to stop; the first reason counts.
    pub(super) fn ask(&mut self, reason: StopReason) {
        let Some(run) = &self.run else { return };
        let note = reason.attribute().map(|_| {
            let why = one_line(&reason.to_string(), MAX_MESSAGE_BYTES / 2);
            format!("Asked to stop, still runs: {why}")
        });
        if run.signal.ask(reason)
            && let (Some(reporter), Some(note)) = (&mut self.reporter, note)
        {
            reporter.note = Some(note);
        }
    }

    pub(super) fn stop_reason(&self) -> Option<&StopReason> {
        self.run.as_ref()?.signal.reason()
    }

    pub(super) fn has_pending(&self, serial: u64) -> bool {
        self.reporter.as_ref().is_some_and(|each| each.has_pending(serial))
    }
}
