//! Offsets are committed.

use tokio::time::Instant;
use tracing::info;

use super::core::Core;
use super::partition::{Partition, PartitionId};
use super::settings::{COMMIT_INTERVAL, COMMIT_PATIENCE};
use crate::kafka::Position;

/// A commit without an answer yet.
struct Commit {
    positions: Position,
    sent_at: Instant,
    /// Which doubt about the membership it clears.
    doubt: Option<u64>,
}

/// One commit at a time.
pub(super) struct Commits {
    open: Option<Commit>,
    /// Commits that were not answered in time: answers to them do not count.
    given_up: Vec<Position>,
    sent_at: Instant,
}

impl Commits {
    pub(super) fn new(now: Instant) -> Self {
        Commits { open: None, given_up: Vec::new(), sent_at: now }
    }
}

impl Core {
    /// The offsets to continue from, of all partitions.
    pub(super) fn positions(&self) -> Position {
        let known = |each: &Partition| Some((each.id.number, each.offsets.position()?));
        self.partitions.values().filter_map(known).collect()
    }

    pub(super) fn positions_of(&self, partitions: &[PartitionId]) -> Position {
        let all = self.positions();
        let is_wanted = |number: i32| partitions.iter().any(|each| each.number == number);
        all.into_iter().filter(|&(number, _)| is_wanted(number)).collect()
    }

    /// Commits the offsets that have moved. In doubt about the membership, it commits all, as a question to the group.
    pub(super) fn commit_sometimes(&mut self) {
        let is_late = |commit: &mut Commit| commit.sent_at.elapsed() >= COMMIT_PATIENCE;
        if let Some(late) = self.commits.open.take_if(is_late) {
            self.commits.given_up.push(late.positions);
        }
        if self.commits.open.is_some() || self.is_over || self.commits.sent_at.elapsed() < COMMIT_INTERVAL {
            return;
        }
        let doubt = self.port.services.doubt();
        let open = self.partitions.values().filter(|each| !each.is_leaving);
        let positions: Position = open
            .filter_map(|each| {
                let at = if doubt.is_some() { each.offsets.position() } else { each.offsets.moved() };
                Some((each.id.number, at?))
            })
            .collect();
        if positions.is_empty() {
            return;
        }
        self.commits.sent_at = Instant::now();
        self.commits.open = Some(Commit { positions: positions.clone(), sent_at: self.commits.sent_at, doubt });
        self.port.services.commit(positions);
    }

    pub(super) fn commit_answered(&mut self, positions: &Position, accepted: bool) {
        if let Some(at) = self.commits.given_up.iter().position(|each| each == positions) {
            self.commits.given_up.remove(at);
            return;
        }
        // The client also answers the commits of partitions that were given back.
        let Some(commit) = self.commits.open.take_if(|each| each.positions == *positions) else { return };
        if !accepted {
            return;
        }
        for (number, &at) in positions {
            if let Some(partition) = self.partitions.get_mut(number) {
                partition.offsets.commit(at);
            }
        }
        if let Some(doubt) = commit.doubt {
            info!("The group has confirmed that this worker is a member");
            self.port.services.confirmed(doubt);
        }
    }

    pub(super) fn finish_offset(&mut self, partition: PartitionId, offset: i64) {
        if let Some(found) = self.partitions.get_mut(&partition.number)
            && found.id == partition
        {
            found.offsets.finish(offset);
        }
    }
}
