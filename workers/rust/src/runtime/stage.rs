//! A core with a Kafka that exists only in memory, and a clock that stands still while there is something to do.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, mpsc};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::call::{Call, Handler, Outcome};
use super::core::Core;
use super::ledger::Snapshot;
use super::mail::{Mail, MailSender, mailbox};
use super::port::{BoxFuture, Port, Services};
use super::settings::Settings;
use crate::kafka::{Outgoing, Position, PublishError, ReadError, Received};
use crate::protocol::{Encoding, Header, JobFailure, REPLY_TOPIC, State, StatusEvent, decode_event, encode_event};

pub(super) const REQUESTS: &str = "jobs.requests";
pub(super) const RESPONSES: &str = "jobs.responses";
pub(super) const DEAD_LETTERS: &str = "jobs.dead-letters";
pub(super) const GRACE: Duration = Duration::from_secs(1);
const NOW_MS: i64 = 1_772_368_215_250;

/// Calls a function with each record that is published on the response topic, and the world.
type OnPublish = Box<dyn Fn(&mut Kafka) + Send>;

#[derive(Default)]
pub(super) struct Kafka {
    pub(super) is_no_member: bool,
    /// The group refuses commits.
    pub(super) refuses: bool,
    /// What becomes of the next events.
    pub(super) fail_with: Option<PublishError>,
    fail_once: Option<PublishError>,
    pub(super) on_publish: Option<OnPublish>,
    published: Vec<Outgoing>,
    /// What other workers have published.
    ledger: Vec<Received>,
    cancels: HashMap<String, String>,
    committed: Position,
    mail: Option<MailSender>,
}

impl Kafka {
    /// Fails the next event with an error.
    pub(super) fn fail_once(&mut self, error: Option<PublishError>) {
        self.fail_once = error;
    }
}

struct World {
    began: Instant,
    kafka: Mutex<Kafka>,
}

impl World {
    fn kafka(&self) -> MutexGuard<'_, Kafka> {
        self.kafka.lock().unwrap()
    }
}

impl Services for World {
    fn now_ms(&self) -> i64 {
        NOW_MS + self.began.elapsed().as_millis() as i64
    }

    fn is_member(&self) -> bool {
        !self.kafka().is_no_member
    }

    fn doubt(&self) -> Option<u64> {
        self.kafka().is_no_member.then_some(1)
    }

    fn confirmed(&self, _: u64) {
        self.kafka().is_no_member = false;
    }

    fn cancel_reason(&self, correlation_id: &str) -> Option<String> {
        self.kafka().cancels.get(correlation_id).cloned()
    }

    fn publish(&self, record: &Outgoing) -> BoxFuture<Result<(), PublishError>> {
        let mut kafka = self.kafka();
        let failure = match record.topic.as_str() {
            RESPONSES => kafka.fail_once.take().or_else(|| kafka.fail_with.clone()),
            _ => None,
        };
        if failure.is_none() {
            kafka.published.push(record.clone());
            if let Some(call) = kafka.on_publish.take() {
                call(&mut kafka);
            }
        }
        Box::pin(async move { failure.map_or(Ok(()), Err) })
    }

    fn commit(&self, positions: Position) {
        let mut kafka = self.kafka();
        let is_accepted = !kafka.refuses;
        if is_accepted {
            kafka.committed.extend(positions.clone());
        }
        if let Some(mail) = &kafka.mail {
            mail.send(Mail::Committed(positions, is_accepted));
        }
    }

    fn set_full(&self, _: bool) {}

    fn read_ledger(&self, _: String, _: i64) -> BoxFuture<Result<Snapshot, ReadError>> {
        let mut snapshot = Snapshot::default();
        self.kafka().ledger.iter().for_each(|each| snapshot.add(each));
        Box::pin(async move { Ok(snapshot) })
    }
}

pub(super) struct Stage {
    world: Arc<World>,
    pub(super) mail: MailSender,
    stop: CancellationToken,
    core: JoinHandle<Result<Position, String>>,
    /// Where requests are published.
    pub(super) partition: i32,
    pub(super) offset: i64,
}

/// A handler that runs until the token is cancelled, or until it is asked to stop.
pub(super) fn until(done: &CancellationToken) -> Handler {
    let done = done.clone();
    handler(move |call| {
        let done = done.clone();
        async move {
            tokio::select! {
                () = done.cancelled() => Outcome::Done(None),
                () = call.stop.token.cancelled() => Outcome::Stopped(JobFailure::default()),
            }
        }
    })
}

