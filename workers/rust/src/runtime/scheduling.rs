//! Free slots go to the jobs whose turn it is, and handlers are called.

use std::any::Any;
use std::mem;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tracing::{Instrument, info, info_span};

use super::call::{Call, Outcome, Reports, StopReason, StopSignal};
use super::core::Core;
use super::decide::{Ending, ending_of, too_late};
use super::job::{Job, Phase, Run};
use super::mail::{Mail, Ticket};
use crate::protocol::{JobFailure, MAX_ERROR_MESSAGE_BYTES, State, block};

impl Core {
    /// Gives free slots away. Interrupted jobs that get none publish handover heartbeats.
    pub(super) fn accept_jobs(&mut self) {
        while !self.is_stopping && self.slots.has_free() && self.port.services.is_member() {
            let only_interrupted = self.is_holding();
            let (slots, jobs) = (&self.slots, &self.jobs);
            let is_queued = |ticket| jobs.get(&ticket).is_some_and(|job| job.phase == Phase::Queued);
            let has_free = |job_type: &str| slots.has_free_for(job_type);
            let Some(ticket) = self.queue.next(only_interrupted, has_free, is_queued) else { break };
            self.accept(ticket);
        }
        for ticket in self.queue.interrupted() {
            if let Some(handover) = self.jobs.get_mut(&ticket).and_then(|job| job.handover.as_mut()) {
                handover.begin_with_heartbeat();
            }
        }
    }

    fn accept(&mut self, ticket: Ticket) {
        self.leave_queue(ticket);
        if let Some(late) = too_late(&self.jobs[&ticket].request, self.port.services.now_ms()) {
            return self.end(ticket, late);
        }
        let serial = self.next_number();
        let mut reporter = self.new_reporter(ticket, self.next_delivery(ticket));
        let published = reporter.publish(&Ending::new(State::Accepted), serial);
        let Some(job) = self.jobs.get_mut(&ticket) else { return };
        job.phase = Phase::Accepting;
        job.reporter = Some(reporter);
        self.slots.take(ticket, &job.request.job_type);
        if let Err(error) = published {
            self.slots.free(ticket);
            self.bury(ticket, "Unwritable", &error.to_string());
        }
    }

    pub(super) fn next_delivery(&self, ticket: Ticket) -> i32 {
        self.jobs[&ticket].history.delivery.saturating_add(1)
    }

    /// ACCEPTED is acknowledged.
    pub(super) fn accepted(&mut self, ticket: Ticket) {
        let Some(job) = self.jobs.get_mut(&ticket) else { return };
        job.phase = Phase::Ready;
        let partition = self.partitions.get(&job.partition.number);
        if self.is_stopping || partition.is_none_or(|each| each.is_leaving) {
            self.release(ticket);
        } else {
            self.start(ticket);
        }
    }

    /// Starts accepted jobs that had to wait until the group confirmed the membership.
    pub(super) fn start_ready(&mut self) {
        for ticket in mem::take(&mut self.ready) {
            if self.jobs.get(&ticket).is_some_and(|job| job.phase == Phase::Ready) {
                self.start(ticket);
            }
        }
    }

    /// Calls the handler of an accepted job, unless it has ended while it waited.
    fn start(&mut self, ticket: Ticket) {
        let job = &self.jobs[&ticket];
        if !job.reporter.as_ref().is_some_and(|each| each.may_publish()) {
            self.ready.insert(ticket); // later, or never: the group may have given the job to another worker
            return;
        }
        let cancelled = self.port.services.cancel_reason(job.id());
        let cancelled = cancelled.map(|reason| Ending::cancelled(&reason));
        let late = || too_late(&job.request, self.port.services.now_ms());
        if let Some(ending) = cancelled.or_else(late) {
            self.slots.free(ticket);
            return self.end(ticket, ending);
        }
        let Some(job) = self.jobs.get_mut(&ticket) else { return };
        let call = Call {
            request: Arc::clone(&job.request),
            record: Arc::clone(&job.record),
            delivery: job.history.delivery.saturating_add(1).unsigned_abs(),
            external_id: job.history.external_id.clone(),
            checkpoint: Arc::new(Mutex::new(job.history.checkpoint.clone())),
            stop: StopSignal::default(),
            reports: Reports::new(ticket, self.port.mail.clone()),
        };
        job.phase = Phase::Running;
        job.run = Some(Run { signal: call.stop.clone(), reports: call.reports.clone() });
        info!(job = job.id(), job_type = job.request.job_type, delivery = call.delivery, "Job started");
        self.spawn(ticket, call);
    }

