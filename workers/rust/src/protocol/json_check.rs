//! JSON as the protocol wants it: UTF-8, no half of a surrogate pair, no number too large for a double.

use serde_json::value::RawValue;

use super::codec::Unreadable;

/// A value as checked text. serde_json finds its end and nothing more; what it would only notice while it decodes
/// is checked here.
pub(super) fn check(value: &[u8]) -> Result<&str, Unreadable> {
    let text = std::str::from_utf8(value).map_err(|_| Unreadable::new("the JSON is not UTF-8"))?;
    serde_json::from_str::<&RawValue>(text).map_err(|error| Unreadable::new(format!("it is not JSON: {error}")))?;
    check_tokens(text.as_bytes())?;
    Ok(text)
}

fn check_tokens(text: &[u8]) -> Result<(), Unreadable> {
    let mut at = 0;
    while at < text.len() {
        at = match text[at] {
            b'"' => end_of_string(text, at + 1)?,
            b'-' | b'0'..=b'9' => end_of_number(text, at)?,
            _ => at + 1,
        };
    }
    Ok(())
}

/// The index after the closing quote.
fn end_of_string(text: &[u8], mut at: usize) -> Result<usize, Unreadable> {
    let half = || Unreadable::new("a text has half a surrogate pair");
    while at < text.len() {
        match (text[at], code_unit(text, at)) {
            (b'"', _) => return Ok(at + 1),
            (b'\\', None) => at += 2,
            (b'\\', Some(0xD800..0xDC00)) => match code_unit(text, at + 6) {
                Some(0xDC00..0xE000) => at += 12,
                _ => return Err(half()),
            },
            (b'\\', Some(0xDC00..0xE000)) => return Err(half()),
            (b'\\', Some(_)) => at += 6,
            _ => at += 1,
        }
    }
    Ok(at)
}

/// The UTF-16 code unit of an escape such as `\u00e4`.
fn code_unit(text: &[u8], at: usize) -> Option<u16> {
    let digits = text.get(at..at + 6)?.strip_prefix(b"\\u")?;
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

fn end_of_number(text: &[u8], start: usize) -> Result<usize, Unreadable> {
    let is_part = |b: &u8| matches!(b, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
    let length = text[start..].iter().take_while(|b| is_part(b)).count();
    let number = std::str::from_utf8(&text[start..start + length]).unwrap_or_default();
    match number.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(start + length),
        _ => Err(Unreadable::new("a number is too large for a double")),
    }
}
