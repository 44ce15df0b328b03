//! Partitions come, and are lost.

use tokio::time::Instant;
use tracing::{info, warn};

use super::core::Core;
use super::job::Phase;
use super::mail::Ticket;
use super::partition::{Partition, PartitionId};
use super::settings::BACKLOG_PATIENCE;

impl Core {
    pub(super) fn assigned(&mut self, numbers: &[i32]) {
        if !numbers.is_empty() {
            info!(partitions = ?numbers, "Partitions are assigned");
            self.epoch += 1;
            self.held_until = Instant::now() + BACKLOG_PATIENCE;
        }
        for &number in numbers {
            let id = PartitionId { number, epoch: self.epoch };
            let mut partition = Partition::new(id, self.port.services.now_ms());
            partition.is_leaving = self.is_stopping;
            self.partitions.insert(number, partition);
        }
        // Others have the partitions that have not come back.
        let known = |number: i32| self.partitions.contains_key(&number);
        let gone = self.orphans.values().copied();
        let gone: Vec<Ticket> = gone.filter(|ticket| !known(self.jobs[ticket].partition.number)).collect();
        gone.into_iter().for_each(|ticket| self.abandon_orphan(ticket));
    }

    /// All requests of a partition have arrived. Orphans whose requests have not were finished by others.
    pub(super) fn caught_up(&mut self, number: i32) {
        let Some(partition) = self.partitions.get_mut(&number) else { return };
        partition.is_caught_up = true;
        let is_gone = |ticket: &Ticket| {
            let job = &self.jobs[ticket];
            job.partition.number == number && !self.by_key.contains_key(&job.key)
        };
        let gone: Vec<Ticket> = self.orphans.values().copied().filter(is_gone).collect();
        gone.into_iter().for_each(|ticket| self.abandon_orphan(ticket));
    }

    /// Other workers may have these partitions. Their running jobs run on, silently: the group may give them back.
    pub(super) fn lost(&mut self, numbers: &[i32]) {
        for number in numbers {
            if let Some(partition) = self.partitions.remove(number) {
                for ticket in self.jobs_of(partition.id) {
                    self.lose(ticket);
                }
            }
        }
    }

    fn lose(&mut self, ticket: Ticket) {
        let Some(job) = self.jobs.get_mut(&ticket) else { return };
        // Duplicates are of this partition, or of another one, where they are decided again.
        let duplicates = std::mem::take(&mut job.duplicates);
        match job.phase {
            Phase::Undecided | Phase::Queued => self.forget(ticket, false),
            Phase::Running | Phase::Ending if job.has_started() => {
                let key = job.key;
                if let Some(reporter) = &mut job.reporter {
                    reporter.suspend();
                }
                if self.by_key.get(&key) == Some(&ticket) {
                    self.by_key.remove(&key);
                }
                self.orphans.insert(key, ticket);
            }
            // What was not started has nothing to lose: the next owner decides again.
            _ => {
                self.abandon(ticket);
                self.forget(ticket, false);
            }
        }
        duplicates.into_iter().for_each(|each| self.admit(each));
    }

    /// Decides what becomes of a job that still runs here when its request arrives again. Returns false if the job has
    /// to be decided as a new one.
    pub(super) fn take_back(&mut self, ticket: Ticket, orphan: Ticket, is_finished: bool) -> bool {
        let (key, delivery) = (self.jobs[&ticket].key, self.jobs[&ticket].history.delivery);
        if self.orphans.get(&key) != Some(&orphan) {
            let has_ended = self.finished.contains(key);
            if has_ended {
                self.forget(ticket, true);
            }
            return has_ended;
        }
        let own = self.jobs[&orphan].reporter.as_ref().map_or(0, |each| each.delivery);
        if is_finished || delivery > own {
            self.abandon_orphan(orphan);
            return false;
        }
        self.leave_queue(ticket);
        self.orphans.remove(&key);
        let Some(again) = self.jobs.remove(&ticket) else { return true };
        let Some(job) = self.jobs.get_mut(&orphan) else { return true };
        job.partition = again.partition;
        job.record = again.record;
        job.duplicates = again.duplicates;
        if let Some(reporter) = &mut job.reporter {
            reporter.resume();
        }
        info!(job = job.id(), "The group has given a job back that still runs");
        self.by_key.insert(key, orphan);
        self.apply_cancel(orphan);
        true
    }

    pub(super) fn abandon_orphan(&mut self, ticket: Ticket) {
        warn!(job = self.jobs[&ticket].id(), "Another worker has a job that still runs here");
        self.abandon(ticket);
        self.forget(ticket, false);
    }

    /// The jobs of an assignment, without orphans.
    pub(super) fn jobs_of(&self, partition: PartitionId) -> Vec<Ticket> {
        let jobs = self.by_key.values().copied();
        jobs.filter(|ticket| self.jobs[ticket].partition == partition).collect()
    }
}
