"""What a request says of its submission, on its way through Kafka's headers."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kafka_bridge.airflow.submit.submission import BatchFacts, Submission
from kafka_bridge.protocol.headers import REPLY_TOPIC, SUBMISSION, Headers

from ..samples import JOB, TOPIC, submission

REPLY = (REPLY_TOPIC, TOPIC.encode())
numbers = st.integers(0, 2**53)
submissions = st.builds(
    Submission,
    attempt=numbers,
    try_number=numbers,
    max_tries=numbers,
    run_began=numbers,
    created_at=numbers,
    ends=st.lists(numbers, max_size=12),
    response_topic=st.just(TOPIC),
    batch=st.none() | st.builds(BatchFacts, batch_id=st.just(JOB), count=numbers, first=numbers),
)


@settings(database=None, derandomize=True)
@given(submissions)
def test_later_try_reads_what_a_request_says(told: Submission) -> None:
    """Nothing is lost on the way."""
    assert Submission.of_headers([REPLY, *told.header()]) == told


def test_header_is_short() -> None:
    """Each request has it."""
    ((name, value),) = submission(ends=[12_345_678] * 6).header()
    assert len(name) + len(value) < 200


SAID = submission().header()[0][1]


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [REPLY],
        [(SUBMISSION, SAID)],
        *(
            [REPLY, (SUBMISSION, value)]
            for value in (
                b"",
                b"\xff",
                b"[1]",
                b"7",
                b"{}",
                SAID.replace(b"[4,5,6]", b"7"),
                SAID.replace(b'"max_tries":2', b'"max_tries":1e999'),
                SAID.replace(b"}", b',"batch":[1]}'),
            )
        ),
    ],
)
def test_header_that_says_nothing_readable_is_ignored(headers: Headers) -> None:
    """Somebody else has written it, or a later version."""
    assert Submission.of_headers(headers) is None


def test_later_submissions_come_later_whatever_the_clocks_say() -> None:
    """Of runs by their start, of tries by their number, of one try by the attempt."""
    ordered = [
        submission(run_began=1, try_number=9, attempt=9, created_at=9),
        submission(run_began=2, try_number=1, attempt=8, created_at=8),
        submission(run_began=2, try_number=2, attempt=1, created_at=7),
        submission(run_began=2, try_number=2, attempt=2, created_at=6),
        submission(run_began=2, try_number=2, attempt=2, created_at=7),
    ]
    mixed = [ordered[n] for n in (3, 0, 4, 2, 1)]
    assert sorted(mixed, key=lambda each: each.order) == ordered
