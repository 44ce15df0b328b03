//! Runs the jobs of a worker.
//!
//! One task, the [`core`], decides: which request becomes a job, which job starts, what is committed. It never waits.
//! Everything else, such as handlers, acknowledgements and the group's callbacks, sends it a [`mail`]. So the state of
//! jobs and partitions needs no locks. The core has a thread and a runtime of its own: heartbeats do not depend on
//! handlers, not even on those that block their runtime.

mod assignment;
mod call;
mod commits;
mod core;
mod dead_letters;
mod decide;
mod draining;
mod ending;
mod ids;
mod intake;
mod job;
mod ledger;
mod mail;
mod offsets;
mod partition;
mod port;
mod queue;
mod readings;
mod reporter;
mod scheduling;
mod serve;
mod settings;
mod slots;

#[cfg(test)]
mod core_tests;
#[cfg(test)]
mod stage;

pub use call::StopReason;
pub(crate) use call::{Call, Handler, Outcome, Report};
pub(crate) use port::BoxFuture;
pub(crate) use serve::serve;
pub(crate) use settings::Settings;
