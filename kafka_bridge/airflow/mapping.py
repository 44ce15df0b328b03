"""Dynamic task mapping: ``partial()`` and ``expand()`` check their arguments.

Airflow makes a mapped operator only when its task runs, but stores all of its arguments with the
DAG before that. So they are checked when the DAG is parsed, as those of other operators are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.sdk.definitions.mappedoperator import OperatorPartial

from kafka_bridge.airflow import arguments

if TYPE_CHECKING:
    from airflow.sdk.definitions.mappedoperator import MappedOperator


class CheckedPartial(OperatorPartial):
    """The result of ``partial()`` of the bridge's operators."""

    @classmethod
    def of(cls, partial: OperatorPartial) -> CheckedPartial:
        """Return a checked copy.

        :raises ConfigurationError: Airflow cannot store an argument; the error names the part
        """
        partial._expand_called = True  # noqa: SLF001  else Airflow warns that it was not expanded
        _check(partial.kwargs)
        return cls(
            operator_class=partial.operator_class, kwargs=partial.kwargs, params=partial.params
        )

    def expand(self, **mapped_kwargs: Any) -> MappedOperator:
        """Map the task over these arguments.

        :raises ConfigurationError: as :meth:`of`
        """
        self._expand_called = True
        _check(mapped_kwargs)
        return super().expand(**mapped_kwargs)

    def expand_kwargs(self, kwargs: Any, *, strict: bool = True) -> MappedOperator:
        """Map the task over these dictionaries of arguments.

        :raises ConfigurationError: as :meth:`of`
        """
        self._expand_called = True
        arguments.require_storable("expand_kwargs", kwargs)
        return super().expand_kwargs(kwargs, strict=strict)


def _check(values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        arguments.require_storable(name, value)
