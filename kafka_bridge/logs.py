"""Logging of the whole process, as text for people or as JSON for machines."""

from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Callable, Mapping
from enum import StrEnum
from functools import partial
from typing import Any, TextIO, TypeVar

import structlog
from structlog.typing import EventDict, ExcInfo, Processor, WrappedLogger

from kafka_bridge.protocol.errors import ConfigurationError
from kafka_bridge.protocol.sanitize import UNSHOWN, block, one_line

C = TypeVar("C", bound=StrEnum)


class LogFormat(StrEnum):
    """The format of log lines."""

    TEXT = "text"
    JSON = "json"


class LogLevel(StrEnum):
    """The lowest level that is logged."""

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
    """Log to standard error. Lines that a handler logs contain the job's correlation id.

    Lines of the standard library's logging and of structlog have the same format. If the program
    has configured logging itself, its configuration is not changed.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(formatter(log_format))
    logging.basicConfig(level=level.upper(), handlers=[handler])
    logging.captureWarnings(capture=True)
    if level is not LogLevel.DEBUG:
        logging.getLogger("httpx").setLevel(logging.WARNING)  # it logs a line for each request
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


def level_of_environment(environ: Mapping[str, str]) -> LogLevel:
    """Return the lowest level that is logged, by ``KAFKA_BRIDGE_LOG_LEVEL``.

    :raises ConfigurationError: it is not possible
    """
    return _choice(LogLevel, environ, "KAFKA_BRIDGE_LOG_LEVEL", LogLevel.INFO)


def logging_of_environment(environ: Mapping[str, str]) -> Callable[[], None]:
    """Return what sets logging up as the command line does, by the same variables.

    It can be pickled, so that it can be called in a child process, too. It changes nothing if the
    process has a log handler already.

    :param environ: may have ``KAFKA_BRIDGE_LOG_LEVEL`` and ``KAFKA_BRIDGE_LOG_FORMAT``
    :raises ConfigurationError: one of them is not possible
    """
    level = level_of_environment(environ)
    log_format = _choice(LogFormat, environ, "KAFKA_BRIDGE_LOG_FORMAT", LogFormat.TEXT)
    return partial(_set_up_if_nothing_has, level, log_format)


def _set_up_if_nothing_has(level: LogLevel, log_format: LogFormat) -> None:
    if not logging.getLogger().handlers:
        set_up_logging(level, log_format)


def _choice(kind: type[C], environ: Mapping[str, str], name: str, default: C) -> C:
    text = environ.get(name)
    if not text:
        return default
    try:
        return kind(text.lower())
    except ValueError:
        choices = ", ".join(kind)
        raise ConfigurationError(f"{name} must be one of {choices}, not {text!r}") from None


def formatter(log_format: LogFormat) -> logging.Formatter:
    """Return a formatter for the records of both libraries."""
    renderers = _json() if log_format is LogFormat.JSON else _text()
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*_COMMON, structlog.stdlib.ExtraAdder()],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers],
    )


# Both formats write tracebacks without local variables (structlog's defaults show them), because
# these may contain passwords. Values come from topics and services. They must not control a
# terminal or look like another line of the log.


def _text() -> list[Processor]:
    return [
        _safe_text,
        structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(),
            pad_event_to=0,
            exception_formatter=_safe_traceback,
        ),
    ]


def _safe_text(_logger: WrappedLogger, _method: str, values: EventDict) -> EventDict:
    """Show each value on one line, and indent the further lines of the message."""
    shown = {
        name: value
        if name == "exc_info" or value is None or isinstance(value, bool | int | float)
        else one_line(value if isinstance(value, str) else repr(value))
        for name, value in values.items()
    }
    return shown | {"event": _indented(block(str(values["event"])))}


def _safe_traceback(stream: TextIO, exc_info: ExcInfo) -> None:
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
    """Return JSON in which all control characters are escaped."""
    return UNSHOWN.sub(lambda match: json.dumps(match[0])[1:-1], json.dumps(value, **arguments))
