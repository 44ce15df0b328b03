//! What goes wrong with a job, and with a worker.

use crate::protocol::{
    JobFailure, MAX_DETAILS_BYTES, MAX_ERROR_MESSAGE_BYTES, MAX_NAME_BYTES, block, error_type, one_line,
};

/// Fails a job. The task receives its type, its message, its details, and whether a retry may help.
///
/// Any other error becomes one of type `error` by `?`, with the chain of its sources as details, and a retry may help.
/// That is why this type is no [`std::error::Error`] itself.
#[derive(Clone, Debug)]
pub struct JobError {
    kind: String,
    message: String,
    details: Option<String>,
    is_retryable: bool,
    is_stop: bool,
}

impl JobError {
    /// An error that a retry does not help.
    ///
    /// `kind` is a short name such as `disk_full`; `message` is a line for a person.
    pub fn new(kind: impl Into<String>, message: impl Into<String>) -> Self {
        JobError { kind: kind.into(), message: message.into(), details: None, is_retryable: false, is_stop: false }
    }

    /// The error for a payload that can be decoded but makes no sense.
    pub fn invalid_payload(message: impl Into<String>) -> Self {
        Self::new(error_type::INVALID_PAYLOAD, message)
    }

    /// What a handler returns that has stopped because it was asked to. If nobody has asked, it is a failure.
    pub fn stopped() -> Self {
        let error = Self::new("stopped", "the handler has stopped").retryable(true);
        JobError { is_stop: true, ..error }
    }

    /// Whether Airflow should retry.
    #[must_use]
    pub fn retryable(self, is_retryable: bool) -> Self {
        JobError { is_retryable, ..self }
    }

    /// Adds more text.
    #[must_use]
    pub fn details(self, details: impl Into<String>) -> Self {
        JobError { details: Some(details.into()), ..self }
    }

    pub(crate) fn is_stop(&self) -> bool {
        self.is_stop
    }

    /// What the task receives: texts that are safe to show, and not too long.
    pub(crate) fn into_failure(self) -> JobFailure {
        let kind = one_line(&self.kind, MAX_NAME_BYTES);
        JobFailure {
            kind: if kind.is_empty() { "error".into() } else { kind },
            message: block(&self.message, MAX_ERROR_MESSAGE_BYTES),
            details: self.details.map(|text| block(&text, MAX_DETAILS_BYTES)),
            retryable: self.is_retryable,
        }
    }
}

impl<E: std::error::Error> From<E> for JobError {
    fn from(error: E) -> Self {
        let sources = std::iter::successors(error.source(), |each| each.source());
        let chain: Vec<String> = sources.map(|each| format!("caused by: {each}")).collect();
        let own = JobError::new("error", error.to_string()).retryable(true);
        if chain.is_empty() { own } else { own.details(chain.join("\n")) }
    }
}

/// Why a worker does not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The settings cannot be used; each line is one mistake.
    #[error("{}", .0.join("\n"))]
    Settings(Vec<String>),
    /// The Kafka client cannot be created, or cannot continue.
    #[error("the Kafka client: {0}")]
    Kafka(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("copying failed")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn any_error_becomes_one_that_a_retry_may_help_with_its_sources() {
        let failing = || -> Result<(), JobError> { Err(Outer(std::io::Error::other("disk on fire")))? };
        let failure = failing().unwrap_err().into_failure();
        assert_eq!((failure.kind.as_str(), failure.message.as_str()), ("error", "copying failed"));
        assert_eq!(failure.details.as_deref(), Some("caused by: disk on fire"));
        assert!(failure.retryable);
    }

    #[test]
    fn an_error_keeps_its_type_in_a_form_that_is_safe_to_show() {
        let failure = JobError::new("disk\nfull", "No\u{0} space").details("df").into_failure();
        assert_eq!((failure.kind.as_str(), failure.message.as_str()), ("disk full", "No  space"));
        assert!(!failure.retryable);
    }
}
