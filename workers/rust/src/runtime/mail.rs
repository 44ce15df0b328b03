//! What happens outside of the core.

use std::sync::mpsc;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::call::Outcome;
use super::ledger::Snapshot;
use super::partition::PartitionId;
use crate::kafka::{GroupEvents, Position, PublishError, ReadError, Received};

/// Names a job in this process. Later ones are larger.
pub(super) type Ticket = u64;

pub(crate) enum Mail {
    Assigned(Vec<i32>),
    Revoked(Vec<i32>, mpsc::Sender<Position>),
    Removed(Vec<i32>),
    Lost(Vec<i32>),
    Received(Vec<Received>),
    CaughtUp(i32),
    Committed(Position, bool),
    ClientFailed(String),
    /// A CANCEL was read, for this correlation id.
    Cancelled(String),
    /// The event that must arrive is acknowledged, or is not.
    Settled {
        ticket: Ticket,
        serial: u64,
        result: Result<(), PublishError>,
    },
    /// A handler has reported something.
    Reported(Ticket),
    Returned {
        ticket: Ticket,
        outcome: Outcome,
        took: Duration,
    },
    /// The handler was not called: this process may have been frozen.
    Postponed(Ticket),
    LedgerRead {
        topic: String,
        since_ms: i64,
        epoch: u64,
        result: Result<Snapshot, ReadError>,
    },
    LetterSettled {
        letter: u64,
        result: Result<(), PublishError>,
    },
    /// The task of an unreadable request was told, as far as possible.
    TaskTold {
        partition: PartitionId,
        offset: i64,
    },
}

/// Sends mail to the core. After its end, mail is dropped.
#[derive(Clone)]
pub(crate) struct MailSender(UnboundedSender<Mail>);

impl MailSender {
    pub(crate) fn send(&self, mail: Mail) {
        let _ = self.0.send(mail);
    }
}

pub(super) fn mailbox() -> (MailSender, UnboundedReceiver<Mail>) {
    let (sender, receiver) = unbounded_channel();
    (MailSender(sender), receiver)
}

impl GroupEvents for MailSender {
    fn assigned(&self, partitions: Vec<i32>) {
        self.send(Mail::Assigned(partitions));
    }

    fn revoked(&self, partitions: Vec<i32>) -> mpsc::Receiver<Position> {
        let (settled, receiver) = mpsc::channel();
        self.send(Mail::Revoked(partitions, settled));
        receiver
    }

    fn removed(&self, partitions: Vec<i32>) {
        self.send(Mail::Removed(partitions));
    }

    fn lost(&self, partitions: Vec<i32>) {
        self.send(Mail::Lost(partitions));
    }

    fn received(&self, records: Vec<Received>) {
        self.send(Mail::Received(records));
    }

    fn caught_up(&self, partition: i32) {
        self.send(Mail::CaughtUp(partition));
    }

    fn committed(&self, positions: Position, accepted: bool) {
        self.send(Mail::Committed(positions, accepted));
    }

    fn failed(&self, why: String) {
        self.send(Mail::ClientFailed(why));
    }
}
