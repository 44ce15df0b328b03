//! What the protocol demands of messages beyond their types.

use super::codec::Unreadable;
use super::media_type::is_json;
use super::messages::{JobCommand, JobRequest, Progress, Reference, StatusEvent};

/// The first and the last millisecond of the years 1 to 9999.
const TIMES: std::ops::RangeInclusive<i64> = -62_135_596_800_000..=253_402_300_799_999;

type Checked = Result<(), Unreadable>;

fn not_empty(name: &str, value: &str) -> Checked {
    match value {
        "" => Err(Unreadable::new(format!("{name} is empty"))),
        _ => Ok(()),
    }
}

fn at_least(name: &str, value: i64, least: i64) -> Checked {
    if value < least {
        return Err(Unreadable::new(format!("{name} is {value}, at least {least} is allowed")));
    }
    Ok(())
}

fn time(name: &str, value: Option<i64>) -> Checked {
    match value {
        Some(value) if !TIMES.contains(&value) => {
            Err(Unreadable::new(format!("{name} is not in the years 1 to 9999: {value}")))
        }
        _ => Ok(()),
    }
}

fn reference(name: &str, value: Option<&Reference>) -> Checked {
    let Some(value) = value else { return Ok(()) };
    not_empty(&format!("{name}.uri"), &value.uri)?;
    at_least(&format!("{name}.size"), value.size, 0)?;
    if value.sha256.len() != 64 || !value.sha256.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(Unreadable::new(format!("{name}.sha256 is not 64 hexadecimal digits")));
    }
    Ok(())
}

/// Checks data with its media type, and completes what is tolerated: a media type without data is JSON's null if
/// it is a JSON type, and no data otherwise.
fn typed(name: &str, data: &mut Option<Vec<u8>>, media_type: &mut Option<String>) -> Checked {
    match (data.is_some(), media_type.as_deref()) {
        (true, None) => return Err(Unreadable::new(format!("{name} has no media type"))),
        (false, Some(named)) if is_json(named) => *data = Some(b"null".to_vec()),
        (false, _) => *media_type = None,
        (true, Some(_)) => {}
    }
    Ok(())
}

pub(super) fn request(r: &mut JobRequest) -> Checked {
    if !is_correlation_id(r.correlation_id.as_bytes()) {
        return Err(Unreadable::new("correlation_id is no UUID in lower case"));
    }
    not_empty("job_type", &r.job_type)?;
    not_empty("response_topic", &r.response_topic)?;
    at_least("attempt", r.attempt.into(), 1)?;
    at_least("heartbeat_interval_ms", r.heartbeat_interval_ms.into(), 0)?;
    typed("payload", &mut r.payload, &mut r.payload_type)?;
    reference("payload_ref", r.payload_ref.as_ref())?;
    time("created_at", Some(r.created_at))?;
    time("expires_at", r.expires_at)?;
    time("deadline", r.deadline)
}

pub(super) fn event(e: &mut StatusEvent) -> Checked {
    not_empty("correlation_id", &e.correlation_id)?;
    if let Some(error) = &mut e.error
        && error.kind.is_empty()
    {
        error.kind = "error".into();
    }
    let rest = event_beside_error(e);
    if e.error.is_some() { Ok(()) } else { rest }
}

fn event_beside_error(e: &mut StatusEvent) -> Checked {
    not_empty("event_id", &e.event_id)?;
    at_least("delivery", e.delivery.into(), 1)?;
    at_least("sequence", e.sequence, 0)?;
    time("occurred_at", Some(e.occurred_at))?;
    if let Some(Progress { completed, total, .. }) = &e.progress
        && !(completed.is_finite() && total.is_none_or(f64::is_finite))
    {
        return Err(Unreadable::new("progress is not a finite number"));
    }
    typed("result", &mut e.result, &mut e.result_type)?;
    reference("result_ref", e.result_ref.as_ref())
}

pub(super) fn command(c: &JobCommand) -> Checked {
    not_empty("correlation_id", &c.correlation_id)?;
    time("issued_at", Some(c.issued_at))
}

/// Whether a record's key is a correlation id: UUID text in lower case.
pub(crate) fn is_correlation_id(key: &[u8]) -> bool {
    key.len() == 36
        && key.iter().enumerate().all(|(i, &b)| match i {
            8 | 13 | 18 | 23 => b == b'-',
            _ => matches!(b, b'0'..=b'9' | b'a'..=b'f'),
        })
}
