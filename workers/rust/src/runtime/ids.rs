//! Ids of jobs and events.

use std::collections::{HashSet, VecDeque};

use uuid::Uuid;

use crate::protocol::is_correlation_id;

/// A correlation id in 16 bytes: a ledger holds millions of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct JobKey(Uuid);

impl JobKey {
    /// The key of a record. One that is no UUID, which the protocol does not allow, is hashed.
    pub(super) fn of(key: &[u8]) -> Self {
        let known = is_correlation_id(key).then(|| Uuid::try_parse_ascii(key).ok()).flatten();
        JobKey(known.unwrap_or_else(|| Uuid::new_v5(&Uuid::NAMESPACE_OID, key)))
    }
}

pub(super) fn new_event_id() -> String {
    Uuid::new_v4().to_string()
}

/// The last keys that were added.
pub(super) struct RecentKeys {
    limit: usize,
    known: HashSet<JobKey>,
    order: VecDeque<JobKey>,
}

impl RecentKeys {
    pub(super) fn new(limit: usize) -> Self {
        RecentKeys { limit, known: HashSet::new(), order: VecDeque::new() }
    }

    pub(super) fn contains(&self, key: JobKey) -> bool {
        self.known.contains(&key)
    }

    pub(super) fn add(&mut self, key: JobKey) {
        if !self.known.insert(key) {
            return;
        }
        self.order.push_back(key);
        if self.order.len() > self.limit
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_are_no_uuids_are_different_too() {
        let upper = JobKey::of(b"6F1C2F0A-8D4E-4B57-9A53-0C7D1BE0A001");
        let lower = JobKey::of(b"6f1c2f0a-8d4e-4b57-9a53-0c7d1be0a001");
        assert_ne!(upper, lower);
        assert_ne!(JobKey::of(b"a"), JobKey::of(b"b"));
    }

    #[test]
    fn the_oldest_keys_are_forgotten() {
        let mut recent = RecentKeys::new(2);
        let keys = [b"a", b"b", b"c"].map(|each| JobKey::of(each));
        keys.into_iter().for_each(|each| recent.add(each));
        assert_eq!(keys.map(|each| recent.contains(each)), [false, true, true]);
    }
}
