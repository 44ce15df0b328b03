//! What the core must know, and its limits.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::call::Handler;

/// The requests that wait in the process are limited; then no more are fetched.
pub(super) const MAX_QUEUED_JOBS: usize = 10_000;
pub(super) const MAX_QUEUED_BYTES: usize = 64 << 20;
pub(super) const JOB_OVERHEAD_BYTES: usize = 1 << 10;

/// How long new jobs wait for the requests that were there before an assignment: interrupted jobs among them start
/// first.
pub(super) const BACKLOG_PATIENCE: Duration = Duration::from_secs(10);
/// How long handlers may take that were asked to stop because their jobs are given back.
pub(super) const STOP_PATIENCE: Duration = Duration::from_secs(1);
/// How long the last events of jobs may take that are given back.
pub(super) const SETTLE_PATIENCE: Duration = Duration::from_secs(5);
/// How long running jobs may continue when the group moves their partition.
pub(super) const REVOKE_GRACE: Duration = Duration::from_secs(5);

pub(super) const TICK: Duration = Duration::from_millis(100);
pub(super) const COMMIT_INTERVAL: Duration = Duration::from_millis(500);
/// A commit without an answer is given up after so long.
pub(super) const COMMIT_PATIENCE: Duration = Duration::from_secs(10);
pub(super) const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// The pause before an event is sent again whose topic the worker may not use any more.
pub(super) const DENIED_PAUSE: Duration = Duration::from_secs(5);
pub(super) const LETTER_PAUSE: Duration = Duration::from_secs(5);
/// A topic may have been created just now: it counts as missing after so many attempts.
pub(super) const TOPIC_ATTEMPTS: u32 = 3;
pub(super) const RECENT_FINISHED: usize = 100_000;

/// The handlers of a worker, by job type.
pub(crate) type Handlers = Arc<HashMap<String, Handler>>;

/// What the core must know.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) request_topic: String,
    pub(crate) control_topic: String,
    pub(crate) dead_letter_topic: String,
    pub(crate) worker_id: String,
    pub(crate) concurrency: usize,
    pub(crate) max_deliveries: u32,
    pub(crate) grace: Duration,
}
