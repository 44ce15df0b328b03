//! One assignment of a partition of the request topic.

use super::offsets::Offsets;

/// Names an assignment of a partition: its number, and which assignment of this process it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct PartitionId {
    pub(super) number: i32,
    pub(super) epoch: u64,
}

pub(super) struct Partition {
    pub(super) id: PartitionId,
    pub(super) offsets: Offsets,
    /// It is being given back: nothing of it starts.
    pub(super) is_leaving: bool,
    /// Milliseconds since 1970.
    pub(super) assigned_at_ms: i64,
    /// All requests have arrived that were there when it was assigned.
    pub(super) is_caught_up: bool,
}

impl Partition {
    pub(super) fn new(id: PartitionId, assigned_at_ms: i64) -> Self {
        Partition { id, offsets: Offsets::default(), is_leaving: false, assigned_at_ms, is_caught_up: false }
    }
}
