//! Messages from Avro.

use std::collections::BTreeMap;

use super::{COMMAND, EVENT, HEADER_BYTES, MAGIC, REQUEST};
use crate::protocol::codec::Unreadable;
use crate::protocol::messages::{
    Command, JobCommand, JobFailure, JobRequest, Progress, Reference, State, StatusEvent, Task,
};

type Read<T> = Result<T, Unreadable>;

/// Reads a body. Lengths are checked against what is there before anything is allocated.
///
/// Text that is not UTF-8 is read with replacement characters, and the name of its field is kept.
struct Reader<'a> {
    rest: &'a [u8],
    not_utf8: Vec<&'static str>,
}

impl<'a> Reader<'a> {
    fn new(value: &'a [u8], fingerprint: [u8; 8]) -> Read<Self> {
        let Some((header, rest)) = value.split_at_checked(HEADER_BYTES) else {
            return Err(Unreadable::new("the value ends in its Avro header"));
        };
        if header[MAGIC.len()..] != fingerprint {
            return Err(Unreadable::new("the schema fingerprint is that of another message, or unknown"));
        }
        Ok(Reader { rest, not_utf8: Vec::new() })
    }

    fn take(&mut self, length: usize) -> Read<&'a [u8]> {
        let Some((taken, rest)) = self.rest.split_at_checked(length) else {
            return Err(Unreadable::new("the Avro body ends too early"));
        };
        self.rest = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Read<u8> {
        Ok(self.take(1)?[0])
    }

    fn long(&mut self) -> Read<i64> {
        let mut bits = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let low = u64::from(byte & 0x7f);
            if shift == 63 && low > 1 {
                break;
            }
            bits |= low << shift;
            if byte & 0x80 == 0 {
                return Ok((bits >> 1) as i64 ^ -((bits & 1) as i64));
            }
        }
        Err(Unreadable::new("an integer has more than 64 bits"))
    }

    fn int(&mut self) -> Read<i32> {
        i32::try_from(self.long()?).map_err(|_| Unreadable::new("an integer has more than 32 bits"))
    }

    fn double(&mut self) -> Read<f64> {
        let bytes = self.take(8)?;
        Ok(f64::from_le_bytes(bytes.try_into().expect("eight bytes were taken")))
    }

    fn boolean(&mut self) -> Read<bool> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Unreadable::new("a boolean is neither 0 nor 1")),
        }
    }

    fn bytes(&mut self) -> Read<&'a [u8]> {
        let length =
            usize::try_from(self.long()?).map_err(|_| Unreadable::new("a length is negative, or too large"))?;
        self.take(length)
    }

    fn text(&mut self, name: &'static str) -> Read<String> {
        let bytes = self.bytes()?;
        let text = String::from_utf8_lossy(bytes);
        if let std::borrow::Cow::Owned(_) = text {
            self.not_utf8.push(name);
        }
        Ok(text.into_owned())
    }

    fn optional<T>(&mut self, read: impl FnOnce(&mut Self) -> Read<T>) -> Read<Option<T>> {
        match self.long()? {
            0 => Ok(None),
            1 => read(self).map(Some),
            _ => Err(Unreadable::new("a union has no such branch")),
        }
    }

    /// The index of an enum's symbol. A later version cannot add one: its schema would have another fingerprint.
    fn symbol<T: Copy>(&mut self, all: &[T]) -> Read<T> {
        let index = usize::try_from(self.long()?).ok();
        let found = index.and_then(|at| all.get(at));
        found.copied().ok_or_else(|| Unreadable::new("an enum has no such symbol"))
    }

    fn map(&mut self, name: &'static str) -> Read<BTreeMap<String, String>> {
        let mut map = BTreeMap::new();
        loop {
            let mut count = self.long()?;
            if count == 0 {
                return Ok(map);
            }
            if count < 0 {
                self.long()?; // the size of the block in bytes
                count = count.checked_neg().ok_or_else(|| Unreadable::new("a block is too long"))?;
            }
            for _ in 0..count {
                let key = self.text(name)?;
                map.insert(key, self.text(name)?);
            }
        }
    }

    fn reference(&mut self) -> Read<Reference> {
        Ok(Reference { uri: self.text("uri")?, sha256: self.text("sha256")?, size: self.long()? })
    }

    fn task(&mut self) -> Read<Task> {
        Ok(Task {
            source: self.text("task.source")?,
            dag_id: self.text("task.dag_id")?,
            run_id: self.text("task.run_id")?,
            task_id: self.text("task.task_id")?,
            map_index: self.int()?,
            try_number: self.int()?,
            url: self.optional(|r| r.text("task.url"))?,
        })
    }

    fn progress(&mut self) -> Read<Progress> {
        Ok(Progress {
            completed: self.double()?,
            total: self.optional(Self::double)?,
            unit: self.optional(|r| r.text("progress.unit"))?,
        })
    }

    fn failure(&mut self) -> Read<JobFailure> {
        Ok(JobFailure {
            kind: self.text("error.type")?,
            message: self.text("error.message")?,
            details: self.optional(|r| r.text("error.details"))?,
            retryable: self.boolean()?,
        })
    }

    /// Checks that nothing follows the body, and the text of the fields that count.
    fn end(self, counts: impl Fn(&str) -> bool) -> Read<()> {
        if !self.rest.is_empty() {
            return Err(Unreadable::new("bytes follow the Avro body"));
        }
        match self.not_utf8.iter().find(|name| counts(name)) {
            Some(name) => Err(Unreadable::new(format!("{name} is not UTF-8"))),
            None => Ok(()),
        }
    }
}

