//! Records that were read, and records to publish.

use std::ffi::CStr;
use std::ptr;

use rdkafka::Message;
use rdkafka::bindings::{rd_kafka_header_get_all, rd_kafka_headers_t, rd_kafka_message_headers, rd_kafka_resp_err_t};
use rdkafka::message::{BorrowedMessage, OwnedHeaders};

use crate::protocol::{Header, Origin};

/// A record that was read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Received {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    /// Milliseconds since 1970.
    pub(crate) timestamp_ms: i64,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: Vec<Header>,
}

impl Received {
    pub(super) fn of(message: &BorrowedMessage<'_>) -> Self {
        Received {
            topic: message.topic().to_owned(),
            partition: message.partition(),
            offset: message.offset(),
            timestamp_ms: message.timestamp().to_millis().unwrap_or(-1),
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(<[u8]>::to_vec),
            headers: headers_of(message),
        }
    }

    pub(crate) fn origin(&self) -> Origin<'_> {
        Origin { topic: &self.topic, partition: self.partition, offset: self.offset, timestamp_ms: self.timestamp_ms }
    }
}

/// The headers of a record. rdkafka's own functions panic if a name is not UTF-8, which anyone may publish.
fn headers_of(message: &BorrowedMessage<'_>) -> Vec<Header> {
    let mut headers = Vec::new();
    let mut list: *mut rd_kafka_headers_t = ptr::null_mut();
    // SAFETY: the message is alive, and keeps the headers. They are only read.
    let found = unsafe { rd_kafka_message_headers(message.ptr(), &mut list) };
    if found != rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
        return headers;
    }
    for index in 0.. {
        let (mut name, mut value, mut size) = (ptr::null(), ptr::null(), 0);
        // SAFETY: the list is the message's own; librdkafka returns an error behind its end.
        let found = unsafe { rd_kafka_header_get_all(list, index, &mut name, &mut value, &mut size) };
        if found != rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            break;
        }
        // SAFETY: the name is a C string; the value is null or has this size. Both live as long as the message.
        let (name, value) = unsafe {
            let bytes = value.cast::<u8>();
            let value = (!bytes.is_null()).then(|| std::slice::from_raw_parts(bytes, size));
            (CStr::from_ptr(name), value)
        };
        let key = name.to_string_lossy().into_owned();
        headers.push(Header { key, value: value.map(<[u8]>::to_vec) });
    }
    headers
}

/// A record to publish.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing {
    pub(crate) topic: String,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: Vec<Header>,
}

impl Outgoing {
    pub(super) fn owned_headers(&self) -> OwnedHeaders {
        let empty = OwnedHeaders::new_with_capacity(self.headers.len());
        self.headers.iter().fold(empty, |headers, each| {
            headers.insert(rdkafka::message::Header { key: &each.key, value: each.value.as_ref() })
        })
    }
}
