//! What librdkafka's clients say, as lines of `tracing`.

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel as Level;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::KafkaError;
use tracing::{debug, error, warn};

use super::errors::heals_by_itself;

/// The context of clients that need no callbacks.
pub(super) struct Quiet;

impl ClientContext for Quiet {
    fn log(&self, level: Level, facility: &str, message: &str) {
        log_line(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        log_error(&error, reason);
    }
}

impl ConsumerContext for Quiet {}

pub(super) fn log_line(level: Level, facility: &str, message: &str) {
    match level {
        Level::Emerg | Level::Alert | Level::Critical | Level::Error => {
            error!(facility, "Kafka client: {message}");
        }
        Level::Warning => warn!(facility, "Kafka client: {message}"),
        Level::Notice | Level::Info | Level::Debug => debug!(facility, "Kafka client: {message}"),
    }
}

/// Errors that heal are in librdkafka's own lines, too.
pub(super) fn log_error(error: &KafkaError, reason: &str) {
    if error.rdkafka_error_code().is_some_and(heals_by_itself) {
        debug!(%error, "Kafka client: {reason}");
    } else {
        warn!(%error, "Kafka client: {reason}");
    }
}
