//! What librdkafka's clients say, as lines of `tracing`.

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel as Level;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
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

/// Errors that heal are in librdkafka's own lines, too. The end of a partition is an error to rdkafka.
pub(super) fn log_error(error: &KafkaError, reason: &str) {
    match error.rdkafka_error_code() {
        Some(Code::PartitionEOF) => {}
        Some(code) if heals_by_itself(code) => debug!(%error, "Kafka client: {reason}"),
        _ => warn!(%error, "Kafka client: {reason}"),
    }
}
