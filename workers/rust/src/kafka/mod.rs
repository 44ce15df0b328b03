//! What a worker needs of Kafka: a member of its group on a thread of its own, a producer, a reading of a topic up
//! to its end, and the control topic. The client is librdkafka.

mod config;
mod context;
mod control;
mod errors;
mod group;
mod membership;
mod offsets;
mod poller;
mod publisher;
mod records;
mod scan;

pub(crate) use config::KafkaConfig;
pub(crate) use control::Control;
pub(crate) use errors::{PublishError, ReadError};
pub(crate) use group::{GroupEvents, Position};
pub(crate) use membership::Membership;
pub(crate) use poller::{Poller, PollerHandle};
pub(crate) use publisher::Producer;
pub(crate) use records::{Outgoing, Received};
pub(crate) use scan::LedgerScan;
