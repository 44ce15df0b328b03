//! Where topics begin and end.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaResult;
use rdkafka::{Offset, TopicPartitionList};

use super::config::KafkaConfig;
use super::context::Quiet;
use super::errors::ReadError;

/// How long the brokers may take to answer one question.
pub(super) const ANSWER: Duration = Duration::from_secs(10);

/// The part of a partition that is there: the first offset, and the one after the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) start: i64,
    pub(super) end: i64,
}

/// How many of its log lines the client passes on before it is asked.
const LINES: usize = 100;

pub(super) type Extents = BTreeMap<i32, Extent>;

/// Asks the brokers for the offsets of topics. Never creates a topic. All functions block.
pub(super) struct TopicOffsets(BaseConsumer<Quiet>);

impl TopicOffsets {
    pub(super) fn new(config: &KafkaConfig) -> KafkaResult<Self> {
        config.offsets().create_with_context(Quiet).map(TopicOffsets)
    }

    /// The extent of each partition of a topic, up to the high watermark.
    pub(super) fn extents(&self, topic: &str) -> Result<Extents, ReadError> {
        let failed = |error| ReadError::of(topic, &error);
        for _ in 0..LINES {
            drop(self.0.poll(Duration::ZERO));
        }
        let mut extents = Extents::new();
        for partition in self.partitions(topic)? {
            let (start, end) = self.0.fetch_watermarks(topic, partition, ANSWER).map_err(failed)?;
            extents.insert(partition, Extent { start, end });
        }
        Ok(extents)
    }

    /// The partitions of a topic.
    pub(super) fn partitions(&self, topic: &str) -> Result<Vec<i32>, ReadError> {
        let metadata = self.0.fetch_metadata(Some(topic), ANSWER);
        let metadata = metadata.map_err(|error| ReadError::of(topic, &error))?;
        let found = metadata.topics().iter().find(|each| each.name() == topic);
        let found = found.ok_or_else(|| ReadError::temporary(topic, "no broker knows it"))?;
        match found.error() {
            Some(error) => Err(ReadError::of_code(topic, error.into())),
            None => Ok(found.partitions().iter().map(|each| each.id()).collect()),
        }
    }

    /// Like [`extents`](Self::extents), but each start is that of the first record since a time, in milliseconds
    /// since 1970.
    pub(super) fn extents_since(&self, topic: &str, since_ms: i64) -> Result<Extents, ReadError> {
        let mut extents = self.extents(topic)?;
        let since = self.first_since(topic, &extents, since_ms.max(0))?;
        let oldest = self.first_since(topic, &extents, 0)?;
        for (partition, extent) in &mut extents {
            // Some brokers for tests find nothing by time, whatever there is: then all is read.
            if oldest.contains_key(partition) {
                let first = since.get(partition).copied().unwrap_or(extent.end);
                extent.start = extent.start.max(first);
            }
        }
        Ok(extents)
    }

    fn first_since(&self, topic: &str, extents: &Extents, since_ms: i64) -> Result<BTreeMap<i32, i64>, ReadError> {
        let failed = |error| ReadError::of(topic, &error);
        let mut asked = TopicPartitionList::new();
        for &partition in extents.keys() {
            asked.add_partition_offset(topic, partition, Offset::Offset(since_ms)).map_err(failed)?;
        }
        let answers = self.0.offsets_for_times(asked, ANSWER).map_err(failed)?;
        let mut found = BTreeMap::new();
        for each in answers.elements() {
            each.error().map_err(failed)?;
            if let Offset::Offset(offset) = each.offset() {
                found.insert(each.partition(), offset);
            }
        }
        Ok(found)
    }
}
