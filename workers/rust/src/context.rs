//! A job, as its handler sees it.

use std::future::Future;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::error::JobError;
use crate::kafka::Received;
use crate::protocol::{
    Header, JobRequest, MAX_CHECKPOINT_BYTES, MAX_MESSAGE_BYTES, MAX_UNIT_BYTES, Progress, Task, one_line,
};
use crate::runtime::{Call, Report, StopReason};

/// One job: what is known of it, and how its handler reports. Clones are the same job.
#[derive(Clone)]
pub struct JobContext {
    call: Arc<Call>,
}

impl JobContext {
    pub(crate) fn new(call: Call) -> Self {
        JobContext { call: Arc::new(call) }
    }

    /// A job for tests of handlers: its first delivery, which nobody stops. Reports go nowhere.
    pub fn for_tests(id: &str, job_type: &str) -> Self {
        let request =
            JobRequest { correlation_id: id.into(), job_type: job_type.into(), attempt: 1, ..JobRequest::default() };
        JobContext::new(Call {
            request: Arc::new(request),
            record: Arc::new(Received::default()),
            delivery: 1,
            external_id: None,
            checkpoint: Default::default(),
            stop: Default::default(),
            reports: Default::default(),
        })
    }

    pub(crate) fn request(&self) -> &JobRequest {
        &self.call.request
    }

    /// The correlation id: the idempotency key for systems that want one.
    pub fn id(&self) -> &str {
        &self.request().correlation_id
    }

    /// The job type.
    pub fn job_type(&self) -> &str {
        &self.request().job_type
    }

    /// Counts the submissions of one task instance, from 1.
    pub fn attempt(&self) -> u32 {
        self.request().attempt.unsigned_abs()
    }

    /// Counts how often a worker has picked up the job, from 1.
    pub fn delivery(&self) -> u32 {
        self.call.delivery
    }

    /// When Airflow created the request.
    pub fn created_at(&self) -> SystemTime {
        time_of(self.request().created_at)
    }

    /// When the job is asked to stop, if there is a limit.
    pub fn deadline(&self) -> Option<SystemTime> {
        self.request().deadline.map(time_of)
    }

    /// The Airflow task that submitted the job, if it is known.
    pub fn task(&self) -> Option<&Task> {
        self.request().task.as_ref()
    }

    /// The headers of the request's record.
    pub fn headers(&self) -> &[Header] {
        &self.call.record.headers
    }

    /// What an earlier delivery has passed to [`set_external_id`](Self::set_external_id): continue that work, if you
    /// can.
    pub fn external_id(&self) -> Option<&str> {
        self.call.external_id.as_deref()
    }

    // Reports.

    /// Reports how much is done, of how much (`None`: not known), in which unit. At most two events a second are
    /// published; the last one always is.
    pub fn progress(&self, completed: f64, total: impl Into<Option<f64>>, unit: &str) {
        let total = total.into();
        if !completed.is_finite() || total.is_some_and(|total| !total.is_finite()) {
            warn!(job = self.id(), "Progress is not a finite number and was dropped");
            return;
        }
        let unit = one_line(unit, MAX_UNIT_BYTES);
        let unit = (!unit.is_empty()).then_some(unit);
        let progress = Progress { completed, total, unit };
        self.report(|report| report.progress = Some(progress));
    }

    /// Reports a line for the task's log. Of several lines within half a second, the last one counts.
    pub fn message(&self, text: &str) {
        let text = one_line(text, MAX_MESSAGE_BYTES);
        self.report(|report| report.message = Some(text));
    }

    /// Reports what the system that does the work calls the job. If this worker dies, the next delivery finds it in
    /// [`external_id`](Self::external_id).
    pub fn set_external_id(&self, id: &str) {
        let id = one_line(id, MAX_MESSAGE_BYTES);
        self.report(|report| report.external_id = Some(id));
    }

