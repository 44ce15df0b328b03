//! What the core needs of the world.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use super::ledger::Snapshot;
use super::mail::MailSender;
use crate::kafka::{Outgoing, Position, PublishError, ReadError};

pub(crate) type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Kafka and the clock. No function blocks.
pub(crate) trait Services: Send + Sync + 'static {
    /// Milliseconds since 1970, UTC.
    fn now_ms(&self) -> i64;
    /// Whether this process is certainly a member of its group.
    fn is_member(&self) -> bool;
    /// Which doubt about that has to be cleared.
    fn doubt(&self) -> Option<u64>;
    /// The group has accepted a commit that was sent after the doubt had begun.
    fn confirmed(&self, doubt: u64);
    /// The reason of a CANCEL for a job.
    fn cancel_reason(&self, correlation_id: &str) -> Option<String>;
    /// Passes a record to the client at once; the future ends when it is acknowledged.
    fn publish(&self, record: &Outgoing) -> BoxFuture<Result<(), PublishError>>;
    /// Commits; a mail tells how it ended.
    fn commit(&self, positions: Position);
    /// Whether no more requests are wanted for now.
    fn set_full(&self, is_full: bool);
    /// Reads the control topic, and then a response topic since a time. Its only errors are those of a topic that
    /// cannot be used.
    fn read_ledger(&self, topic: String, since_ms: i64) -> BoxFuture<Result<Snapshot, ReadError>>;
}

/// The world, and the way back from it.
#[derive(Clone)]
pub(super) struct Port {
    pub(super) services: Arc<dyn Services>,
    pub(super) mail: MailSender,
}
