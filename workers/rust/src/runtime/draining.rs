//! The jobs of partitions are given back: those that have not started at once, and the others if they do not end
//! within the grace period.

use std::sync::mpsc;
use std::time::Duration;

use tokio::time::Instant;
use tracing::info;

use super::call::StopReason;
use super::core::Core;
use super::job::Phase;
use super::mail::Ticket;
use super::partition::PartitionId;
use super::settings::{REVOKE_GRACE, SETTLE_PATIENCE, STOP_PATIENCE};
use crate::kafka::Position;

pub(super) struct Drain {
    partitions: Vec<PartitionId>,
    /// Handlers are asked to stop.
    ask_at: Instant,
    /// RELEASED is published, although they still run.
    release_at: Instant,
    give_up_at: Instant,
    /// Who waits for what has to be committed; nobody if the worker stops.
    settled: Option<mpsc::Sender<Position>>,
}

impl Core {
    fn drain(&mut self, partitions: Vec<PartitionId>, grace: Duration, settled: Option<mpsc::Sender<Position>>) {
        let ask_at = Instant::now() + grace;
        for partition in &partitions {
            if let Some(found) = self.partitions.get_mut(&partition.number) {
                found.is_leaving = true;
            }
            for ticket in self.jobs_of(*partition) {
                match self.jobs.get(&ticket).map(|job| job.phase) {
                    Some(Phase::Undecided | Phase::Queued) => self.forget(ticket, false),
                    Some(Phase::Ready) => self.release(ticket),
                    _ => {}
                }
            }
        }
        self.drains.push(Drain {
            partitions,
            ask_at,
            release_at: ask_at + STOP_PATIENCE,
            give_up_at: ask_at + STOP_PATIENCE + SETTLE_PATIENCE,
            settled,
        });
    }

    pub(super) fn check_drains(&mut self) {
        for drain in std::mem::take(&mut self.drains) {
            if !self.is_drained(&drain) {
                self.drains.push(drain);
                continue;
            }
            match &drain.settled {
                Some(settled) => drop(settled.send(self.positions_of(&drain.partitions))),
                None => self.is_over = true,
            }
        }
    }

    fn is_drained(&mut self, drain: &Drain) -> bool {
        let now = Instant::now();
        let jobs = drain.partitions.iter().flat_map(|each| self.jobs_of(*each));
        let jobs: Vec<Ticket> = jobs.collect();
        for &ticket in &jobs {
            let Some(job) = self.jobs.get_mut(&ticket) else { continue };
            if job.phase == Phase::Running && now >= drain.ask_at {
                job.ask(StopReason::Released);
            }
            let is_late = job.phase == Phase::Running && now >= drain.release_at;
            if job.phase == Phase::Ready || is_late {
                self.release(ticket);
            }
        }
        jobs.is_empty() || now >= drain.give_up_at
    }

    /// Gives partitions back that the group moves to other workers, which wait.
    pub(super) fn revoked(&mut self, numbers: &[i32], settled: mpsc::Sender<Position>) {
        info!(partitions = ?numbers, "Partitions are revoked");
        let partitions = numbers.iter().filter_map(|each| self.partitions.get(each));
        let partitions = partitions.map(|each| each.id).collect();
        self.drain(partitions, REVOKE_GRACE.min(self.settings.grace), Some(settled));
    }

    /// Removes partitions that were given back.
    pub(super) fn removed(&mut self, numbers: &[i32]) {
        for number in numbers {
            let Some(partition) = self.partitions.remove(number) else { continue };
            for ticket in self.jobs_of(partition.id) {
                self.abandon(ticket);
                self.forget(ticket, false);
            }
        }
    }

    /// Gives everything back.
    pub(super) fn shut_down(&mut self) {
        info!(running = self.slots.used(), grace = ?self.settings.grace, "The worker stops");
        self.is_stopping = true;
        let orphans: Vec<Ticket> = self.orphans.values().copied().collect();
        orphans.into_iter().for_each(|ticket| self.abandon_orphan(ticket));
        let all = self.partitions.values().map(|each| each.id).collect();
        self.drain(all, self.settings.grace, None);
    }
}
