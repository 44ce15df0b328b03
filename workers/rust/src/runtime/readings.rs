//! The response topics are read, and jobs are decided with what they say.

use std::collections::HashMap;
use std::sync::Arc;

use tracing::{debug, warn};

use super::core::Core;
use super::decide::{Facts, Verdict, decide};
use super::job::Phase;
use super::ledger::{Reading, Snapshot, reading_since};
use super::mail::{Mail, Ticket};
use super::reporter::{Envelope, Reporter};
use crate::kafka::ReadError;
use crate::protocol::event_headers;

impl Core {
    /// Decides what can be decided, and reads the response topics of all other requests.
    pub(super) fn start_readings(&mut self) {
        if self.undecided.is_empty() || self.is_stopping || self.is_holding() {
            return;
        }
        let mut since = HashMap::new();
        let mut covered = Vec::new();
        for &ticket in &self.undecided {
            let job = &self.jobs[&ticket];
            let (topic, created_at) = (&job.request.response_topic, job.request.created_at);
            match self.readings.get(topic) {
                Some(reading) if reading.covers(created_at, job.partition.epoch) => covered.push(ticket),
                _ if self.being_read.contains(topic) => {}
                _ => {
                    let oldest = since.entry(topic.clone()).or_insert(i64::MAX);
                    *oldest = reading_since(created_at).min(*oldest);
                }
            }
        }
        covered.into_iter().for_each(|ticket| self.decide(ticket));
        for (topic, since_ms) in since {
            self.read(topic, since_ms);
        }
    }

    fn read(&mut self, topic: String, since_ms: i64) {
        self.being_read.insert(topic.clone());
        let (mail, epoch) = (self.port.mail.clone(), self.epoch);
        let reading = self.port.services.read_ledger(topic.clone(), since_ms);
        tokio::spawn(async move {
            let result = reading.await;
            mail.send(Mail::LedgerRead { topic, since_ms, epoch, result });
        });
    }

    pub(super) fn ledger_read(
        &mut self,
        topic: String,
        since_ms: i64,
        epoch: u64,
        result: Result<Snapshot, ReadError>,
    ) {
        self.being_read.remove(&topic);
        if self.is_stopping {
            return;
        }
        let snapshot = match result {
            Ok(snapshot) => snapshot,
            Err(error) => return self.bury_waiting(&topic, &error),
        };
        debug!(topic, since_ms, "The response topic is read");
        self.leave_finished(&topic, &snapshot);
        self.readings.insert(topic, Reading { since_ms, epoch, snapshot });
    }

    /// A topic that cannot be used: that counts for the jobs that wait now.
    fn bury_waiting(&mut self, topic: &str, error: &ReadError) {
        let waiting: Vec<Ticket> = self.undecided.iter().copied().collect();
        for ticket in waiting {
            if self.jobs[&ticket].request.response_topic == topic {
                self.leave_queue(ticket);
                self.bury(ticket, "UnusableTopic", &error.to_string());
            }
        }
    }

    /// Leaves the jobs that another worker has finished.
    fn leave_finished(&mut self, topic: &str, snapshot: &Snapshot) {
        let is_overtaken = |ticket: &Ticket| {
            let job = &self.jobs[ticket];
            job.phase.is_open() && job.request.response_topic == topic && snapshot.is_finished(job.key)
        };
        let overtaken: Vec<Ticket> = self.by_key.values().copied().filter(is_overtaken).collect();
        for ticket in overtaken {
            warn!(job = self.jobs[&ticket].id(), "Another worker has finished a job that runs here");
            self.abandon(ticket);
            self.forget(ticket, true);
        }
    }

    fn decide(&mut self, ticket: Ticket) {
        let Some(job) = self.jobs.get_mut(&ticket) else { return };
        let Some(reading) = self.readings.get(&job.request.response_topic) else { return };
        job.history = reading.snapshot.history(job.key);
        let is_finished = reading.snapshot.is_finished(job.key);
        if let Some(orphan) = job.orphan.take()
            && self.take_back(ticket, orphan, is_finished)
        {
            return;
        }
        let job = &self.jobs[&ticket];
        let verdict = decide(&Facts {
            request: &job.request,
            is_finished,
            history: &job.history,
            cancel_reason: self.port.services.cancel_reason(job.id()),
            is_known_type: self.handlers.contains_key(&job.request.job_type),
            max_deliveries: self.settings.max_deliveries,
            now_ms: self.port.services.now_ms(),
        });
        if verdict == Verdict::Start {
            return self.enqueue(ticket);
        }
        self.leave_queue(ticket);
        match verdict {
            Verdict::End(ending) => self.end(ticket, ending),
            Verdict::Poison(ending) => self.end_and_bury(ticket, ending),
            Verdict::Skip | Verdict::Start => self.forget(ticket, true),
        }
    }

    fn enqueue(&mut self, ticket: Ticket) {
        self.undecided.remove(&ticket);
        let Some(job) = self.jobs.get_mut(&ticket) else { return };
        job.phase = Phase::Queued;
        let was_broken = job.history.was_broken();
        self.queue.add(ticket, &job.request.job_type, was_broken);
        if was_broken && job.request.heartbeat_interval_ms > 0 {
            let history = job.history.clone();
            let mut handover = self.new_reporter(ticket, history.delivery);
            handover.continues(&history);
            let worker = &self.settings.worker_id;
            handover.note = Some(format!("Waits for a free slot on worker {worker}: its last worker is gone"));
            if let Some(job) = self.jobs.get_mut(&ticket) {
                job.handover = Some(handover);
            }
        }
    }

    pub(super) fn new_reporter(&self, ticket: Ticket, delivery: i32) -> Reporter {
        let job = &self.jobs[&ticket];
        let interval_ms = job.request.heartbeat_interval_ms.unsigned_abs();
        let envelope = Envelope {
            correlation_id: job.id().to_owned(),
            response_topic: job.request.response_topic.clone(),
            headers: event_headers(job.id(), job.encoding, &job.record.headers),
            encoding: job.encoding,
            worker_id: self.settings.worker_id.clone(),
            heartbeat_interval: std::time::Duration::from_millis(interval_ms.into()),
        };
        Reporter::new(ticket, Arc::new(envelope), self.port.clone(), delivery, &job.history)
    }
}
