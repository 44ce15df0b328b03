//! What can go wrong between a worker and its brokers.

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

/// Why a record was not published.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PublishError {
    /// The topic does not exist, or its name is not valid: waiting does not help.
    #[error("the topic cannot be used: {0}")]
    Unusable(String),
    /// The worker has no permission.
    #[error("the permission to write to the topic is missing: {0}")]
    Denied(String),
    /// The brokers, or the client, do not take a record of this size.
    #[error("the record is too large: {0}")]
    TooLarge(String),
    /// The brokers will never accept this record.
    #[error("the brokers refuse the record: {0}")]
    Refused(String),
    /// It may be published later.
    #[error("it was not acknowledged: {0}")]
    Temporary(String),
}

impl PublishError {
    /// Whether it makes no sense to try again.
    ///
    /// `was_usable` tells whether this worker could use the topic before: then a missing permission is waited for, and
    /// finished work is not lost.
    pub(crate) fn is_final(&self, was_usable: bool) -> bool {
        match self {
            PublishError::Temporary(_) => false,
            PublishError::Denied(_) => !was_usable,
            PublishError::Unusable(_) | PublishError::TooLarge(_) | PublishError::Refused(_) => true,
        }
    }
}

impl From<KafkaError> for PublishError {
    fn from(error: KafkaError) -> Self {
        let text = error.to_string();
        match error.rdkafka_error_code() {
            Some(Code::TopicAuthorizationFailed) => PublishError::Denied(text),
            Some(code) if is_unusable(code) => PublishError::Unusable(text),
            Some(Code::MessageSizeTooLarge | Code::MessageBatchTooLarge) => PublishError::TooLarge(text),
            Some(Code::InvalidRecord | Code::InvalidMessage) => PublishError::Refused(text),
            _ => PublishError::Temporary(text),
        }
    }
}

/// Why a topic was not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ReadError {
    /// The topic does not exist, its name is not valid, or access is denied.
    #[error("the topic {topic} cannot be used: {why}")]
    Unusable { topic: String, why: String },
    /// It may be read later.
    #[error("the topic {topic} cannot be read yet: {why}")]
    Temporary { topic: String, why: String },
}

impl ReadError {
    pub(crate) fn of(topic: &str, error: &KafkaError) -> Self {
        let is_final = error.rdkafka_error_code().is_some_and(is_unusable);
        Self::new(topic, is_final, error.to_string())
    }

    pub(crate) fn of_code(topic: &str, code: Code) -> Self {
        Self::new(topic, is_unusable(code), code.to_string())
    }

    pub(crate) fn temporary(topic: &str, why: impl Into<String>) -> Self {
        Self::new(topic, false, why.into())
    }

    fn new(topic: &str, is_final: bool, why: String) -> Self {
        let topic = topic.to_owned();
        if is_final { ReadError::Unusable { topic, why } } else { ReadError::Temporary { topic, why } }
    }
}

fn is_unusable(code: Code) -> bool {
    matches!(
        code,
        Code::UnknownTopicOrPartition
            | Code::UnknownTopic
            | Code::UnknownPartition
            | Code::UnknownTopicId
            | Code::InvalidTopic
            | Code::TopicAuthorizationFailed
    )
}

/// Whether the client heals an error by itself: a broker that is away, or a group that rebalances.
pub(crate) fn heals_by_itself(code: Code) -> bool {
    matches!(
        code,
        Code::BrokerTransportFailure
            | Code::AllBrokersDown
            | Code::Resolve
            | Code::OperationTimedOut
            | Code::WaitingForCoordinator
            | Code::CoordinatorNotAvailable
            | Code::CoordinatorLoadInProgress
            | Code::NotCoordinator
            | Code::RebalanceInProgress
            | Code::IllegalGeneration
            | Code::UnknownMemberId
    )
}
