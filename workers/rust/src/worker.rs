//! A worker and its handlers.

use std::collections::HashMap;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::context::JobContext;
use crate::error::{Error, JobError};
use crate::handler::handler;
use crate::payload::{Payload, Reply};
use crate::runtime::{Handler, serve};
use crate::settings::Settings;

/// How the jobs of one type are run.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct HandleOptions {
    /// How many of them run at the same time, within the concurrency of the worker.
    pub concurrency: Option<usize>,
}

impl HandleOptions {
    /// Limits how many jobs of the type run at the same time; 0 is no limit.
    #[must_use]
    pub fn concurrency(limit: usize) -> Self {
        HandleOptions { concurrency: (limit > 0).then_some(limit) }
    }
}

/// Consumes job requests and runs them with its handlers.
pub struct Worker {
    settings: Settings,
    handlers: HashMap<String, Handler>,
}

impl Worker {
    /// A worker without handlers. It does not connect yet.
    ///
    /// # Errors
    ///
    /// [`Error::Settings`], with all mistakes.
    pub fn new(settings: Settings) -> Result<Self, Error> {
        settings.check()?;
        Ok(Worker { settings, handlers: HashMap::new() })
    }

    /// Registers the handler of a job type.
    ///
    /// Its payload is decoded from JSON, and its result is encoded as JSON; see [`Payload`] and [`Reply`] for others. A
    /// panic fails the job, and not the worker. Blocking work belongs into [`tokio::task::spawn_blocking`]; heartbeats
    /// do not depend on it.
    ///
    /// # Panics
    ///
    /// The type is empty, or has a handler already: both are faults of the program.
    #[must_use]
    pub fn handle<P, R, F, Fut>(self, job_type: &str, function: F) -> Self
    where
        P: Payload,
        R: Reply,
        F: Fn(JobContext, P) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<R, JobError>> + Send + 'static,
    {
        self.handle_with(job_type, HandleOptions::default(), function)
    }

    /// Registers a handler with options, as [`handle`](Self::handle) does.
    ///
    /// # Panics
    ///
    /// As [`handle`](Self::handle).
    #[must_use]
    pub fn handle_with<P, R, F, Fut>(mut self, job_type: &str, options: HandleOptions, function: F) -> Self
    where
        P: Payload,
        R: Reply,
        F: Fn(JobContext, P) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<R, JobError>> + Send + 'static,
    {
        assert!(!job_type.is_empty(), "a handler needs a job type");
        let earlier = self.handlers.insert(job_type.into(), handler(function, options.concurrency));
        assert!(earlier.is_none(), "the job type {job_type:?} has two handlers");
        self
    }

    /// Runs jobs until the future `stop` ends, such as [`stop_signal`](crate::stop_signal). Then it accepts no more,
    /// lets the running jobs continue for the grace period, and gives back what has not ended.
    ///
    /// Handlers run on the tokio runtime that calls this. While no broker answers, the worker waits and continues.
    ///
    /// # Errors
    ///
    /// [`Error::Settings`] without handlers; [`Error::Kafka`] if the client cannot be created or cannot continue.
    pub async fn run(self, stop: impl Future<Output = ()>) -> Result<(), Error> {
        if self.handlers.is_empty() {
            let mistake = "the worker has no handlers: call Worker::handle before Worker::run";
            return Err(Error::Settings(vec![mistake.into()]));
        }
        let token = CancellationToken::new();
        // A run that is dropped stops, too.
        let _guard = token.clone().drop_guard();
        let (settings, config) = self.settings.into_parts();
        let mut running = pin!(serve(settings, config, Arc::new(self.handlers), token.clone()));
        let ended = tokio::select! {
            ended = &mut running => ended,
            () = stop => {
                token.cancel();
                running.await
            }
        };
        ended.map_err(Error::Kafka)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn nothing(_: JobContext, (): ()) -> Result<(), JobError> {
        Ok(())
    }

    fn worker() -> Worker {
        Worker::new(Settings::new("127.0.0.1:9", "g")).unwrap()
    }

    #[tokio::test]
    async fn a_worker_without_handlers_does_not_run() {
        let error = worker().run(std::future::pending()).await.unwrap_err();
        assert!(error.to_string().contains("Worker::handle"), "{error}");
    }

    #[test]
    #[should_panic(expected = "two handlers")]
    fn a_job_type_has_one_handler() {
        let _ = worker().handle("t", nothing).handle("t", nothing);
    }

    #[tokio::test]
    async fn a_worker_that_finds_no_broker_waits_and_stops_when_asked() {
        let worker = worker().handle("t", nothing);
        worker.run(async {}).await.unwrap();
    }
}
