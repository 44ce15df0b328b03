//! Async functions as handlers.

use std::future::Future;
use std::sync::Arc;

use crate::context::JobContext;
use crate::error::JobError;
use crate::payload::{Payload, Reply, payload_of};
use crate::runtime::{BoxFuture, Call, Handler, Outcome};

/// Returns the handler that runs a function.
pub(crate) fn handler<P, R, F, Fut>(function: F, concurrency: Option<usize>) -> Handler
where
    P: Payload,
    R: Reply,
    F: Fn(JobContext, P) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<R, JobError>> + Send + 'static,
{
    let function = Arc::new(function);
    let run = move |call: Call| -> BoxFuture<Outcome> {
        let function = Arc::clone(&function);
        Box::pin(async move {
            let job = JobContext::new(call);
            let outcome = match payload_of(job.request()) {
                Ok(payload) => function(job, payload).await.and_then(Reply::write),
                Err(error) => Err(error),
            };
            match outcome {
                Ok(result) => Outcome::Done(result),
                Err(error) if error.is_stop() => Outcome::Stopped(error.into_failure()),
                Err(error) => Outcome::Failed(error.into_failure()),
            }
        })
    };
    Handler { run: Box::new(run), concurrency }
}
