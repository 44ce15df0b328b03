//! The producer of events and dead letters.

use std::future::Future;
use std::time::Duration;

use rdkafka::error::KafkaResult;
use rdkafka::producer::{FutureProducer, FutureRecord, Producer as _};

use super::config::KafkaConfig;
use super::context::Quiet;
use super::errors::PublishError;
use super::records::Outgoing;

const FLUSH: Duration = Duration::from_secs(2);

/// Publishes records. Those of one key keep their order.
pub(crate) struct Producer(FutureProducer<Quiet>);

impl Producer {
    pub(crate) fn new(config: &KafkaConfig) -> KafkaResult<Self> {
        config.producer().create_with_context(Quiet).map(Producer)
    }

    /// Passes a record to the client at once. The future ends when the brokers have acknowledged it.
    pub(crate) fn publish(&self, record: &Outgoing) -> impl Future<Output = Result<(), PublishError>> + Send + 'static {
        let mut message = FutureRecord::<[u8], [u8]>::to(&record.topic).headers(record.owned_headers());
        message.key = record.key.as_deref();
        message.payload = record.value.as_deref();
        let sent = self.0.send_result(message).map_err(|(error, _)| PublishError::from(error));
        async move {
            match sent?.await {
                Ok(Ok(_)) => Ok(()),
                Ok(Err((error, _))) => Err(error.into()),
                Err(_) => Err(PublishError::Temporary("the producer was closed".into())),
            }
        }
    }

    /// Waits for what was sent, but not for long.
    pub(crate) fn flush(&self) {
        let _ = self.0.flush(FLUSH);
    }
}