    fn spawn(&self, ticket: Ticket, call: Call) {
        let (port, handlers) = (self.port.clone(), Arc::clone(&self.handlers));
        let span = info_span!("job", id = call.request.correlation_id, r#type = call.request.job_type);
        self.runtime.spawn(async move {
            // The process may have been frozen since the core has looked.
            let handler = handlers.get(&call.request.job_type);
            let (Some(handler), true) = (handler, port.services.is_member()) else {
                return port.mail.send(Mail::Postponed(ticket));
            };
            let began = Instant::now();
            // A task of its own: a panic ends the job and not the worker. The handler's function itself may panic, too.
            let run = std::panic::AssertUnwindSafe(|| (handler.run)(call));
            let outcome = match std::panic::catch_unwind(run) {
                Ok(running) => match tokio::spawn(running.instrument(span)).await {
                    Ok(outcome) => outcome,
                    Err(error) => match error.try_into_panic() {
                        Ok(panic) => panicked(panic.as_ref()),
                        Err(_) => panicked(&"the runtime of the handler was shut down"),
                    },
                },
                Err(panic) => panicked(panic.as_ref()),
            };
            port.mail.send(Mail::Returned { ticket, outcome, took: began.elapsed() });
        });
    }

    /// Takes back that a job has started: its handler was not called.
    pub(super) fn postpone(&mut self, ticket: Ticket) {
        match self.jobs.get_mut(&ticket) {
            Some(job) if job.phase == Phase::Running => {
                job.run = None;
                job.phase = Phase::Ready;
                self.ready.insert(ticket);
            }
            _ => self.slots.free(ticket), // it is given back or abandoned
        }
    }

    pub(super) fn take_report(&mut self, ticket: Ticket) {
        if let Some(job) = self.jobs.get_mut(&ticket) {
            take_report_of(job);
        }
    }

    /// Ends a job whose handler has returned.
    pub(super) fn returned(&mut self, ticket: Ticket, outcome: Outcome, took: Duration) {
        self.slots.free(ticket);
        let Some(job) = self.jobs.get_mut(&ticket) else { return };
        if job.phase != Phase::Running {
            return; // it is given back or abandoned
        }
        take_report_of(job);
        let Some(ending) = ending_of(outcome, job.stop_reason(), job.request.deadline) else {
            if job.stop_reason() == Some(&StopReason::Released) {
                self.release(ticket);
            }
            return;
        };
        let error = ending.failure.as_ref().map(|each| format!("{}: {}", each.kind, each.message));
        info!(
            job = job.id(),
            job_type = job.request.job_type,
            state = ending.state.symbol(),
            seconds = took.as_secs_f64(),
            error,
            "Job ended"
        );
        self.end(ticket, ending);
    }
}

fn take_report_of(job: &mut Job) {
    let report = job.run.as_ref().and_then(|run| run.reports.take());
    if let (Some(report), Some(reporter)) = (report, &mut job.reporter) {
        reporter.report(report);
    }
}

fn panicked(panic: &(dyn Any + Send)) -> Outcome {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    let message = block(&text.unwrap_or_else(|| "no message".into()), MAX_ERROR_MESSAGE_BYTES);
    Outcome::Failed(JobFailure { kind: "panic".into(), message, details: None, retryable: true })
}
