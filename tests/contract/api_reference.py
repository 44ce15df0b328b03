"""The tables of docs/reference/api.md, made from the signatures.

``python -m tests.contract.api_reference`` writes them into the page. A meaning that the page has
already is kept; a new one comes from the docstring. All text outside the tables is kept, too.
"""

from __future__ import annotations

import enum
import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kafka_bridge import airflow as bridge
from kafka_bridge.airflow.decorators import kafka_job_task
from kafka_bridge.airflow.settings import CONFIGURED, OPTIONS
from kafka_bridge.worker import JobContext, Worker

PAGE = Path(__file__).parents[2] / "docs/reference/api.md"
PARAMETERS = "| parameter | type | default | meaning |"
MEMBERS = "| member | type | meaning |"
EMPTY_PAGE = "# API reference\n"

DOCUMENTED: dict[str, tuple[Any, ...]] = {
    "KafkaJobOperator": (bridge.KafkaJobOperator,),
    "KafkaJobPublishOperator": (bridge.KafkaJobPublishOperator,),
    "KafkaJobSensor": (bridge.KafkaJobSensor, bridge.KafkaJobOperator),
    "@task.kafka_job": (kafka_job_task, bridge.KafkaJobOperator),
    "KafkaJobBatchOperator": (bridge.KafkaJobBatchOperator,),
    "KafkaJobTrigger": (bridge.KafkaJobTrigger,),
    "KafkaJobBatchTrigger": (bridge.KafkaJobBatchTrigger,),
    "Worker": (Worker,),
    "Worker.job": (Worker.job,),
}
"""Under each heading: what has the parameters, then where else their meanings are."""


@dataclass(frozen=True, slots=True)
class Table:
    """One table: its header, and its rows, without and with the meaning."""

    header: str
    facts: list[tuple[str, ...]]
    meanings: list[str]

    def text(self, known: dict[str, str]) -> str:
        """Return the table in Markdown.

        :param known: meanings to use instead, by the row's first cell
        """
        columns = self.header.count("|") - 1
        lines = [self.header, "|---" * columns + "|"]
        for facts, meaning in zip(self.facts, self.meanings, strict=True):
            lines.append(f"| {' | '.join(facts)} | {known.get(facts[0], meaning)} |")
        return "\n".join(lines) + "\n"


def tables() -> Iterator[tuple[str, Table]]:
    """Yield each heading with its table, as the signatures have it."""
    for heading, (described, *others) in DOCUMENTED.items():
        function = described.__init__ if isinstance(described, type) else described  # type: ignore[misc]
        yield heading, _parameters(function, _meanings([described, *others]))
    yield "JobContext", _members(JobContext)


def _parameters(function: Callable[..., Any], meanings: dict[str, str]) -> Table:
    own = [
        each
        for each in inspect.signature(function).parameters.values()
        if each.name != "self" and each.kind is not inspect.Parameter.VAR_KEYWORD
    ]
    facts: list[tuple[str, ...]] = [
        (f"`{each.name}`", _type(each.annotation), _default(each)) for each in own
    ]
    return Table(PARAMETERS, facts, [meanings.get(each.name, "") for each in own])


def _members(kind: type) -> Table:
    facts: list[tuple[str, ...]] = []
    meanings = []
    for name, member in vars(kind).items():
        if name.startswith("_"):
            continue
        is_property = isinstance(member, property)
        signature = inspect.signature(member.fget if is_property else member)
        call = "" if is_property else _call(signature)
        facts.append((f"`{name}{call}`", _type(signature.return_annotation)))
        meanings.append(_first_paragraph(member.__doc__))
    return Table(MEMBERS, facts, meanings)


def _call(signature: inspect.Signature) -> str:
    """Return what a caller writes: ``(completed, *, total=None)``."""
    own = [
        each.replace(annotation=inspect.Parameter.empty)
        for each in signature.parameters.values()
        if each.name != "self"
    ]
    return str(inspect.Signature(own))


def _type(annotation: Any) -> str:
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    parts = [part for part in re.split(r" \| (?![^\[]*\])", text) if part != "Setting"]
    return f"`{' | '.join(parts)}`".replace("|", "\\|")


def _default(parameter: inspect.Parameter) -> str:
    default = parameter.default
    if default is inspect.Parameter.empty:
        return "required"
    if default is CONFIGURED:
        option = OPTIONS[parameter.name].default
        return f"`[kafka_bridge]`: {f'`{option}`' if option else 'empty'}"
    return f"`{(default.value if isinstance(default, enum.Enum) else default)!r}`"


def _meanings(described: list[Any]) -> dict[str, str]:
    """Return the meanings of parameters, by name, from docstrings; the first one counts."""
    found: dict[str, str] = {}
    for each in described:
        for kind in each.__mro__ if isinstance(each, type) else [each]:
            if kind.__module__.startswith("kafka_bridge"):
                found = {**dict(_fields(kind.__doc__ or "")), **found}
    return found


def _fields(docstring: str) -> Iterator[tuple[str, str]]:
    field = r"^:param (\w+): (.*?)(?=^:|\n\n|\Z)"
    for name, text in re.findall(field, inspect.cleandoc(docstring), re.M | re.S):
        yield name, _plain(text)


def _plain(text: str) -> str:
    """Return a docstring's text as Markdown in one line."""
    text = re.sub(r":\w+:`[.~]*(?:\w+\.)*(\w+)`", r"`\1`", " ".join(text.split()))
    return text.replace("``", "`").replace("|", "\\|")


def _first_paragraph(docstring: str | None) -> str:
    return _plain(inspect.cleandoc(docstring or "").split("\n\n")[0])


def sections(page: str) -> dict[str, str]:
    """Return what stands under each heading of the third level."""
    parts = re.split(r"^### `?(.+?)`?$", page, flags=re.M)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def rows(section: str, header: str) -> list[tuple[str, ...]]:
    """Return the cells of a section's table, meanings last."""
    lines = section.partition(header)[2].splitlines()[2:]
    cells = []
    for line in lines:
        if not line.startswith("|"):
            break
        cells.append(tuple(cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]))
    return cells


def updated(page: str) -> str:
    """Return the page with its tables as the signatures have them."""
    known = sections(page)
    for heading, table in tables():
        if heading not in known:
            page += f"\n### {heading}\n\n{table.text({})}"
            continue
        section = known[heading]
        old = rows(section, table.header)
        text = table.text({cells[0]: cells[-1] for cells in old})
        pattern = re.escape(table.header) + r"\n(?:\|.*\n)+"
        new = re.sub(pattern, lambda _, text=text: text, section)  # type: ignore[misc]
        page = page.replace(section, new)
    return page


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(updated(PAGE.read_text() if PAGE.exists() else EMPTY_PAGE))
