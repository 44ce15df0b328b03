//! A reading of a topic up to where it ends now.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::{Message, Offset, TopicPartitionList};

use super::config::KafkaConfig;
use super::context::Quiet;
use super::errors::ReadError;
use super::offsets::{ANSWER, Extents, TopicOffsets};
use super::records::Received;

/// How long the brokers may send nothing. An open transaction ends before.
const SILENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(100);
const FETCH_WAIT_MS: u32 = 20;

/// Reads response topics. All functions block.
pub(crate) struct LedgerScan {
    config: KafkaConfig,
    offsets: TopicOffsets,
    stopping: AtomicBool,
}

impl LedgerScan {
    pub(crate) fn new(config: &KafkaConfig) -> KafkaResult<Self> {
        Ok(LedgerScan { config: config.clone(), offsets: TopicOffsets::new(config)?, stopping: AtomicBool::new(false) })
    }

    /// Ends readings that have not ended.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Checks that a topic exists.
    pub(crate) fn check_topic(&self, topic: &str) -> Result<(), ReadError> {
        self.offsets.partitions(topic).map(drop)
    }

    /// Passes the records since a time (milliseconds since 1970) to a function, up to the high watermark of this
    /// moment. The end is a position and not a record: transaction markers have offsets, too.
    pub(crate) fn read(&self, topic: &str, since_ms: i64, mut each: impl FnMut(Received)) -> Result<(), ReadError> {
        let mut left = self.offsets.extents_since(topic, since_ms)?;
        left.retain(|_, extent| extent.start < extent.end);
        if left.is_empty() {
            return Ok(());
        }
        let failed = |error: &KafkaError| ReadError::of(topic, error);
        let consumer: BaseConsumer<Quiet> =
            self.config.reader("ledger", FETCH_WAIT_MS).create_with_context(Quiet).map_err(|error| failed(&error))?;
        self.wait_until_stable(&consumer, topic, &left)?;
        let starts = left.iter().map(|(&partition, extent)| (partition, extent.start)).collect();
        assign(&consumer, topic, &starts).map_err(|error| failed(&error))?;
        let mut heard = Instant::now();
        while !left.is_empty() {
            self.check(topic, heard)?;
            match consumer.poll(POLL) {
                None => continue,
                Some(Ok(message)) => {
                    let (partition, offset) = (message.partition(), message.offset());
                    let Some(extent) = left.get(&partition) else { continue };
                    if offset < extent.end {
                        each(Received::of(&message));
                    }
                    if offset + 1 >= extent.end {
                        left.remove(&partition);
                    }
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    left.remove(&partition);
                }
                Some(Err(error)) => match failed(&error) {
                    error @ ReadError::Unusable { .. } => return Err(error),
                    ReadError::Temporary { .. } => continue,
                },
            }
            heard = Instant::now();
        }
        Ok(())
    }

    fn check(&self, topic: &str, heard: Instant) -> Result<(), ReadError> {
        if self.stopping.load(Ordering::Relaxed) {
            return Err(ReadError::temporary(topic, "the worker stops"));
        }
        if heard.elapsed() > SILENCE {
            return Err(ReadError::temporary(topic, "no record came for 60 s"));
        }
        Ok(())
    }

    fn wait_until_stable(&self, reader: &BaseConsumer<Quiet>, topic: &str, extents: &Extents) -> Result<(), ReadError> {
        let began = Instant::now();
        wait_until_stable(reader, topic, extents, || self.check(topic, began))
    }
}

/// Waits until open transactions below the ends have ended. After that, librdkafka's end of a partition is no earlier
/// than the end that is waited for. It is the only sign of having read behind a last record that is not delivered.
pub(super) fn wait_until_stable(
    reader: &BaseConsumer<Quiet>,
    topic: &str,
    extents: &Extents,
    check: impl Fn() -> Result<(), ReadError>,
) -> Result<(), ReadError> {
    for (&partition, extent) in extents {
        loop {
            let found = reader.fetch_watermarks(topic, partition, ANSWER);
            let (_, stable) = found.map_err(|error| ReadError::of(topic, &error))?;
            if stable >= extent.end {
                break;
            }
            check()?;
            thread::sleep(POLL);
        }
    }
    Ok(())
}

/// Assigns partitions from these offsets on.
pub(super) fn assign(reader: &BaseConsumer<Quiet>, topic: &str, starts: &BTreeMap<i32, i64>) -> KafkaResult<()> {
    let mut partitions = TopicPartitionList::new();
    for (&partition, &start) in starts {
        partitions.add_partition_offset(topic, partition, Offset::Offset(start))?;
    }
    reader.assign(&partitions)
}
