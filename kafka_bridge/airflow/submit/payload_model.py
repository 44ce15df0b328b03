"""The type that payloads must fit: a wrong field fails in the DAG, and not in the service."""

from __future__ import annotations

from typing import Any

from pydantic import PydanticUserError, TypeAdapter, ValidationError

from kafka_bridge.protocol.errors import ConfigurationError, InvalidPayload


class PayloadModel:
    """An operator's ``payload_model``.

    :param kind: a pydantic model, a dataclass, or any other type that pydantic knows
    :raises ConfigurationError: pydantic does not know it
    """

    def __init__(self, kind: Any) -> None:
        self._name = getattr(kind, "__name__", str(kind))
        try:
            self._adapter: TypeAdapter[Any] = TypeAdapter(kind)
            self._adapter.rebuild()  # else a name that nobody knows is found out later
        except (PydanticUserError, NameError, SyntaxError) as error:
            raise ConfigurationError(
                "payload_model must be a pydantic model, a dataclass or another type that pydantic "
                f"knows, not {kind!r:.80}"
            ) from error

    def fitted(self, payload: Any, name: str) -> Any:
        """Return a payload as the type has it: defaults filled in, text from templates converted.

        :param name: what to call the payload in an error
        :raises InvalidPayload: it does not fit; the error names each faulty field
        """
        try:
            return self._adapter.validate_python(payload, from_attributes=True)
        except ValidationError as error:
            raise InvalidPayload(f"{name} does not fit {self._name}: {_faults(error)}") from error


def _faults(error: ValidationError) -> str:
    faults = (
        (".".join(map(str, fault["loc"])) or "payload", fault["msg"], fault["input"])
        for fault in error.errors()
    )
    return "; ".join(f"{place}: {what}, got {value!r:.80}" for place, what, value in faults)