    /// What [`save_checkpoint`](Self::save_checkpoint) has saved last: in this delivery, or in an earlier one on any
    /// worker. `None` if nothing was saved, or something that does not fit.
    pub fn checkpoint<T: DeserializeOwned>(&self) -> Option<T> {
        let text = self.saved().clone()?;
        let value = serde_json::from_str::<Option<T>>(&text);
        value.unwrap_or_else(|error| {
            warn!(job = self.id(), %error, "The checkpoint of an earlier delivery does not fit and is ignored");
            None
        })
    }

    /// Saves how far the job is, for the delivery that continues it if this worker dies. Save what is done, after it is
    /// done. It returns at once: the brokers may get it a moment later. What serde writes as null clears it.
    ///
    /// # Errors
    ///
    /// `checkpoint_not_serialisable`, or `checkpoint_too_large` above 4,000 bytes of JSON. The checkpoint before is kept.
    pub fn save_checkpoint<T: Serialize>(&self, value: &T) -> Result<(), JobError> {
        let text = serde_json::to_string(value).map_err(|error| {
            JobError::new("checkpoint_not_serialisable", format!("the checkpoint has no JSON form: {error}"))
        })?;
        if text.len() > MAX_CHECKPOINT_BYTES {
            let message = format!(
                "the checkpoint has {} bytes, at most {MAX_CHECKPOINT_BYTES} are allowed: save large data elsewhere, and \
                 here where they are",
                text.len()
            );
            return Err(JobError::new("checkpoint_too_large", message));
        }
        *self.saved() = Some(text.clone());
        self.report(|report| report.checkpoint = Some(text));
        Ok(())
    }

    fn saved(&self) -> MutexGuard<'_, Option<String>> {
        self.call.checkpoint.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn report(&self, change: impl FnOnce(&mut Report)) {
        self.call.reports.change(change);
    }

    // Stop.

    /// The token that is cancelled when the job must stop: when it is cancelled, at its deadline, or when this worker
    /// has to give it back. Return [`JobError::stopped`] then.
    pub fn stop_token(&self) -> &CancellationToken {
        &self.call.stop.token
    }

    /// Why the job must stop; `None` while it need not.
    pub fn stop_reason(&self) -> Option<&StopReason> {
        self.call.stop.reason()
    }

    /// Waits for work, which is dropped when the job must stop.
    ///
    /// # Errors
    ///
    /// [`JobError::stopped`], which a handler passes on with `?`.
    pub async fn unless_stopped<F: Future>(&self, work: F) -> Result<F::Output, JobError> {
        self.stop_token().run_until_cancelled(work).await.ok_or_else(JobError::stopped)
    }
}

fn time_of(ms: i64) -> SystemTime {
    let distance = Duration::from_millis(ms.unsigned_abs());
    if ms < 0 { UNIX_EPOCH - distance } else { UNIX_EPOCH + distance }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_of_a_job_in_a_test_go_nowhere() {
        let job = JobContext::for_tests("id", "t");
        job.progress(1.0, 2.0, "files");
        job.progress(1.0, None, "");
        job.message("working");
        job.set_external_id("x");
        assert_eq!(job.id(), "id");
    }

    #[test]
    fn a_checkpoint_is_what_was_saved_last_and_a_large_one_is_an_error() {
        let job = JobContext::for_tests("id", "t");
        assert_eq!(job.checkpoint::<u32>(), None);
        job.save_checkpoint(&7).unwrap();
        let error = job.save_checkpoint(&"x".repeat(4_000)).unwrap_err().into_failure();
        assert_eq!(error.kind, "checkpoint_too_large");
        assert_eq!(job.checkpoint(), Some(7));
        assert_eq!(job.checkpoint::<String>(), None);
        job.save_checkpoint(&()).unwrap();
        assert_eq!(job.checkpoint::<u32>(), None);
    }

    #[tokio::test]
    async fn work_is_dropped_when_the_job_must_stop() {
        let job = JobContext::for_tests("id", "t");
        assert_eq!(job.unless_stopped(async { 1 }).await.unwrap(), 1);
        job.stop_token().cancel();
        let stopped = job.unless_stopped(std::future::pending::<()>()).await;
        assert!(stopped.unwrap_err().is_stop());
    }
}
