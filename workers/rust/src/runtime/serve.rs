//! Connects the core with Kafka.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rdkafka::error::KafkaResult;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::core::Core;
use super::ledger::Snapshot;
use super::mail::{Mail, mailbox};
use super::port::{BoxFuture, Port, Services};
use super::settings::{Handlers, RETRY_PAUSE, Settings, TOPIC_ATTEMPTS};
use crate::kafka::{
    Control, KafkaConfig, LedgerScan, Membership, Outgoing, Poller, PollerHandle, Position, Producer, PublishError,
    ReadError,
};

/// Runs jobs until the token is cancelled, and the running ones have ended or are given back.
///
/// Handlers run on the runtime that calls this; everything else on a thread of its own.
pub(crate) async fn serve(
    settings: Settings,
    config: KafkaConfig,
    handlers: Handlers,
    stop: CancellationToken,
) -> Result<(), String> {
    let runtime = Handle::current();
    let (ended, end) = oneshot::channel();
    let run = move || {
        let own = Builder::new_current_thread().enable_time().build();
        let result = match own {
            Ok(own) => {
                let result = own.block_on(run_core(settings, config, handlers, stop, runtime));
                own.shutdown_background(); // a reading may still wait for brokers
                result
            }
            Err(error) => Err(error.to_string()),
        };
        let _ = ended.send(result);
    };
    let started = thread::Builder::new().name("kafka-bridge".into()).spawn(run);
    started.map_err(|error| error.to_string())?;
    end.await.unwrap_or_else(|_| Err("the worker's thread has panicked".into()))
}

async fn run_core(
    settings: Settings,
    config: KafkaConfig,
    handlers: Handlers,
    stop: CancellationToken,
    runtime: Handle,
) -> Result<(), String> {
    let (mail, inbox) = mailbox();
    let cancels = mail.clone();
    let on_cancel = move |correlation_id| cancels.send(Mail::Cancelled(correlation_id));
    let failed = |error: rdkafka::error::KafkaError| error.to_string();
    let membership = Arc::new(Membership::new(config.session_timeout()));
    let readers = Readers::connect(&config, &settings.control_topic, on_cancel).map_err(failed)?;
    let readers = Arc::new(readers);
    let needed = [&settings.request_topic, &settings.control_topic, &settings.dead_letter_topic];
    let needed: Vec<String> = needed.into_iter().cloned().collect();
    tokio::select! {
        checked = check_topics(Arc::clone(&readers), needed) => checked.map_err(|error| error.to_string())?,
        () = stop.cancelled() => return Ok(()),
    }
    let producer = Producer::new(&config).map_err(failed)?;
    let topic = &settings.request_topic;
    let poller = Poller::start(&config, topic, Arc::clone(&membership), Arc::new(mail.clone()));
    let kafka =
        Arc::new(Kafka { membership, readers: Arc::clone(&readers), producer, poller: poller.map_err(failed)? });
    let services: Arc<dyn Services> = kafka.clone();
    let port = Port { services, mail };
    let ended = Core::new(settings, handlers, port, runtime).run(inbox, stop).await;
    readers.stop();
    let last = ended.as_ref().cloned().unwrap_or_default();
    let _ = spawn_blocking(move || {
        kafka.producer.flush();
        kafka.poller.leave(last);
        drop(readers);
    })
    .await;
    ended.map(drop)
}

/// Reads the control topic and response topics.
struct Readers {
    control: Control,
    scan: LedgerScan,
}

impl Readers {
    fn connect(
        config: &KafkaConfig,
        control_topic: &str,
        on_cancel: impl Fn(String) + Send + 'static,
    ) -> KafkaResult<Self> {
        Ok(Readers { control: Control::follow(config, control_topic, on_cancel)?, scan: LedgerScan::new(config)? })
    }

    fn stop(&self) {
        self.control.stop();
        self.scan.stop();
    }

    /// Reads the control topic, and then a response topic: so a reading never knows more than the commands.
    fn read(&self, topic: &str, since_ms: i64) -> Result<Snapshot, ReadError> {
        match self.control.catch_up() {
            Err(error @ ReadError::Unusable { .. }) => warn!(%error, "There are no CANCELs"),
            other => other?,
        }
        let mut snapshot = Snapshot::default();
        self.scan.read(topic, since_ms, |record| snapshot.add(&record))?;
        Ok(snapshot)
    }
}

/// Waits until the brokers know the topics. Its errors are those of a topic that cannot be used.
async fn check_topics(readers: Arc<Readers>, topics: Vec<String>) -> Result<(), ReadError> {
    for topic in topics {
        attempt(Arc::clone(&readers), topic, |readers, topic| readers.scan.check_topic(topic)).await?;
    }
    Ok(())
}

async fn read_ledger(readers: Arc<Readers>, topic: String, since_ms: i64) -> Result<Snapshot, ReadError> {
    attempt(readers, topic, move |readers, topic| readers.read(topic, since_ms)).await
}

/// Repeats what blocks until it succeeds, or until the topic counts as unusable.
async fn attempt<T: Send + 'static>(
    readers: Arc<Readers>,
    topic: String,
    ask: impl Fn(&Readers, &str) -> Result<T, ReadError> + Clone + Send + 'static,
) -> Result<T, ReadError> {
    let mut unusable = 0;
    loop {
        let (readers, of, ask) = (Arc::clone(&readers), topic.clone(), ask.clone());
        let result = spawn_blocking(move || ask(&readers, &of)).await;
        match result.unwrap_or_else(|_| Err(ReadError::temporary(&topic, "reading it has panicked"))) {
            Ok(found) => return Ok(found),
            Err(error @ ReadError::Unusable { .. }) => {
                unusable += 1;
                if unusable == TOPIC_ATTEMPTS {
                    return Err(error);
                }
                debug!(%error, "The topic may have been created just now");
            }
            Err(error) => warn!(%error, "The worker waits"),
        }
        sleep(RETRY_PAUSE).await;
    }
}

struct Kafka {
    membership: Arc<Membership>,
    readers: Arc<Readers>,
    producer: Producer,
    poller: PollerHandle,
}

impl Services for Kafka {
    fn now_ms(&self) -> i64 {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX)
    }

    fn is_member(&self) -> bool {
        self.membership.is_sure()
    }

    fn doubt(&self) -> Option<u64> {
        self.membership.doubt()
    }

    fn confirmed(&self, doubt: u64) {
        self.membership.confirmed(doubt);
    }

    fn cancel_reason(&self, correlation_id: &str) -> Option<String> {
        self.readers.control.reason(correlation_id)
    }

    fn publish(&self, record: &Outgoing) -> BoxFuture<Result<(), PublishError>> {
        Box::pin(self.producer.publish(record))
    }

    fn commit(&self, positions: Position) {
        self.poller.commit(positions);
    }

    fn set_full(&self, is_full: bool) {
        self.poller.set_full(is_full);
    }

    fn read_ledger(&self, topic: String, since_ms: i64) -> BoxFuture<Result<Snapshot, ReadError>> {
        Box::pin(read_ledger(Arc::clone(&self.readers), topic, since_ms))
    }
}
