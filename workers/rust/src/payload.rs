//! Payloads and results.

use std::any::TypeId;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::JobError;
use crate::protocol::{JobRequest, MEDIA_TYPE_BINARY, MEDIA_TYPE_JSON, is_json};

/// A payload or a result with a media type of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Data {
    /// The media type. A payload without one is none; a result without one is `application/octet-stream`.
    pub media_type: Option<String>,
    /// The bytes.
    pub bytes: Vec<u8>,
}

impl Data {
    /// Bytes of a media type.
    pub fn new(media_type: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Data { media_type: Some(media_type.into()), bytes: bytes.into() }
    }
}

/// What a handler takes: a type that serde reads from JSON, or [`Data`].
///
/// No payload is read as null, so `()` and `Option<T>` accept it. [`serde::de::IgnoredAny`] accepts any JSON.
pub trait Payload: Send + Sized + 'static {
    #[doc(hidden)]
    fn read(job_type: &str, media_type: Option<&str>, bytes: Option<&[u8]>) -> Result<Self, JobError>;
}

impl<T: DeserializeOwned + Send + 'static> Payload for T {
    fn read(job_type: &str, media_type: Option<&str>, bytes: Option<&[u8]>) -> Result<Self, JobError> {
        match media_type {
            Some(named) if !is_json(named) => {
                Err(JobError::invalid_payload(format!("the payload is {named}, and JSON is expected")))
            }
            Some(_) => serde_json::from_slice(bytes.unwrap_or(b"null"))
                .map_err(|error| JobError::invalid_payload(format!("the payload does not fit: {error}"))),
            None => serde_json::from_slice(b"null").map_err(|_| {
                let message = format!("the job type {job_type} needs a payload, and the request has none");
                JobError::invalid_payload(message)
            }),
        }
    }
}

impl Payload for Data {
    fn read(_: &str, media_type: Option<&str>, bytes: Option<&[u8]>) -> Result<Self, JobError> {
        let bytes = bytes.unwrap_or_default().to_vec();
        Ok(Data { media_type: media_type.map(str::to_owned), bytes })
    }
}

/// What a handler returns: a type that serde writes as JSON, `()` for no result, or [`Data`].
pub trait Reply: Send + 'static {
    #[doc(hidden)]
    fn write(self) -> Result<Option<(Vec<u8>, String)>, JobError>;
}

impl<T: Serialize + Send + 'static> Reply for T {
    fn write(self) -> Result<Option<(Vec<u8>, String)>, JobError> {
        if TypeId::of::<T>() == TypeId::of::<()>() {
            return Ok(None);
        }
        let text = serde_json::to_vec(&self)
            .map_err(|error| JobError::new("invalid_result", format!("the result cannot be encoded: {error}")))?;
        Ok(Some((text, MEDIA_TYPE_JSON.into())))
    }
}

impl Reply for Data {
    fn write(self) -> Result<Option<(Vec<u8>, String)>, JobError> {
        Ok(Some((self.bytes, self.media_type.unwrap_or_else(|| MEDIA_TYPE_BINARY.into()))))
    }
}

/// Reads the payload of a request.
pub(crate) fn payload_of<P: Payload>(request: &JobRequest) -> Result<P, JobError> {
    P::read(&request.job_type, request.payload_type.as_deref(), request.payload.as_deref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, serde::Deserialize, serde::Serialize)]
    struct File {
        path: String,
        size: i64,
    }

    fn read<P: Payload>(media_type: Option<&str>, bytes: Option<&[u8]>) -> Result<P, String> {
        P::read("t", media_type, bytes).map_err(|error| {
            let failure = error.into_failure();
            assert_eq!(failure.kind, "invalid_payload");
            failure.message
        })
    }

    #[test]
    fn a_payload_is_decoded_and_a_result_is_encoded() {
        let text = br#"{"path":"/a","size":9007199254740993}"#;
        let file: File = read(Some("application/x+json"), Some(text)).unwrap();
        assert_eq!(file.write().unwrap(), Some((text.to_vec(), "application/json".into())));
    }

    #[test]
    fn a_payload_that_does_not_fit_is_invalid() {
        for (media_type, bytes, part) in [
            (Some("application/json"), Some(&br#"{"path": 1}"#[..]), "does not fit"),
            (Some("application/json"), Some(br#"{"half": "#), "does not fit"),
            (Some("text/plain"), Some(b"a"), "JSON is expected"),
            (None, None, "needs a payload"),
        ] {
            let message = read::<File>(media_type, bytes).unwrap_err();
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn no_payload_is_null_and_no_result_is_none() {
        assert_eq!(read::<()>(None, None), Ok(()));
        assert_eq!(read::<Option<File>>(None, None), Ok(None));
        assert_eq!(().write().unwrap(), None);
        assert_eq!(None::<File>.write().unwrap().unwrap().0, b"null");
    }

    #[test]
    fn data_is_passed_as_it_is() {
        let data: Data = read(Some("text/plain"), Some(b"\x00\xff")).unwrap();
        assert_eq!(data.write().unwrap(), Some((b"\x00\xff".to_vec(), "text/plain".into())));
        assert_eq!(read::<Data>(None, None), Ok(Data::default()));
        let untyped = Data { media_type: None, bytes: vec![1] };
        assert_eq!(untyped.write().unwrap().unwrap().1, "application/octet-stream");
    }
}