pub(in crate::protocol) fn read_request(value: &[u8]) -> Read<JobRequest> {
    let mut r = Reader::new(value, REQUEST)?;
    let request = JobRequest {
        correlation_id: r.text("correlation_id")?,
        attempt: r.int()?,
        job_type: r.text("job_type")?,
        payload: r.optional(|r| r.bytes().map(<[u8]>::to_vec))?,
        payload_type: r.optional(|r| r.text("payload_type"))?,
        payload_ref: r.optional(Reader::reference)?,
        response_topic: r.text("response_topic")?,
        created_at: r.long()?,
        expires_at: r.optional(Reader::long)?,
        deadline: r.optional(Reader::long)?,
        heartbeat_interval_ms: r.int()?,
        task: r.optional(Reader::task)?,
        attributes: r.map("attributes")?,
    };
    r.end(|_| true)?;
    Ok(request)
}

pub(in crate::protocol) fn read_event(value: &[u8]) -> Read<StatusEvent> {
    let mut r = Reader::new(value, EVENT)?;
    let event = StatusEvent {
        correlation_id: r.text("correlation_id")?,
        event_id: r.text("event_id")?,
        delivery: r.int()?,
        sequence: r.long()?,
        state: r.symbol(&State::ALL)?,
        occurred_at: r.long()?,
        worker_id: r.text("worker_id")?,
        message: r.optional(|r| r.text("message"))?,
        progress: r.optional(Reader::progress)?,
        external_id: r.optional(|r| r.text("external_id"))?,
        result: r.optional(|r| r.bytes().map(<[u8]>::to_vec))?,
        result_type: r.optional(|r| r.text("result_type"))?,
        result_ref: r.optional(Reader::reference)?,
        error: r.optional(Reader::failure)?,
        attributes: r.map("attributes")?,
    };
    let has_error = event.error.is_some();
    r.end(|name| !has_error || name == "correlation_id" || name.starts_with("error."))?;
    Ok(event)
}

pub(in crate::protocol) fn read_command(value: &[u8]) -> Read<JobCommand> {
    let mut r = Reader::new(value, COMMAND)?;
    let command = JobCommand {
        correlation_id: r.text("correlation_id")?,
        command: r.symbol(&[Command::Unknown, Command::Cancel])?,
        reason: r.optional(|r| r.text("reason"))?,
        issued_at: r.long()?,
        attributes: r.map("attributes")?,
    };
    r.end(|_| true)?;
    Ok(command)
}
