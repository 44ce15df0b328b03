//! Requests arrive.

use std::sync::Arc;

use tokio::time::Instant;

use super::core::Core;
use super::job::Job;
use super::mail::Ticket;
use super::partition::Partition;
use crate::kafka::Received;
use crate::protocol::decode_request;

impl Core {
    pub(super) fn consume(&mut self, record: Received) {
        let Some(partition) = self.partitions.get_mut(&record.partition) else { return };
        if partition.is_leaving {
            return; // the next owner of the partition has it
        }
        partition.offsets.consume(record.offset);
        partition.is_caught_up |= record.timestamp_ms >= partition.assigned_at_ms;
        let id = partition.id;
        let Some(value) = &record.value else {
            return self.finish_offset(id, record.offset); // a tombstone
        };
        match decode_request(value) {
            Ok((request, encoding)) => {
                self.admit(Job::new(id, Arc::new(record), request, encoding));
            }
            Err(error) => self.reject_unreadable(id, Arc::new(record), &error),
        }
    }

    /// Makes a request a job that waits for the ledger, unless the same job is here already.
    pub(super) fn admit(&mut self, mut job: Job) {
        let is_open = self
            .partitions
            .get(&job.partition.number)
            .is_some_and(|partition| partition.id == job.partition && !partition.is_leaving);
        if !is_open {
            return;
        }
        if self.finished.contains(job.key) {
            return self.finish_offset(job.partition, job.record.offset);
        }
        if let Some(same) = self.by_key.get(&job.key).and_then(|ticket| self.jobs.get_mut(ticket)) {
            return same.duplicates.push(job);
        }
        let ticket = self.next_number();
        job.orphan = self.orphans.get(&job.key).copied();
        job.is_counted = true;
        self.waiting += 1;
        self.waiting_bytes += job.size();
        self.by_key.insert(job.key, ticket);
        self.undecided.insert(ticket);
        self.jobs.insert(ticket, job);
    }

    /// Notes that a job does not wait any more.
    pub(super) fn leave_queue(&mut self, ticket: Ticket) {
        let Some(job) = self.jobs.get_mut(&ticket) else { return };
        if !std::mem::take(&mut job.is_counted) {
            return;
        }
        job.handover = None;
        self.waiting -= 1;
        self.waiting_bytes -= job.size();
        self.undecided.remove(&ticket);
    }

    /// Whether requests that were there before an assignment are still on their way.
    pub(super) fn is_holding(&self) -> bool {
        let is_read = |p: &Partition| p.is_leaving || p.is_caught_up;
        !self.is_full() && Instant::now() < self.held_until && !self.partitions.values().all(is_read)
    }
}
