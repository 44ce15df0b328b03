//! What to do with a job that has not started, and how one ends whose handler has returned. Both are pure.

use std::collections::BTreeMap;

use super::call::{Outcome, StopReason};
use super::ledger::History;
use crate::protocol::{JobFailure, JobRequest, MAX_ERROR_MESSAGE_BYTES, State, error_type, one_line};

/// What a terminal event says.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Ending {
    pub(super) state: State,
    pub(super) message: Option<String>,
    /// The bytes and their media type.
    pub(super) result: Option<(Vec<u8>, String)>,
    pub(super) failure: Option<JobFailure>,
    pub(super) attributes: BTreeMap<String, String>,
}

impl Ending {
    pub(super) fn new(state: State) -> Self {
        let attributes = BTreeMap::new();
        Ending { state, message: None, result: None, failure: None, attributes }
    }

    pub(super) fn cancelled(reason: &str) -> Self {
        let message = (!reason.is_empty()).then(|| reason.to_owned());
        Ending { message, ..Ending::new(State::Cancelled) }
    }

    pub(super) fn failed(kind: &str, retryable: bool, message: &str) -> Self {
        let message = one_line(message, MAX_ERROR_MESSAGE_BYTES);
        let failure = JobFailure { kind: kind.into(), message, details: None, retryable };
        Ending { failure: Some(failure), ..Ending::new(State::Failed) }
    }
}

#[derive(Debug, PartialEq)]
pub(super) enum Verdict {
    Start,
    /// It is finished: commit without an event.
    Skip,
    /// Publish a terminal event, without a start.
    End(Ending),
    /// The same, and write the request to the dead-letter topic.
    Poison(Ending),
}

/// All that a decision depends on.
pub(super) struct Facts<'a> {
    pub(super) request: &'a JobRequest,
    pub(super) is_finished: bool,
    pub(super) history: &'a History,
    pub(super) cancel_reason: Option<String>,
    pub(super) is_known_type: bool,
    pub(super) max_deliveries: u32,
    pub(super) now_ms: i64,
}

pub(super) fn decide(facts: &Facts<'_>) -> Verdict {
    let request = facts.request;
    if facts.is_finished {
        return Verdict::Skip;
    }
    if let Some(reason) = &facts.cancel_reason {
        return Verdict::End(Ending::cancelled(reason));
    }
    let interrupted = facts.history.interrupted();
    if interrupted >= facts.max_deliveries {
        return Verdict::Poison(Ending::failed(
            error_type::TOO_MANY_DELIVERIES,
            false,
            &format!(
                "the job was started {interrupted} times, and each time its worker died or stopped responding: the \
                 job may be the cause. Its request is in the dead-letter topic"
            ),
        ));
    }
    if let Some(late) = too_late(request, facts.now_ms) {
        return Verdict::End(late);
    }
    if !facts.is_known_type {
        return Verdict::End(Ending::failed(
            error_type::UNKNOWN_JOB_TYPE,
            false,
            &format!(
                "this worker has no handler for the job type {:?}: is the request on the right topic, and is the \
                 worker up to date?",
                request.job_type
            ),
        ));
    }
    if let Some(reference) = &request.payload_ref {
        return Verdict::End(Ending::failed(
            error_type::UNSUPPORTED_REFERENCE,
            false,
            &format!(
                "the payload is a reference, {}, and this worker does not fetch references: send the address in the \
                 payload itself, and let the handler read it",
                reference.uri
            ),
        ));
    }
    Verdict::Start
}

/// The end of a job that must not start any more.
pub(super) fn too_late(request: &JobRequest, now_ms: i64) -> Option<Ending> {
    let has_passed = |time: &i64| *time <= now_ms;
    if let Some(at) = request.expires_at.filter(has_passed) {
        let message = format!("the job had not started at {}, when it expired", utc(at));
        return Some(Ending::failed(error_type::EXPIRED, true, &message));
    }
    let at = request.deadline.filter(has_passed)?;
    let message = format!("the deadline {} passed before the job started", utc(at));
    Some(Ending::failed(error_type::DEADLINE_EXCEEDED, true, &message))
}

/// How a job ends whose handler has returned; nothing if it only stopped for a reason that is not the job's.
pub(super) fn ending_of(outcome: Outcome, stop: Option<&StopReason>, deadline: Option<i64>) -> Option<Ending> {
    let mut ending = match outcome {
        Outcome::Done(result) => Ending { result, ..Ending::new(State::Succeeded) },
        Outcome::Failed(failure) => Ending { failure: Some(failure), ..Ending::new(State::Failed) },
        Outcome::Stopped(failure) => match stop {
            Some(StopReason::Cancelled { reason }) => return Some(Ending::cancelled(reason)),
            Some(StopReason::Deadline) => {
                let message = format!("the job was stopped at its deadline {}", utc(deadline.unwrap_or(0)));
                return Some(Ending::failed(error_type::DEADLINE_EXCEEDED, true, &message));
            }
            Some(StopReason::Released | StopReason::Lost) => return None,
            None => Ending { failure: Some(failure), ..Ending::new(State::Failed) },
        },
    };
    if let Some(attribute) = stop.and_then(StopReason::attribute) {
        ending.attributes.insert("stop_requested".into(), attribute.into());
    }
    Some(ending)
}

