"""The type that payloads must match: a wrong field fails the task, not the service."""

from __future__ import annotations

from typing import Any

from pydantic import PydanticUserError, TypeAdapter, ValidationError

from kafka_bridge.protocol.errors import ConfigurationError, InvalidPayload


class PayloadModel:
    """An operator's ``payload_model``.

    :param kind: a pydantic model, a dataclass, or another type that pydantic supports
    :raises ConfigurationError: pydantic does not support it
    """

    def __init__(self, kind: Any) -> None:
        self._name = getattr(kind, "__name__", str(kind))
        try:
            self._adapter: TypeAdapter[Any] = TypeAdapter(kind)
            self._adapter.rebuild()  # else an unknown name would be an error only later
        except (PydanticUserError, NameError, SyntaxError) as error:
            raise ConfigurationError(
                "payload_model must be a pydantic model, a dataclass or another type that pydantic "
                f"supports, not {kind!r:.80}"
            ) from error

    def fitted(self, payload: Any, name: str) -> Any:
        """Return a payload as the type: with defaults, and with templated text converted.

        :param name: the payload's name in an error
        :raises InvalidPayload: it does not match; the error names each faulty field
        """
        try:
            return self._adapter.validate_python(payload, from_attributes=True)
        except ValidationError as error:
            raise InvalidPayload(f"{name} does not match {self._name}: {_faults(error)}") from error


def _faults(error: ValidationError) -> str:
    faults = (
        (".".join(map(str, fault["loc"])) or "payload", fault["msg"], fault["input"])
        for fault in error.errors()
    )
    return "; ".join(f"{place}: {what}, got {value!r:.80}" for place, what, value in faults)
