//! Avro's single-object encoding of the three frozen schemas: `C3 01`, the fingerprint, the body.

mod read;
mod write;

pub(super) use read::{read_command, read_event, read_request};
pub(super) use write::write_event;

const MAGIC: [u8; 2] = [0xC3, 0x01];
const HEADER_BYTES: usize = 10;

/// The fingerprints, as the protocol lists them: some libraries keep logical types and compute other numbers.
const REQUEST: [u8; 8] = [0xcb, 0xcc, 0x3b, 0xa4, 0x77, 0x73, 0x0f, 0xc6];
const EVENT: [u8; 8] = [0x78, 0xb1, 0xdb, 0x8f, 0x79, 0x35, 0x0a, 0x12];
const COMMAND: [u8; 8] = [0x86, 0x79, 0x18, 0xf6, 0xb8, 0x48, 0xf8, 0x95];
