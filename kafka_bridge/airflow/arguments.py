"""Checks of operators' arguments when the DAG is parsed.

An argument that is ``CONFIGURED`` has the value of the section ``[kafka_bridge]`` of Airflow's
configuration, and an error names that section.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

from kafka_bridge.airflow.compat import conf
from kafka_bridge.airflow.settings import CONFIGURED, SECTION, Setting, configured
from kafka_bridge.airflow.specs import Reply
from kafka_bridge.airflow.storable import ARGUMENT
from kafka_bridge.protocol.encodings import Encoding
from kafka_bridge.protocol.errors import ConfigurationError

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator

Duration: TypeAlias = timedelta | float
"""A timedelta, or seconds."""

MAX_SECONDS = 100 * 365 * 86_400.0
"""A century: with a longer timeout, its end would not be a valid date."""


_ENCODINGS = (Encoding.AVRO, Encoding.JSON)


def text(name: str, value: str | Setting) -> str:
    """Return the name of a topic or of a connection."""
    return configured(name) if isinstance(value, Setting) else value


def seconds(name: str, value: Duration | Setting, *, may_be_0: bool = False) -> float:
    """Return a duration in seconds.

    :raises ConfigurationError: the value is not a duration, or not between 0 and 100 years
    """
    if isinstance(value, Setting):
        return _seconds(f"[{SECTION}] {name}", configured(name), may_be_0=may_be_0)
    return _seconds(name, value, may_be_0=may_be_0)


def limit(name: str, value: Duration | Setting | None) -> float | None:
    """Return a timeout in seconds. None and an empty option mean that there is none.

    :raises ConfigurationError: as in :func:`seconds`
    """
    if value is None or (value is CONFIGURED and not configured(name)):
        return None
    return seconds(name, value)


def reply(value: str) -> Reply:
    """Return how a service answers.

    :raises ConfigurationError: the value is not one of the two
    """
    return Reply(choice("reply", value, tuple(Reply)))


def encoding(value: str | Setting, reply: Reply) -> Encoding:
    """Return the encoding of requests; a service with plain replies reads JSON.

    :raises ConfigurationError: the value is unknown, or not JSON for plain replies
    """
    if isinstance(value, Setting):
        if reply is Reply.PLAIN:
            return Encoding.JSON
        name = configured("encoding")
        return Encoding(choice(f"[{SECTION}] encoding", name, _ENCODINGS))
    made = Encoding(choice("encoding", value, _ENCODINGS))
    if reply is Reply.PLAIN and made is not Encoding.JSON:
        raise ConfigurationError(
            f"reply='plain' implies encoding='json', not '{made}': "
            "services that send plain replies read only JSON"
        )
    return made


def deferrable(value: bool | None, *, required: bool = False) -> bool:
    """Return whether a task waits in a triggerer; by default as Airflow's configuration says.

    :param required: another argument needs it, so it is the default
    """
    if value is not None:
        return value
    return required or conf.getboolean("operators", "default_deferrable", fallback=False)


def own(scope: Mapping[str, Any]) -> dict[str, Any]:
    """Return an ``__init__``'s own arguments from its ``locals()``, for ``super().__init__``."""
    left_out = ("self", "kwargs", "__class__")
    return {name: value for name, value in scope.items() if name not in left_out}


def require_longer(heartbeat_timeout: float, heartbeat_interval: float) -> None:
    """Check that the heartbeat timeout is longer than the interval.

    :raises ConfigurationError: it is not
    """
    if heartbeat_timeout <= heartbeat_interval:
        raise ConfigurationError(
            f"heartbeat_timeout ({heartbeat_timeout:g} s) must be longer than "
            f"heartbeat_interval ({heartbeat_interval:g} s)"
        )


def choice(name: str, value: str, choices: Collection[str]) -> str:
    """Return a value that must be one of the choices.

    :raises ConfigurationError: it is not
    """
    if value not in choices:
        *others, last = (repr(str(each)) for each in choices)
        raise ConfigurationError(f"{name} must be {', '.join(others)} or {last}, not {value!r}")
    return value


def require_storable(name: str, value: object) -> None:
    """Check that Airflow can store an argument, in the serialised DAG and as a rendered field.

    :raises ConfigurationError: Airflow cannot; the error names the part
    """
    fault = ARGUMENT.first_fault(value, name)
    if fault is not None:
        raise ConfigurationError(
            f"{fault}. Airflow cannot store that with the task: leave it out, or encode it, for "
            "example as text or base64"
        )


def require_storable_fields(operator: BaseOperator) -> None:
    """Check all templated arguments of an operator.

    :raises ConfigurationError: as in :func:`require_storable`
    """
    for name in operator.template_fields:
        require_storable(name, getattr(operator, name, None))


def _seconds(name: str, value: Duration | str, *, may_be_0: bool) -> float:
    no_duration = ConfigurationError(f"{name} must be a timedelta or seconds, not {value!r}")
    if isinstance(value, bool):  # it would count as 0 or 1 second
        raise no_duration
    try:
        amount = value.total_seconds() if isinstance(value, timedelta) else float(value)
    except (TypeError, ValueError) as error:
        raise no_duration from error
    if not (amount > 0 or (may_be_0 and amount == 0)):  # true for NaN, too
        bound = "0 s or more" if may_be_0 else "greater than 0 s"
        raise ConfigurationError(f"{name} must be {bound}, not {amount:g} s")
    if amount > MAX_SECONDS:
        raise ConfigurationError(f"{name} must be at most 100 years, not {amount:g} s")
    return amount
