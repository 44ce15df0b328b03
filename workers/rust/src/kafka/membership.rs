//! Whether the worker is certainly a member of its group.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The share of the session after which membership is in doubt. The group counts from the last heartbeat, which is
/// older than the last poll.
const DOUBT_SHARE: f64 = 0.5;

/// A process that was stopped for longer than its session (SIGSTOP, a suspended machine, a long page-in) has lost its
/// partitions and cannot know it. So nothing is published while the last tick of the polling thread is older than
/// half of the session, nor after that until the group has accepted a commit.
pub(crate) struct Membership {
    sure_for: Duration,
    state: Mutex<State>,
}

struct State {
    ticked_at: Instant,
    in_doubt: bool,
    doubts: u64,
}

impl Membership {
    pub(crate) fn new(session_timeout: Duration) -> Self {
        Self::at(session_timeout, Instant::now())
    }

    fn at(session_timeout: Duration, now: Instant) -> Self {
        let state = State { ticked_at: now, in_doubt: false, doubts: 0 };
        Membership { sure_for: session_timeout.mul_f64(DOUBT_SHARE), state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that the polling thread runs.
    pub(crate) fn tick(&self) {
        self.tick_at(Instant::now());
    }

    fn tick_at(&self, now: Instant) {
        let mut state = self.state();
        if now.duration_since(state.ticked_at) > self.sure_for {
            state.in_doubt = true;
            state.doubts += 1;
        }
        state.ticked_at = now;
    }

    /// Whether events may be published now.
    pub(crate) fn is_sure(&self) -> bool {
        self.is_sure_at(Instant::now())
    }

    fn is_sure_at(&self, now: Instant) -> bool {
        let state = self.state();
        !state.in_doubt && now.duration_since(state.ticked_at) <= self.sure_for
    }

    /// Which doubt has to be cleared, if there is one.
    pub(crate) fn doubt(&self) -> Option<u64> {
        let state = self.state();
        state.in_doubt.then_some(state.doubts)
    }

    /// Notes that the group has accepted a commit that was sent after a doubt had begun.
    pub(crate) fn confirmed(&self, doubt: u64) {
        let mut state = self.state();
        if state.doubts == doubt {
            state.in_doubt = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_freeze_of_half_a_session_is_a_doubt_until_the_group_confirms() {
        let began = Instant::now();
        let after = |seconds| began + Duration::from_secs(seconds);
        let membership = Membership::at(Duration::from_secs(10), began);
        assert!(membership.is_sure_at(after(5)));
        assert!(!membership.is_sure_at(after(6)), "it publishes before the thread has polled");
        membership.tick_at(after(6));
        assert!(!membership.is_sure_at(after(6)), "a poll proves nothing");
        let doubt = membership.doubt().unwrap();
        membership.tick_at(after(20));
        membership.confirmed(doubt);
        assert!(!membership.is_sure_at(after(20)), "an answer to an earlier question counts");
        membership.confirmed(membership.doubt().unwrap());
        assert!(membership.is_sure_at(after(20)));
    }
}
