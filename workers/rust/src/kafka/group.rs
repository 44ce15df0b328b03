//! The rebalances of the group.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::{ClientContext, Offset, TopicPartitionList};
use tracing::warn;

use super::context::{log_error, log_line};
use super::membership::Membership;
use super::records::Received;

const STEP: Duration = Duration::from_millis(20);

/// Where to continue, by partition.
pub(crate) type Position = BTreeMap<i32, i64>;

/// What the member of a group is told. The calls come from the polling thread, in order, and must return at once.
pub(crate) trait GroupEvents: Send + Sync + 'static {
    /// The group gives partitions. Their records follow.
    fn assigned(&self, partitions: Vec<i32>);
    /// The group moves partitions to other workers, which wait. What has to be committed comes through the channel
    /// when their jobs have settled.
    fn revoked(&self, partitions: Vec<i32>) -> mpsc::Receiver<Position>;
    /// Revoked partitions are gone.
    fn removed(&self, partitions: Vec<i32>);
    /// Other workers may have these partitions already.
    fn lost(&self, partitions: Vec<i32>);
    /// Requests have arrived.
    fn received(&self, records: Vec<Received>);
    /// All requests of a partition have arrived that are there now.
    fn caught_up(&self, partition: i32);
    /// A commit was answered.
    fn committed(&self, positions: Position, accepted: bool);
    /// The client cannot continue.
    fn failed(&self, why: String);
}

pub(super) struct GroupContext<E> {
    pub(super) topic: String,
    pub(super) events: Arc<E>,
    pub(super) membership: Arc<Membership>,
    pub(super) is_leaving: AtomicBool,
    /// The assignment has changed.
    pub(super) is_changed: AtomicBool,
}

impl<E: GroupEvents> ClientContext for GroupContext<E> {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log_line(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        log_error(&error, reason);
    }
}

impl<E: GroupEvents> ConsumerContext for GroupContext<E> {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        self.is_changed.store(true, Ordering::Relaxed);
        match rebalance {
            Rebalance::Assign(partitions) => self.events.assigned(numbers(partitions)),
            Rebalance::Revoke(partitions) if self.is_leaving.load(Ordering::Relaxed) => {
                self.events.removed(numbers(partitions));
            }
            Rebalance::Revoke(partitions) if consumer.assignment_lost() => {
                warn!("Partitions are lost: their jobs are silent until it is known who has them");
                self.events.lost(numbers(partitions));
            }
            Rebalance::Revoke(partitions) => self.give_back(consumer, numbers(partitions)),
            Rebalance::Error(error) => warn!(%error, "The group cannot be joined yet"),
        }
    }
}

impl<E: GroupEvents> GroupContext<E> {
    /// Waits until the jobs of these partitions have settled, and commits.
    fn give_back(&self, consumer: &BaseConsumer<Self>, partitions: Vec<i32>) {
        let settled = self.events.revoked(partitions.clone());
        loop {
            self.membership.tick();
            // The group's answer does not arrive in here: what may not be published now never will.
            if self.membership.doubt().is_some() {
                break;
            }
            match settled.recv_timeout(STEP) {
                Ok(positions) => {
                    self.commit_now(consumer, &positions);
                    break;
                }
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
            }
        }
        self.events.removed(partitions);
    }

    pub(super) fn commit_now(&self, consumer: &BaseConsumer<Self>, positions: &Position) {
        if positions.is_empty() {
            return;
        }
        let offsets = offsets_of(&self.topic, positions);
        if let Err(error) = offsets.and_then(|all| consumer.commit(&all, CommitMode::Sync)) {
            warn!(%error, "Offsets were not committed; finished jobs are recognised by their events");
        }
    }
}

fn numbers(partitions: &TopicPartitionList) -> Vec<i32> {
    partitions.elements().iter().map(|each| each.partition()).collect()
}

/// Offsets without metadata: kafka-bridge's own worker writes some, which nobody else need understand.
pub(super) fn offsets_of(topic: &str, positions: &Position) -> KafkaResult<TopicPartitionList> {
    let mut offsets = TopicPartitionList::new();
    for (&partition, &offset) in positions {
        offsets.add_partition_offset(topic, partition, Offset::Offset(offset))?;
    }
    Ok(offsets)
}
