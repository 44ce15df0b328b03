//! The jobs that wait for a slot.

use std::collections::{HashMap, VecDeque};

use super::mail::Ticket;

/// Interrupted jobs come before all others, and apart from that the order is that of arrival. A job type without free
/// capacity does not block others.
#[derive(Default)]
pub(super) struct Queue {
    by_type: HashMap<String, Lanes>,
    turn: u64,
}

#[derive(Default)]
struct Lanes {
    interrupted: VecDeque<(u64, Ticket)>,
    others: VecDeque<(u64, Ticket)>,
}

impl Queue {
    pub(super) fn add(&mut self, ticket: Ticket, job_type: &str, is_interrupted: bool) {
        self.turn += 1;
        let lanes = self.by_type.entry(job_type.to_owned()).or_default();
        let lane = if is_interrupted { &mut lanes.interrupted } else { &mut lanes.others };
        lane.push_back((self.turn, ticket));
    }

    /// Removes and returns the job whose turn it is, among the job types that have capacity.
    ///
    /// `is_waiting` tells whether a job has not ended while it waited.
    pub(super) fn next(
        &mut self,
        only_interrupted: bool,
        has_capacity: impl Fn(&str) -> bool,
        is_waiting: impl Fn(Ticket) -> bool,
    ) -> Option<Ticket> {
        let mut first = |lane: fn(&mut Lanes) -> &mut VecDeque<(u64, Ticket)>| {
            let lanes = self.by_type.iter_mut().filter(|(job_type, _)| has_capacity(job_type));
            let lanes = lanes.map(|(_, lanes)| {
                let lane = lane(lanes);
                while lane.front().is_some_and(|&(_, ticket)| !is_waiting(ticket)) {
                    lane.pop_front();
                }
                lane
            });
            let lane = lanes.filter(|lane| !lane.is_empty()).min_by_key(|lane| lane.front().copied())?;
            lane.pop_front().map(|(_, ticket)| ticket)
        };
        let interrupted = first(|lanes| &mut lanes.interrupted);
        if interrupted.is_some() || only_interrupted {
            return interrupted;
        }
        first(|lanes| &mut lanes.others)
    }

    /// The interrupted jobs that wait, and maybe some that have ended.
    pub(super) fn interrupted(&self) -> Vec<Ticket> {
        let lanes = self.by_type.values().flat_map(|lanes| &lanes.interrupted);
        lanes.map(|&(_, ticket)| ticket).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interrupted_jobs_come_first_and_a_full_type_does_not_block_others() {
        let mut queue = Queue::default();
        queue.add(1, "full", false);
        queue.add(2, "a", false);
        queue.add(3, "b", false);
        queue.add(4, "b", true);
        queue.add(5, "a", false);
        let next = |queue: &mut Queue, only| queue.next(only, |t| t != "full", |ticket| ticket != 2);
        assert_eq!(next(&mut queue, true), Some(4));
        assert_eq!(next(&mut queue, true), None);
        assert_eq!(next(&mut queue, false), Some(3));
        assert_eq!(next(&mut queue, false), Some(5));
        assert_eq!(next(&mut queue, false), None);
    }
}