/// A time as people read it: RFC 3339, UTC, in seconds.
fn utc(ms: i64) -> String {
    let seconds = ms.div_euclid(1_000);
    let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil_date(days);
    let (hour, minute, second) = (rest / 3_600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// The date of a number of days since 1970. Source: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms",
/// `civil_from_days`.
fn civil_date(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::decode_request;

    const NOW: i64 = 1_000_000;

    fn request(more: &str) -> JobRequest {
        let text = format!(
            r#"{{"correlation_id": "6f1c2f0a-8d4e-4b57-9a53-0c7d1be0a001", "attempt": 1, "job_type": "t", "response_topic": "r", "created_at": 1,
                "heartbeat_interval_ms": 0 {more}}}"#
        );
        decode_request(text.as_bytes()).unwrap().0
    }

    fn verdict(request: &JobRequest, change: impl FnOnce(&mut Facts<'_>)) -> Verdict {
        let mut facts = Facts {
            request,
            is_finished: false,
            history: &History::default(),
            cancel_reason: None,
            is_known_type: true,
            max_deliveries: 5,
            now_ms: NOW,
        };
        change(&mut facts);
        decide(&facts)
    }

    fn error_of(verdict: &Verdict) -> &str {
        match verdict {
            Verdict::End(ending) | Verdict::Poison(ending) => &ending.failure.as_ref().unwrap().kind,
            _ => panic!("{verdict:?} is no failure"),
        }
    }

    #[test]
    fn what_is_done_with_a_request() {
        let plain = request("");
        assert_eq!(verdict(&plain, |_| {}), Verdict::Start);
        let cancelled = |f: &mut Facts<'_>| f.cancel_reason = Some("why".into());
        assert_eq!(verdict(&plain, cancelled), Verdict::End(Ending::cancelled("why")));
        let both = |f: &mut Facts<'_>| {
            cancelled(f);
            f.is_finished = true;
        };
        assert_eq!(verdict(&plain, both), Verdict::Skip);
        assert_eq!(error_of(&verdict(&plain, |f| f.is_known_type = false)), "unknown_job_type");
        let late = |name: &str, at: i64| verdict(&request(&format!(r#", "{name}": {at}"#)), |_| {});
        assert_eq!(error_of(&late("expires_at", NOW)), "expired");
        assert_eq!(late("expires_at", NOW + 1), Verdict::Start);
        assert_eq!(error_of(&late("deadline", NOW)), "deadline_exceeded");
        let mut reference = request("");
        reference.payload_ref = Some(Default::default());
        assert_eq!(error_of(&verdict(&reference, |_| {})), "unsupported_reference");
    }

    #[test]
    fn five_interrupted_deliveries_fail_a_job_and_released_ones_do_not_count() {
        let of = |delivery, released| {
            let history = History { delivery, released, ..History::default() };
            let request = request("");
            let facts = Facts {
                request: &request,
                is_finished: false,
                history: &history,
                cancel_reason: None,
                is_known_type: true,
                max_deliveries: 5,
                now_ms: NOW,
            };
            decide(&facts)
        };
        assert!(matches!(of(5, 0), Verdict::Poison(_)));
        assert_eq!(of(6, 2), Verdict::Start);
        assert_eq!(of(1, 9), Verdict::Start);
    }

    #[test]
    fn how_a_job_ends_that_was_asked_to_stop() {
        let stopped = || Outcome::Stopped(JobFailure::default());
        let cancelled = StopReason::Cancelled { reason: "why".into() };
        let end = |outcome, stop: Option<&StopReason>| ending_of(outcome, stop, Some(1));
        assert_eq!(end(stopped(), Some(&cancelled)), Some(Ending::cancelled("why")));
        assert_eq!(end(stopped(), Some(&StopReason::Released)), None);
        assert_eq!(end(stopped(), Some(&StopReason::Lost)), None);
        let at_deadline = end(stopped(), Some(&StopReason::Deadline)).unwrap();
        assert_eq!(at_deadline.failure.unwrap().kind, "deadline_exceeded");
        let in_spite = end(Outcome::Done(None), Some(&cancelled)).unwrap();
        assert_eq!(in_spite.state, State::Succeeded);
        assert_eq!(in_spite.attributes["stop_requested"], "cancelled");
        let own = end(Outcome::Failed(JobFailure::default()), Some(&StopReason::Deadline)).unwrap();
        assert_eq!(own.attributes["stop_requested"], "deadline");
        let released = end(Outcome::Done(None), Some(&StopReason::Released)).unwrap();
        assert!(released.attributes.is_empty());
        assert_eq!(end(stopped(), None).unwrap().state, State::Failed);
    }

    #[test]
    fn times_are_shown_in_utc() {
        assert_eq!(utc(1_772_368_215_250), "2026-03-01T12:30:15Z");
        assert_eq!(utc(-1), "1969-12-31T23:59:59Z");
        assert_eq!(utc(951_782_400_000), "2000-02-29T00:00:00Z");
    }
}
