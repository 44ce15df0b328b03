//! The member of the group: a thread that polls requests, and one that commits what is finished.

use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use tracing::{debug, warn};

use super::config::KafkaConfig;
use super::errors::heals_by_itself;
use super::group::{GroupContext, GroupEvents, Position, offsets_of};
use super::membership::Membership;
use super::records::Received;

const POLL: Duration = Duration::from_millis(100);
const BATCH: usize = 500;
const STEP: Duration = Duration::from_millis(20);
/// How long a member that leaves polls, so that librdkafka sends its LeaveGroup: a cooperative member without
/// partitions would leave silently otherwise.
const LEAVE: Duration = Duration::from_millis(100);

/// Controls the two threads.
pub(crate) struct PollerHandle {
    /// For the last commit of a worker that leaves.
    leave: mpsc::Sender<Position>,
    commits: Mutex<Option<mpsc::Sender<Position>>>,
    is_full: Arc<AtomicBool>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl PollerHandle {
    /// Commits; [`GroupEvents::committed`] tells how it ended.
    pub(crate) fn commit(&self, positions: Position) {
        if let Some(commits) = &*self.commits.lock().unwrap_or_else(PoisonError::into_inner) {
            let _ = commits.send(positions); // else the thread has ended
        }
    }

    /// Whether no more requests are wanted for now. Polling goes on.
    pub(crate) fn set_full(&self, is_full: bool) {
        self.is_full.store(is_full, Ordering::Relaxed);
    }

    /// Commits for the last time and leaves the group: others have its partitions at once. It blocks.
    pub(crate) fn leave(&self, positions: Position) {
        drop(self.commits.lock().unwrap_or_else(PoisonError::into_inner).take());
        let _ = self.leave.send(positions);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            warn!("The polling thread has panicked");
        }
    }
}

/// The polling thread.
pub(crate) struct Poller<E: GroupEvents> {
    consumer: Arc<BaseConsumer<GroupContext<E>>>,
    leave: mpsc::Receiver<Position>,
    is_full: Arc<AtomicBool>,
    is_held: bool,
}

impl<E: GroupEvents> Poller<E> {
    /// Joins the group and polls until [`PollerHandle::leave`].
    pub(crate) fn start(
        config: &KafkaConfig,
        topic: &str,
        membership: Arc<Membership>,
        events: Arc<E>,
    ) -> KafkaResult<PollerHandle> {
        let consumer: BaseConsumer<_> = config.member().create_with_context(GroupContext {
            topic: topic.to_owned(),
            events,
            membership,
            is_leaving: AtomicBool::new(false),
            is_changed: AtomicBool::new(false),
        })?;
        consumer.subscribe(&[topic])?;
        let consumer = Arc::new(consumer);
        let (leave, leaves) = mpsc::channel();
        let (commits, positions) = mpsc::channel();
        let is_full = Arc::new(AtomicBool::new(false));
        let committing = Arc::clone(&consumer);
        let poller = Poller { consumer, leave: leaves, is_full: Arc::clone(&is_full), is_held: false };
        spawn("kafka-bridge-committer", move || commit_all(&committing, positions))?;
        let thread = spawn("kafka-bridge-poller", move || poller.run())?;
        let commits = Mutex::new(Some(commits));
        Ok(PollerHandle { leave, commits, is_full, thread: Mutex::new(Some(thread)) })
    }

    fn run(mut self) {
        loop {
            match self.leave.try_recv() {
                Ok(positions) => {
                    self.consumer.context().commit_now(&self.consumer, &positions);
                    break;
                }
                Err(mpsc::TryRecvError::Empty) => {}
                Err(mpsc::TryRecvError::Disconnected) => break,
            }
            self.consumer.context().membership.tick();
            self.hold();
            self.poll();
        }
        self.leave();
    }

    /// Pauses all partitions while the worker is full. A member that does not poll would lose them.
    fn hold(&mut self) {
        let is_full = self.is_full.load(Ordering::Relaxed);
        let is_changed = self.consumer.context().is_changed.swap(false, Ordering::Relaxed);
        if is_full == self.is_held && !(is_full && is_changed) {
            return;
        }
        let assigned = self.consumer.assignment();
        let change = assigned.and_then(|all| match is_full {
            true => self.consumer.pause(&all),
            false => self.consumer.resume(&all),
        });
        match change {
            Ok(()) => self.is_held = is_full,
            Err(error) => debug!(%error, "Partitions are not paused or resumed yet"),
        }
    }

    /// Passes on what has arrived, in order, and waits a moment for the first of it.
    fn poll(&self) {
        let mut batch = Vec::new();
        let events = &self.consumer.context().events;
        let mut wait = POLL;
        let began = Instant::now();
        while batch.len() < BATCH && began.elapsed() < POLL * 2 {
            match self.consumer.poll(wait) {
                None => break,
                Some(Ok(message)) => batch.push(Received::of(&message)),
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    pass_on(events, &mut batch);
                    events.caught_up(partition);
                }
                Some(Err(error)) => self.look_at(&error),
            }
            wait = Duration::ZERO;
        }
        pass_on(events, &mut batch);
    }

    fn look_at(&self, error: &KafkaError) {
        if let KafkaError::MessageConsumptionFatal(_) = error {
            self.consumer.context().events.failed(error.to_string());
        } else if !error.rdkafka_error_code().is_some_and(heals_by_itself) {
            warn!(%error, topic = self.consumer.context().topic, "Requests cannot be fetched");
        }
    }

    fn leave(self) {
        self.consumer.context().is_leaving.store(true, Ordering::Relaxed);
        self.consumer.unsubscribe();
        let until = Instant::now() + LEAVE;
        while Instant::now() < until {
            drop(self.consumer.poll(STEP));
        }
        // Dropping the consumer closes it.
    }
}

/// Commits one after the other, and waits for each answer: rdkafka 0.39 calls no callback for a commit that it does not
/// wait for. Not on the polling thread: a coordinator that is away would keep it from polling.
fn commit_all<E: GroupEvents>(consumer: &BaseConsumer<GroupContext<E>>, commits: mpsc::Receiver<Position>) {
    let context = consumer.context();
    for positions in commits {
        let offsets = offsets_of(&context.topic, &positions);
        let answer = offsets.and_then(|all| consumer.commit(&all, CommitMode::Sync));
        if let Err(error) = &answer {
            debug!(%error, "Offsets were not committed; they are soon");
        }
        context.events.committed(positions, answer.is_ok());
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> KafkaResult<JoinHandle<()>> {
    let named = thread::Builder::new().name(name.into());
    named.spawn(run).map_err(|error| KafkaError::ClientCreation(error.to_string()))
}

fn pass_on<E: GroupEvents>(events: &Arc<E>, batch: &mut Vec<Received>) {
    if !batch.is_empty() {
        events.received(mem::take(batch));
    }
}
