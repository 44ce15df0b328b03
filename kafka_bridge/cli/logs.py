"""Log lines for people or for machines, from everything in the process that logs."""

from __future__ import annotations

import io
import json
import logging
import sys
from enum import StrEnum
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, ExcInfo, Processor, WrappedLogger

from kafka_bridge.protocol.sanitize import UNSHOWN, block, one_line


class LogFormat(StrEnum):
    """How log lines look."""

    TEXT = "text"
    JSON = "json"


class LogLevel(StrEnum):
    """What is logged: lines of this weight and above."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


_COMMON: tuple[Processor, ...] = (
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
)


def set_up_logging(level: LogLevel, log_format: LogFormat) -> None:
    """Send all logging to standard error, each line with the job that it is about.

    Lines of the standard library's logging and of structlog look the same. Where the program has
    set up logging itself, that stays as it is.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(formatter(log_format))
    logging.basicConfig(level=level.upper(), handlers=[handler])
    logging.captureWarnings(capture=True)
    if level is not LogLevel.DEBUG:
        logging.getLogger("httpx").setLevel(logging.WARNING)  # it has a line for each request
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_COMMON,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def formatter(log_format: LogFormat) -> logging.Formatter:
    """Return what makes a line of a log record, whichever of the two libraries made that."""
    renderers = _json() if log_format is LogFormat.JSON else _text()
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*_COMMON, structlog.stdlib.ExtraAdder()],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers],
    )


# Both write tracebacks without local variables, which structlog's defaults would show: they may
# hold passwords. Values come from topics and services: none may act on a terminal, or look like
# another line of the log.


def _text() -> list[Processor]:
    return [
        _harmless_text,
        structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(),
            pad_event_to=0,
            exception_formatter=_harmless_traceback,
        ),
    ]


def _harmless_text(_logger: WrappedLogger, _method: str, values: EventDict) -> EventDict:
    """Show each value on one line, and further lines of the message indented."""
    shown = {
        name: value
        if name == "exc_info" or value is None or isinstance(value, bool | int | float)
        else one_line(value if isinstance(value, str) else repr(value))
        for name, value in values.items()
    }
    return shown | {"event": _indented(block(str(values["event"])))}


def _harmless_traceback(stream: TextIO, exc_info: ExcInfo) -> None:
    text = io.StringIO()
    structlog.dev.plain_traceback(text, exc_info)
    stream.write("\n    " + _indented(block(text.getvalue().strip("\n"))))


def _indented(text: str) -> str:
    return text.replace("\n", "\n    ")


def _json() -> list[Processor]:
    return [
        structlog.processors.format_exc_info,
        _bounded,
        structlog.processors.EventRenamer("message"),
        structlog.processors.JSONRenderer(serializer=_to_json, ensure_ascii=False),
    ]


def _bounded(_logger: WrappedLogger, _method: str, values: EventDict) -> EventDict:
    return {
        name: block(value) if isinstance(value, str) else value for name, value in values.items()
    }


def _to_json(value: Any, **arguments: Any) -> str:
    """Return JSON in which what a terminal would act on is escaped, in whatever it contains."""
    return UNSHOWN.sub(lambda match: json.dumps(match[0])[1:-1], json.dumps(value, **arguments))
