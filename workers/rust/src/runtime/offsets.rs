//! Which offsets of a partition are finished.

use std::collections::BTreeSet;

/// The offsets of one assignment of a partition. Jobs end out of order, but only the offset up to which all are
/// finished may be committed.
#[derive(Debug, Default)]
pub(super) struct Offsets {
    /// The offset after the last record that was consumed.
    next: Option<i64>,
    unfinished: BTreeSet<i64>,
    committed: Option<i64>,
}

impl Offsets {
    pub(super) fn consume(&mut self, offset: i64) {
        self.next = Some(offset + 1);
        self.unfinished.insert(offset);
    }

    pub(super) fn finish(&mut self, offset: i64) {
        self.unfinished.remove(&offset);
    }

    /// The offset to continue from after a crash; nothing if nothing was consumed.
    pub(super) fn position(&self) -> Option<i64> {
        self.unfinished.first().copied().or(self.next)
    }

    /// The position, if it is not committed yet.
    pub(super) fn moved(&self) -> Option<i64> {
        self.position().filter(|&at| self.committed != Some(at))
    }

    pub(super) fn commit(&mut self, position: i64) {
        self.committed = Some(position);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_offsets_up_to_the_oldest_unfinished_one_are_committed() {
        let mut offsets = Offsets::default();
        assert_eq!(offsets.position(), None);
        for offset in [5, 6, 9] {
            offsets.consume(offset);
        }
        offsets.finish(6);
        assert_eq!(offsets.position(), Some(5));
        offsets.finish(5);
        assert_eq!(offsets.moved(), Some(9));
        offsets.commit(9);
        assert_eq!(offsets.moved(), None);
        offsets.finish(9);
        assert_eq!(offsets.moved(), Some(10));
    }
}
