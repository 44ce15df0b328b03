//! The configuration of clients, from librdkafka's own property names.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use uuid::Uuid;

const SESSION_TIMEOUT_MS: u64 = 30_000;
const MAX_POLL_INTERVAL_MS: u64 = 60_000;
/// An event is given up after so long at the latest; what must arrive is sent again.
const DELIVERY_TIMEOUT_MS: u64 = 30_000;
/// How long a topic that the brokers do not know may have been created just now.
const UNKNOWN_TOPIC_MS: u64 = 5_000;
/// The largest batch of several records: a broker refuses a batch as a whole if it exceeds the topic's
/// `max.message.bytes`.
const BATCH_BYTES: u64 = 50_000;

/// The brokers' default of `max.message.bytes`; librdkafka's own limit is lower.
const MESSAGE_BYTES: u64 = 1_048_588;

/// Properties that only the member of the group has.
const GROUP_ONLY: [&str; 8] = [
    "group.id",
    "group.instance.id",
    "group.protocol",
    "group.remote.assignor",
    "partition.assignment.strategy",
    "session.timeout.ms",
    "heartbeat.interval.ms",
    "max.poll.interval.ms",
];

/// How to reach Kafka: librdkafka's properties. What the protocol demands cannot be changed by them.
#[derive(Clone)]
pub(crate) struct KafkaConfig {
    pub(crate) properties: BTreeMap<String, String>,
    pub(crate) group_id: String,
    pub(crate) reader_group_prefix: String,
}

impl KafkaConfig {
    /// The session timeout of the group.
    pub(crate) fn session_timeout(&self) -> Duration {
        Duration::from_millis(self.milliseconds("session.timeout.ms").unwrap_or(SESSION_TIMEOUT_MS))
    }

    fn milliseconds(&self, name: &str) -> Option<u64> {
        self.properties.get(name)?.parse().ok()
    }

    fn base(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set_log_level(RDKafkaLogLevel::Warning);
        config.set("client.id", "kafka-bridge").set("reconnect.backoff.ms", "20");
        for (name, value) in &self.properties {
            if !GROUP_ONLY.contains(&name.as_str()) {
                config.set(name, value);
            }
        }
        config.set("allow.auto.create.topics", "false");
        config.set("topic.metadata.propagation.max.ms", UNKNOWN_TOPIC_MS.to_string());
        config
    }

    fn consumer(&self) -> ClientConfig {
        let mut config = self.base();
        config
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "earliest")
            .set("isolation.level", "read_committed")
            .set("enable.partition.eof", "true")
            .set("fetch.queue.backoff.ms", "10");
        config
    }

    /// The member of the worker's group, which reads requests.
    pub(super) fn member(&self) -> ClientConfig {
        let session = self.session_timeout().as_millis() as u64;
        let mut config = self.consumer();
        config
            .set("fetch.wait.max.ms", "200")
            .set("queued.max.messages.kbytes", "4096")
            .set("session.timeout.ms", session.to_string())
            .set("heartbeat.interval.ms", (session / 10).max(200).to_string())
            .set("max.poll.interval.ms", MAX_POLL_INTERVAL_MS.max(session).to_string())
            .set("partition.assignment.strategy", "cooperative-sticky");
        for name in GROUP_ONLY {
            if let Some(value) = self.properties.get(name) {
                config.set(name, value);
            }
        }
        config.set("group.id", &self.group_id);
        config
    }

    /// A consumer that assigns partitions itself. Its group has a name of its own and commits nothing.
    pub(super) fn reader(&self, purpose: &str, fetch_wait_ms: u32) -> ClientConfig {
        let mut config = self.consumer();
        let group = format!("{}{purpose}-{}", self.reader_group_prefix, Uuid::new_v4().simple());
        config.set("group.id", group).set("fetch.wait.max.ms", fetch_wait_ms.to_string());
        config
    }

    /// A client that only asks for offsets. Without `read_committed`, the end of a topic is its high watermark, and
    /// not its last stable offset.
    pub(super) fn offsets(&self) -> ClientConfig {
        let mut config = self.base();
        config.set("isolation.level", "read_uncommitted");
        config
    }

    pub(super) fn producer(&self) -> ClientConfig {
        // No longer than the session: what was sent before a freeze must not go out after it.
        let timeout = DELIVERY_TIMEOUT_MS.min(self.session_timeout().as_millis() as u64);
        let mut config = self.base();
        if !self.properties.contains_key("message.max.bytes") {
            config.set("message.max.bytes", MESSAGE_BYTES.to_string());
        }
        config
            .set("linger.ms", "1")
            .set("batch.size", BATCH_BYTES.to_string())
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("partitioner", "murmur2_random") // as Java's client
            .set("topic.metadata.propagation.max.ms", UNKNOWN_TOPIC_MS.min(timeout / 2).to_string())
            .set("message.timeout.ms", timeout.to_string());
        config
    }
}