pub(super) fn handler<F>(run: impl Fn(Call) -> F + Send + Sync + 'static) -> Handler
where
    F: Future<Output = Outcome> + Send + 'static,
{
    Handler { run: Box::new(move |call| Box::pin(run(call))), concurrency: None }
}

impl Stage {
    /// A worker that has partition 0.
    pub(super) async fn new(concurrency: usize, handlers: Vec<(&str, Handler)>) -> Self {
        let (mail, inbox) = mailbox();
        let kafka = Kafka { mail: Some(mail.clone()), ..Kafka::default() };
        let world = Arc::new(World { began: Instant::now(), kafka: Mutex::new(kafka) });
        let settings = Settings {
            request_topic: REQUESTS.into(),
            control_topic: "jobs.control".into(),
            dead_letter_topic: DEAD_LETTERS.into(),
            worker_id: "w".into(),
            concurrency,
            max_deliveries: 5,
            grace: GRACE,
        };
        let handlers = handlers.into_iter().map(|(name, each)| (name.to_owned(), each)).collect();
        let port = Port { services: world.clone(), mail: mail.clone() };
        let core = Core::new(settings, Arc::new(handlers), port, Handle::current());
        let stop = CancellationToken::new();
        let core = tokio::spawn(core.run(inbox, stop.clone()));
        let stage = Stage { world, mail, stop, core, partition: 0, offset: 0 };
        stage.assign().await;
        stage
    }

    pub(super) fn kafka(&self) -> MutexGuard<'_, Kafka> {
        self.world.kafka()
    }

    /// Gives partition 0, without a backlog.
    pub(super) async fn assign(&self) {
        self.mail.send(Mail::Assigned(vec![0]));
        self.mail.send(Mail::CaughtUp(0));
        self.settle().await;
    }

    /// Waits until nothing more happens by itself.
    pub(super) async fn settle(&self) {
        sleep(Duration::from_millis(300)).await;
    }

    /// Publishes a request for a job, and returns its id.
    pub(super) async fn submit(&mut self, job_type: &str) -> String {
        let id = format!("6f1c2f0a-8d4e-4b57-9a53-{:012}", self.offset);
        self.publish(&id, job_type, "").await;
        id
    }

    pub(super) async fn publish(&mut self, id: &str, job_type: &str, more: &str) {
        let created_at = self.world.now_ms();
        let text = format!(
            r#"{{"correlation_id": "{id}", "attempt": 1, "job_type": "{job_type}", "response_topic": "{RESPONSES}",
                "created_at": {created_at}, "heartbeat_interval_ms": 10000 {more}}}"#
        );
        self.deliver(id, Some(text.as_bytes())).await;
    }

    pub(super) async fn deliver(&mut self, key: &str, value: Option<&[u8]>) {
        let reply = Header { key: REPLY_TOPIC.into(), value: Some(RESPONSES.into()) };
        self.mail.send(Mail::Received(vec![Received {
            topic: REQUESTS.into(),
            partition: self.partition,
            offset: self.offset,
            key: Some(key.into()),
            value: value.map(<[u8]>::to_vec),
            headers: vec![reply],
            ..Received::default()
        }]));
        self.offset += 1;
        self.settle().await;
    }

    pub(super) fn now_ms(&self) -> i64 {
        self.world.now_ms()
    }

    pub(super) fn events(&self, id: &str) -> Vec<StatusEvent> {
        let kafka = self.kafka();
        let records = kafka.published.iter().filter(|each| each.topic == RESPONSES);
        let events = records.map(|each| decode_event(each.value.as_ref().unwrap()).unwrap());
        events.filter(|event| event.correlation_id == id).collect()
    }

    /// The states that were reported, without RUNNING.
    pub(super) fn states(&self, id: &str) -> Vec<State> {
        let states = self.events(id).into_iter().map(|event| event.state);
        states.filter(|state| *state != State::Running).collect()
    }

    /// Where an event is among all that were published.
    pub(super) fn index_of(&self, id: &str, state: State) -> Option<usize> {
        let kafka = self.kafka();
        kafka.published.iter().position(|each| {
            decode_event(each.value.as_ref().unwrap())
                .is_ok_and(|event| event.correlation_id == id && event.state == state)
        })
    }

    pub(super) fn letters(&self) -> usize {
        self.kafka().published.iter().filter(|each| each.topic == DEAD_LETTERS).count()
    }

    pub(super) async fn committed(&self) -> Option<i64> {
        sleep(Duration::from_secs(1)).await;
        self.kafka().committed.get(&0).copied()
    }

    pub(super) async fn cancel(&self, id: &str, reason: &str) {
        self.kafka().cancels.insert(id.into(), reason.into());
        self.mail.send(Mail::Cancelled(id.into()));
        self.settle().await;
    }

    /// Publishes an event in the name of another worker.
    pub(super) fn tell(&self, id: &str, state: State, delivery: i32) {
        self.tell_with(id, state, delivery, &[]);
    }

    /// The same, with attributes.
    pub(super) fn tell_with(&self, id: &str, state: State, delivery: i32, attributes: &[(&str, &str)]) {
        let owned = |(name, text): &(&str, &str)| ((*name).to_owned(), (*text).to_owned());
        let event = StatusEvent {
            correlation_id: id.into(),
            event_id: "e".into(),
            delivery,
            sequence: 7,
            state,
            occurred_at: 0,
            worker_id: "other".into(),
            message: None,
            progress: None,
            external_id: None,
            result: None,
            result_type: None,
            result_ref: None,
            error: None,
            attributes: attributes.iter().map(owned).collect(),
        };
        let value = encode_event(&event, Encoding::Json).ok();
        let record = Received { key: Some(id.into()), value, ..Received::default() };
        self.kafka().ledger.push(record);
    }

    /// Revokes partition 0, and returns what has to be committed.
    pub(super) async fn revoke(&self) -> Position {
        let (settled, positions) = mpsc::channel();
        self.mail.send(Mail::Revoked(vec![0], settled));
        loop {
            self.settle().await;
            if let Ok(positions) = positions.try_recv() {
                self.mail.send(Mail::Removed(vec![0]));
                return positions;
            }
        }
    }

    pub(super) fn ask_to_stop(&self) {
        self.stop.cancel();
    }

    /// Stops the worker, and returns what has to be committed.
    pub(super) async fn end(&mut self) -> Position {
        self.ask_to_stop();
        (&mut self.core).await.unwrap().unwrap()
    }
}
