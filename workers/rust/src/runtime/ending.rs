//! Jobs end, are given back, or are left to other workers.

use super::call::StopReason;
use super::core::Core;
use super::decide::Ending;
use super::job::{PendingEnd, Phase};
use super::mail::Ticket;
use crate::kafka::PublishError;
use crate::protocol::{State, one_line};
use tracing::warn;

/// How much remains of the message of an error that is too large without its details.
const SHORT_MESSAGE_BYTES: usize = 200;

impl Core {
    /// Publishes the terminal event of a job. Then its offset may be committed.
    pub(super) fn end(&mut self, ticket: Ticket, ending: Ending) {
        self.publish_end(ticket, ending, false);
    }

    /// Also writes the request to the dead-letter topic.
    pub(super) fn end_and_bury(&mut self, ticket: Ticket, ending: Ending) {
        self.publish_end(ticket, ending, true);
    }

    fn publish_end(&mut self, ticket: Ticket, ending: Ending, bury: bool) {
        if self.jobs[&ticket].reporter.is_none() {
            let reporter = self.new_reporter(ticket, self.next_delivery(ticket));
            self.jobs.entry(ticket).and_modify(|job| job.reporter = Some(reporter));
        }
        let serial = self.next_number();
        let Some(job) = self.jobs.get_mut(&ticket) else { return };
        job.phase = Phase::Ending;
        let Some(reporter) = &mut job.reporter else { return };
        let ending = match reporter.publish(&ending, serial) {
            Ok(()) => ending,
            // Such as a result that is declared as JSON and is not.
            Err(error) => {
                let message = format!("the result cannot be written: {error}");
                let instead = Ending::failed("invalid_result", false, &message);
                let _ = reporter.publish(&instead, serial);
                instead
            }
        };
        job.end = Some(PendingEnd { ending, bury });
    }

    /// The event that must arrive is acknowledged, or is not.
    pub(super) fn settled(&mut self, ticket: Ticket, serial: u64, result: Result<(), PublishError>) {
        let Some(job) = self.jobs.get_mut(&ticket) else { return };
        if !job.has_pending(serial) {
            return;
        }
        let topic = &job.request.response_topic;
        if result.is_ok() && !self.usable.contains(topic) {
            self.usable.insert(topic.clone());
        }
        let was_usable = self.usable.contains(topic);
        let settled = job.reporter.as_mut().and_then(|each| each.settle(result, was_usable));
        let Some(result) = settled else { return };
        match (job.phase, result) {
            (Phase::Accepting, Ok(())) => self.accepted(ticket),
            (Phase::Accepting, Err(error)) => {
                self.slots.free(ticket);
                self.bury(ticket, "UnusableTopic", &error.to_string());
            }
            (Phase::Ending, result) => self.end_settled(ticket, result),
            (Phase::Releasing, result) => {
                if let Err(error) = result {
                    warn!(job = job.id(), %error, "RELEASED was not published");
                }
                self.forget(ticket, false);
            }
            _ => {}
        }
    }

    fn end_settled(&mut self, ticket: Ticket, result: Result<(), PublishError>) {
        let Some(job) = self.jobs.get_mut(&ticket) else { return };
        let Some(PendingEnd { ending, bury }) = job.end.take() else { return };
        match result {
            Ok(()) => {
                self.finished.add(job.key);
                match ending.failure {
                    Some(failure) if bury => self.bury(ticket, &failure.kind, &failure.message),
                    _ => self.forget(ticket, true),
                }
            }
            Err(PublishError::TooLarge(why)) => match smaller(ending) {
                Some(ending) => self.publish_end(ticket, ending, bury),
                None => self.bury(ticket, "TooLarge", &why),
            },
            Err(error) => self.bury(ticket, "UnusableTopic", &error.to_string()),
        }
    }

    /// Gives a job back: another worker does it again. Its offset is not committed.
    pub(super) fn release(&mut self, ticket: Ticket) {
        let serial = self.next_number();
        let message = format!("Worker {} gives the job back", self.settings.worker_id);
        let Some(job) = self.jobs.get_mut(&ticket) else { return };
        job.phase = Phase::Releasing;
        let ending = Ending { message: Some(message), ..Ending::new(State::Released) };
        if let Some(reporter) = &mut job.reporter {
            let _ = reporter.publish(&ending, serial); // it has no result that could be wrong
        }
        self.free_unless_running(ticket);
    }

    /// Leaves a job to other workers, without an event. [`forget`](Self::forget) follows.
    pub(super) fn abandon(&mut self, ticket: Ticket) {
        let Some(job) = self.jobs.get_mut(&ticket) else { return };
        job.ask(StopReason::Lost);
        job.reporter = None;
        self.free_unless_running(ticket);
    }

    /// Frees the slot of a job whose handler was not called; otherwise it is free when the handler returns.
    fn free_unless_running(&mut self, ticket: Ticket) {
        if self.jobs.get(&ticket).is_none_or(|job| !job.has_started()) {
            self.slots.free(ticket);
        }
    }

    /// Removes a job of which nothing is left to do.
    pub(super) fn forget(&mut self, ticket: Ticket, is_finished: bool) {
        self.leave_queue(ticket);
        let Some(job) = self.jobs.remove(&ticket) else { return };
        self.ready.remove(&ticket);
        for names in [&mut self.by_key, &mut self.orphans] {
            if names.get(&job.key) == Some(&ticket) {
                names.remove(&job.key);
            }
        }
        if is_finished {
            self.finish_offset(job.partition, job.record.offset);
        }
        for each in job.duplicates {
            if is_finished {
                self.finish_offset(each.partition, each.record.offset);
            } else {
                self.admit(each);
            }
        }
    }
}

/// The same end in fewer bytes.
fn smaller(ending: Ending) -> Option<Ending> {
    if let Some((bytes, _)) = ending.result {
        let message = format!(
            "the result has {} bytes, which do not fit into a record of the response topic: store it elsewhere, and \
             return its address",
            bytes.len()
        );
        return Some(Ending::failed("result_too_large", false, &message));
    }
    let mut ending = ending;
    let failure = ending.failure.as_mut()?;
    if failure.details.take().is_some() {
        return Some(ending);
    }
    let short = one_line(&failure.message, SHORT_MESSAGE_BYTES);
    if short == failure.message {
        return None;
    }
    failure.message = short;
    Some(ending)
}
