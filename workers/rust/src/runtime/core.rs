//! The task that decides about the jobs of a worker.

use std::collections::{BTreeSet, HashMap, HashSet};

use tokio::runtime::Handle;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::error;

use super::call::StopReason;
use super::commits::Commits;
use super::dead_letters::Letter;
use super::decide::Ending;
use super::draining::Drain;
use super::ids::{JobKey, RecentKeys};
use super::job::{Job, Phase};
use super::ledger::Reading;
use super::mail::{Mail, Ticket};
use super::partition::Partition;
use super::port::Port;
use super::queue::Queue;
use super::settings::{Handlers, MAX_QUEUED_BYTES, MAX_QUEUED_JOBS, RECENT_FINISHED, Settings, TICK};
use super::slots::Slots;
use crate::kafka::Position;

/// How much mail is read before what has become possible is done.
const MAIL_BATCH: usize = 256;

/// The jobs and partitions of a worker.
pub(super) struct Core {
    pub(super) settings: Settings,
    pub(super) handlers: Handlers,
    pub(super) port: Port,
    /// Where handlers run.
    pub(super) runtime: Handle,
    pub(super) partitions: HashMap<i32, Partition>,
    pub(super) epoch: u64,
    /// New jobs wait for the backlog until then.
    pub(super) held_until: Instant,
    pub(super) jobs: HashMap<Ticket, Job>,
    pub(super) by_key: HashMap<JobKey, Ticket>,
    /// Jobs that run on here although their partitions were lost.
    pub(super) orphans: HashMap<JobKey, Ticket>,
    pub(super) undecided: BTreeSet<Ticket>,
    pub(super) queue: Queue,
    /// Jobs that are accepted and wait until the membership is confirmed.
    pub(super) ready: BTreeSet<Ticket>,
    pub(super) waiting: usize,
    pub(super) waiting_bytes: usize,
    pub(super) slots: Slots,
    pub(super) readings: HashMap<String, Reading>,
    pub(super) being_read: HashSet<String>,
    /// Response topics that this worker could use.
    pub(super) usable: HashSet<String>,
    pub(super) finished: RecentKeys,
    pub(super) drains: Vec<Drain>,
    pub(super) letters: HashMap<u64, Letter>,
    pub(super) is_stopping: bool,
    pub(super) is_over: bool,
    pub(super) failure: Option<String>,
    pub(super) commits: Commits,
    is_held: bool,
    last_number: u64,
}

impl Core {
    pub(super) fn new(settings: Settings, handlers: Handlers, port: Port, runtime: Handle) -> Self {
        let now = Instant::now();
        Core {
            slots: Slots::new(settings.concurrency, handlers.clone()),
            settings,
            handlers,
            port,
            runtime,
            partitions: HashMap::new(),
            epoch: 0,
            held_until: now,
            jobs: HashMap::new(),
            by_key: HashMap::new(),
            orphans: HashMap::new(),
            undecided: BTreeSet::new(),
            queue: Queue::default(),
            ready: BTreeSet::new(),
            waiting: 0,
            waiting_bytes: 0,
            readings: HashMap::new(),
            being_read: HashSet::new(),
            usable: HashSet::new(),
            finished: RecentKeys::new(RECENT_FINISHED),
            drains: Vec::new(),
            letters: HashMap::new(),
            is_stopping: false,
            is_over: false,
            failure: None,
            commits: Commits::new(now),
            is_held: false,
            last_number: 0,
        }
    }

    /// Decides until the token is cancelled, and then until all jobs have ended or are given back.
    ///
    /// Returns what has to be committed, or why the client cannot continue.
    pub(super) async fn run(
        mut self,
        mut mail: UnboundedReceiver<Mail>,
        stop: CancellationToken,
    ) -> Result<Position, String> {
        let mut ticker = interval(TICK);
        ticker.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !self.is_over {
            tokio::select! {
                Some(first) = mail.recv() => {
                    self.handle(first);
                    for _ in 1..MAIL_BATCH {
                        let Ok(next) = mail.try_recv() else { break };
                        self.handle(next);
                    }
                }
                _ = ticker.tick() => self.tick(),
                () = stop.cancelled(), if !self.is_stopping => self.shut_down(),
            }
            self.work();
        }
        match self.failure.take() {
            Some(why) => Err(why),
            None => Ok(self.positions()),
        }
    }

    /// Numbers of jobs, events and letters. Later ones are larger.
    pub(super) fn next_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    fn handle(&mut self, mail: Mail) {
        match mail {
            Mail::Assigned(partitions) => self.assigned(&partitions),
            Mail::Revoked(partitions, settled) => self.revoked(&partitions, settled),
            Mail::Removed(partitions) => self.removed(&partitions),
            Mail::Lost(partitions) => self.lost(&partitions),
            Mail::CaughtUp(partition) => self.caught_up(partition),
            Mail::Received(records) => records.into_iter().for_each(|each| self.consume(each)),
            Mail::Committed(positions, accepted) => self.commit_answered(&positions, accepted),
            Mail::ClientFailed(why) => self.client_failed(why),
            Mail::Cancelled(correlation_id) => self.cancel_arrived(&correlation_id),
            Mail::Settled { ticket, serial, result } => self.settled(ticket, serial, result),
            Mail::Reported(ticket) => self.take_report(ticket),
            Mail::Returned { ticket, outcome, took } => self.returned(ticket, outcome, took),
            Mail::Postponed(ticket) => self.postpone(ticket),
            Mail::LedgerRead { topic, since_ms, epoch, result } => {
                self.ledger_read(topic, since_ms, epoch, result);
            }
            Mail::LetterSettled { letter, result } => self.letter_settled(letter, result),
            Mail::TaskTold { partition, offset } => self.finish_offset(partition, offset),
        }
    }

    /// Does what is due by the clock.
    fn tick(&mut self) {
        let now_ms = self.port.services.now_ms();
        for job in self.jobs.values_mut() {
            for reporter in [&mut job.reporter, &mut job.handover].into_iter().flatten() {
                reporter.tick();
            }
            if job.phase == Phase::Running && job.request.deadline.is_some_and(|at| at <= now_ms) {
                job.ask(StopReason::Deadline);
            }
        }
        self.send_letters_again();
    }

    /// Does what has become possible.
    fn work(&mut self) {
        self.start_readings();
        self.start_ready();
        self.accept_jobs();
        self.check_drains();
        self.commit_sometimes();
        let is_held = self.is_stopping || self.is_full();
        if is_held != self.is_held {
            self.is_held = is_held;
            self.port.services.set_full(is_held);
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.waiting >= MAX_QUEUED_JOBS || self.waiting_bytes >= MAX_QUEUED_BYTES
    }

    fn client_failed(&mut self, why: String) {
        error!(error = why, "The Kafka client cannot continue");
        self.failure = Some(why);
        if !self.is_stopping {
            self.shut_down();
        }
    }

    // CANCELs.

    fn cancel_arrived(&mut self, correlation_id: &str) {
        if let Some(&ticket) = self.by_key.get(&JobKey::of(correlation_id.as_bytes())) {
            self.apply_cancel(ticket);
        }
    }

    pub(super) fn apply_cancel(&mut self, ticket: Ticket) {
        let Some(job) = self.jobs.get_mut(&ticket) else { return };
        let Some(reason) = self.port.services.cancel_reason(job.id()) else { return };
        match job.phase {
            Phase::Queued => {
                self.leave_queue(ticket);
                self.end(ticket, Ending::cancelled(&reason));
            }
            Phase::Running => job.ask(StopReason::Cancelled { reason }),
            _ => {}
        }
    }
}
