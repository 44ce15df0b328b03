//! The control topic: all of it from its beginning, and the reasons of all CANCELs.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rdkafka::consumer::BaseConsumer;
use rdkafka::error::{KafkaError, KafkaResult};
use tracing::{debug, warn};

use super::config::KafkaConfig;
use super::context::Quiet;
use super::errors::ReadError;
use super::offsets::{Extents, TopicOffsets};
use super::records::Received;
use super::scan::{assign, wait_until_stable};
use crate::protocol::{Command, MAX_MESSAGE_BYTES, decode_command, one_line};

/// How many reasons are kept; the oldest ones are forgotten first.
const MAX_CANCELS: usize = 1_000_000;
const POLL: Duration = Duration::from_millis(100);
const FETCH_WAIT_MS: u32 = 100;
/// How often new partitions are looked for.
const LOOK: Duration = Duration::from_secs(30);
const CATCH_UP: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(10);

/// Follows the control topic on a thread of its own.
pub(crate) struct Control {
    follower: Arc<Follower>,
    thread: Option<JoinHandle<()>>,
}

struct Follower {
    topic: String,
    reader: BaseConsumer<Quiet>,
    offsets: TopicOffsets,
    stopping: AtomicBool,
    reasons: Mutex<Reasons>,
    places: Mutex<Places>,
}

#[derive(Default)]
struct Reasons {
    by_id: HashMap<String, String>,
    order: VecDeque<String>,
}

/// How far each partition was read.
#[derive(Default)]
struct Places {
    next: BTreeMap<i32, i64>,
    at_end: BTreeSet<i32>,
    /// What the follower's thread has to fetch anew, because events from before do not count.
    wanted: Option<Extents>,
}

impl Places {
    fn is_behind(&self, extents: &Extents) -> bool {
        let is_behind = |partition, end| self.next.get(partition).is_none_or(|&next| next < end);
        extents.iter().any(|(partition, extent)| is_behind(partition, extent.end))
    }

    fn has_read(&self, extents: &Extents) -> bool {
        self.wanted.is_none()
            && extents.iter().all(|(partition, extent)| {
                self.at_end.contains(partition) || self.next.get(partition).is_some_and(|&next| next >= extent.end)
            })
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Control {
    /// Follows the topic; `on_cancel` is called with the id of each CANCEL that is read.
    pub(crate) fn follow(
        config: &KafkaConfig,
        topic: &str,
        on_cancel: impl Fn(String) + Send + 'static,
    ) -> KafkaResult<Self> {
        let follower = Arc::new(Follower {
            topic: topic.to_owned(),
            reader: config.reader("control", FETCH_WAIT_MS).create_with_context(Quiet)?,
            offsets: TopicOffsets::new(config)?,
            stopping: AtomicBool::new(false),
            reasons: Mutex::default(),
            places: Mutex::default(),
        });
        let on_thread = Arc::clone(&follower);
        let thread = thread::Builder::new()
            .name("kafka-bridge-control".into())
            .spawn(move || on_thread.run(&on_cancel))
            .map_err(|error| KafkaError::ClientCreation(error.to_string()))?;
        Ok(Control { follower, thread: Some(thread) })
    }

    /// The reason of a CANCEL for a job; empty if it has none.
    pub(crate) fn reason(&self, correlation_id: &str) -> Option<String> {
        locked(&self.follower.reasons).by_id.get(correlation_id).cloned()
    }

    /// Waits until everything is read that is in the topic now. It blocks.
    pub(crate) fn catch_up(&self) -> Result<(), ReadError> {
        self.follower.catch_up()
    }

    /// Ends the thread, and calls of [`catch_up`](Self::catch_up).
    pub(crate) fn stop(&self) {
        self.follower.stopping.store(true, Ordering::Relaxed);
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.stop();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Follower {
    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    fn run(&self, on_cancel: &dyn Fn(String)) {
        let mut look_at = Instant::now() + LOOK;
        while !self.is_stopping() {
            self.read_on();
            match self.reader.poll(POLL) {
                None => {}
                Some(Ok(message)) => self.read(&Received::of(&message), on_cancel),
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    locked(&self.places).at_end.insert(partition);
                }
                Some(Err(error)) => debug!(topic = self.topic, %error, "CANCELs are not seen for a moment"),
            }
            if Instant::now() >= look_at {
                look_at = Instant::now() + LOOK;
                self.look_for_partitions();
            }
        }
    }

    fn read(&self, record: &Received, on_cancel: &dyn Fn(String)) {
        let cancelled = self.remember(record);
        locked(&self.places).next.insert(record.partition, record.offset + 1);
        if let Some(correlation_id) = cancelled {
            on_cancel(correlation_id);
        }
    }

    fn remember(&self, record: &Received) -> Option<String> {
        let (partition, offset) = (record.partition, record.offset);
        let command = match decode_command(record.value.as_deref()?) {
            Ok(command) => command,
            Err(error) => {
                warn!(partition, offset, %error, "A record of the control topic is not a command");
                return None;
            }
        };
        if command.command != Command::Cancel {
            return None;
        }
        let reason = one_line(command.reason.as_deref().unwrap_or_default(), MAX_MESSAGE_BYTES);
        locked(&self.reasons).add(&command.correlation_id, reason);
        Some(command.correlation_id)
    }

    /// The topic may have been created, or may have more partitions.
    fn look_for_partitions(&self) {
        match self.offsets.extents(&self.topic) {
            Ok(extents) => {
                let mut places = locked(&self.places);
                if extents.keys().any(|partition| !places.next.contains_key(partition)) {
                    places.wanted = Some(extents);
                }
            }
            Err(error) => warn!(%error, "CANCELs are not seen until the control topic can be read"),
        }
    }

    fn catch_up(&self) -> Result<(), ReadError> {
        let began = Instant::now();
        let check = || match began.elapsed() > CATCH_UP || self.is_stopping() {
            true => Err(ReadError::temporary(&self.topic, "its end was not reached in 60 s")),
            false => Ok(()),
        };
        let extents = self.offsets.extents(&self.topic)?;
        wait_until_stable(&self.reader, &self.topic, &extents, check)?;
        {
            let mut places = locked(&self.places);
            if places.is_behind(&extents) {
                places.wanted = Some(extents.clone());
            }
        }
        while !locked(&self.places).has_read(&extents) {
            check()?;
            thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// Fetches anew from where the reading is, if that is wanted. An end that is reported from then on is no earlier
    /// than the wanted extents.
    fn read_on(&self) {
        let mut places = locked(&self.places);
        let Some(extents) = places.wanted.take() else { return };
        for (partition, extent) in extents {
            places.next.entry(partition).or_insert(extent.start);
        }
        places.at_end.clear();
        if let Err(error) = assign(&self.reader, &self.topic, &places.next) {
            warn!(topic = self.topic, %error, "The control topic cannot be read");
        }
    }
}

impl Reasons {
    fn add(&mut self, correlation_id: &str, reason: String) {
        if self.by_id.contains_key(correlation_id) {
            return;
        }
        self.by_id.insert(correlation_id.to_owned(), reason);
        self.order.push_back(correlation_id.to_owned());
        if self.order.len() > MAX_CANCELS
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_id.remove(&oldest);
        }
    }
}
