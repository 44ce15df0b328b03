"""Errors: two trees for two kinds of fault, and texts that a person can use."""

from __future__ import annotations

import pickle

import pytest

from kafka_bridge.protocol import errors
from kafka_bridge.protocol.errors import (
    InvalidMessage,
    JobCancelled,
    JobError,
    JobFailed,
    JobTimedOut,
    KafkaBridgeError,
    LocalProtocolError,
    PayloadNotSerialisable,
    RecordLocation,
    RemoteProtocolError,
    Undecodable,
    UnknownSchema,
)

PLACE = RecordLocation("jobs.requests", 3, 41)


@pytest.mark.parametrize("kind", [RemoteProtocolError, Undecodable, UnknownSchema])
def test_a_located_error_names_topic_partition_and_offset(kind: type[RemoteProtocolError]) -> None:
    """The same error, of the same type, that says where the record lies and what is wrong."""
    bare = kind("bytes are left over")
    located = bare.at(PLACE)
    assert type(located) is kind
    assert str(bare) == "bytes are left over"
    assert str(located) == "jobs.requests[3]@41: bytes are left over"
    assert (located.reason, located.location) == (bare.reason, PLACE)
    assert bare.location is None


def test_locating_again_moves_the_error() -> None:
    """The reason does not collect places."""
    moved = Undecodable("damaged").at(PLACE).at(RecordLocation("other", 0, 0))
    assert str(moved) == "other[0]@0: damaged"


def test_a_located_error_survives_pickling() -> None:
    """Text, reason and place pass from process to process."""
    located = Undecodable("damaged").at(PLACE)
    copy = pickle.loads(pickle.dumps(located))  # noqa: S301  our own bytes
    assert isinstance(copy, Undecodable)
    assert (str(copy), copy.reason, copy.location) == (str(located), "damaged", PLACE)


@pytest.mark.parametrize(
    ("kind", "builtin"), [(InvalidMessage, ValueError), (PayloadNotSerialisable, TypeError)]
)
def test_our_own_faults_are_pythons_too(
    kind: type[LocalProtocolError], builtin: type[Exception]
) -> None:
    """Who knows only Python's errors can catch ours, and our words are kept."""
    with pytest.raises(builtin, match="words for a person") as caught:
        raise kind("words for a person")
    assert isinstance(caught.value, LocalProtocolError)
    assert not isinstance(caught.value, RemoteProtocolError)


def test_every_error_has_the_one_base_and_stands_in_the_tree() -> None:
    """One ``except`` catches all of them, and the docstring lists each."""
    kinds = {
        name: kind
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, Exception)
    }
    assert all(issubclass(kind, KafkaBridgeError) for kind in kinds.values())
    assert errors.__doc__ is not None
    assert [name for name in kinds if name not in errors.__doc__] == []


@pytest.mark.parametrize(
    ("error", "text", "retryable"),
    [
        (JobFailed("disk_full", "No space", None, retryable=True), "disk_full: No space", True),
        (JobFailed("bad_input", "No", "trace", retryable=False), "bad_input: No", False),
        (JobCancelled("cancelled by alice"), "cancelled by alice", False),
        (JobTimedOut("no worker took it"), "no worker took it", True),
    ],
)
def test_job_errors_say_whether_trying_again_may_help(
    error: JobError, text: str, retryable: bool
) -> None:
    """Airflow decides by ``retryable`` alone, and a person by the text."""
    assert (str(error), error.retryable) == (text, retryable)
