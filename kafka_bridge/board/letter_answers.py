"""What the board answers about dead letters, as models. Nothing in a dead letter is trusted."""

from __future__ import annotations

from datetime import datetime

from kafka_bridge.board.answers import Answer, DataAnswer, Status, TaskAnswer, data_of
from kafka_bridge.kafka.admin.dead_letter_topic import DeadLetter
from kafka_bridge.monitor.dead_letters import LetterView, letter_view
from kafka_bridge.protocol.excerpts import HEX_BYTES, hex_rows
from kafka_bridge.protocol.sanitize import LINE_BYTES, NAME_BYTES, one_line

MOST_HEADERS = 100
HEADER_HEX_BYTES = 64
"""How much is shown of a key, or of a header's value, that is no text."""


class LetterAnswer(Answer):
    """A dead letter.

    :ivar location: where it lies, as ``topic[partition]@offset``
    :ivar original: where its request lies or lay
    :ivar correlation_id: its job, if that is known
    :ivar worker_id: the worker that had the job last, if the board knows the job
    """

    location: str
    dead_lettered_at: datetime | None
    original: str | None
    error_type: str
    error_message: str
    correlation_id: str | None
    job_type: str | None
    task: TaskAnswer | None
    worker_id: str | None
    is_readable: bool


class LettersAnswer(Answer):
    """The newest dead letters. ``failures``: why topics could not be read."""

    status: Status
    letters: list[LetterAnswer]
    failures: list[str]


class HeaderAnswer(Answer):
    """A header of a record. A value that is no text is shown in hex."""

    name: str
    value: str


class LetterDetailAnswer(Answer):
    """Everything about a dead letter, except its value.

    :ivar error_message: the whole one
    :ivar unreadable: why the value is not a job request; None if it is one
    :ivar size: of the payload, or of the whole value if that is no job request; in bytes
    :ivar left_out: how many headers are not in ``headers``
    """

    letter: LetterAnswer
    error_message: str
    unreadable: str | None
    key: str
    headers: list[HeaderAnswer]
    left_out: int
    media_type: str | None
    size: int
    may_see_value: bool
    may_replay: bool


class ReplayedAnswer(Answer):
    """Where a replayed request is. ``new_job``: its job's id, if it was submitted as a new one."""

    location: str
    new_job: str | None


def letter_answer(view: LetterView, worker_id: str | None) -> LetterAnswer:
    """Return a dead letter as the list shows it."""
    return LetterAnswer(
        location=str(view.location),
        dead_lettered_at=view.dead_lettered_at,
        original=None if view.original is None else str(view.original),
        error_type=view.error_type,
        error_message=view.error_message,
        correlation_id=view.job.correlation_id or None,
        job_type=view.job.job_type,
        task=view.job.task and TaskAnswer.model_validate(view.job.task),
        worker_id=worker_id,
        is_readable=view.is_readable,
    )


def letter_detail(
    letter: DeadLetter, worker_id: str | None, *, may_see_value: bool, may_replay: bool
) -> LetterDetailAnswer:
    """Return everything about a dead letter, except its value."""
    headers = letter.own_headers
    data, media_type = _value(letter)
    return LetterDetailAnswer(
        letter=letter_answer(letter_view(letter), worker_id),
        error_message=letter.headers.error_message,
        unreadable=None if letter.request else one_line(letter.unreadable),
        key=_shown(letter.record.key),
        headers=[
            HeaderAnswer(name=one_line(name, NAME_BYTES), value=_shown(value))
            for name, value in headers[:MOST_HEADERS]
        ],
        left_out=max(0, len(headers) - MOST_HEADERS),
        media_type=media_type,
        size=len(data or b""),
        may_see_value=may_see_value,
        may_replay=may_replay,
    )


def letter_value(letter: DeadLetter) -> DataAnswer | None:
    """Return the payload of a dead letter's request, or the value of one that cannot be read.

    The beginning of bytes that are no text is shown in hex: it tells the encoding.
    """
    data, media_type = _value(letter)
    found = data_of(data, media_type)
    if found is None or found.text is not None or letter.request is not None:
        return found
    return found.model_copy(update={"text": "\n".join(hex_rows((data or b"")[:HEX_BYTES]))})


def _value(letter: DeadLetter) -> tuple[bytes | None, str | None]:
    if letter.request is None:
        return letter.record.value, None
    return letter.request.payload, letter.request.payload_type


def _shown(data: bytes | None) -> str:
    """Return bytes from outside as one harmless line."""
    if data is None:
        return ""
    try:
        return one_line(data.decode(), LINE_BYTES)
    except UnicodeDecodeError:
        more = " …" if len(data) > HEADER_HEX_BYTES else ""
        return f"0x{data[:HEADER_HEX_BYTES].hex()}{more}"
