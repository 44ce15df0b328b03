"""The paths of values through Airflow, made of Airflow's own parts and a real Postgres.

Each returns the value as it comes out at the other end, or raises what would have hurt there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import msgspec
from airflow.dag_processing.processor import DagFileParsingResult
from airflow.jobs.triggerer_job_runner import ToTriggerSupervisor, TriggerEventEntry, messages
from airflow.models.xcom import XComModel
from airflow.sdk import DAG
from airflow.sdk._shared.logging.structlog import structlog_processors
from airflow.sdk.execution_time.comms import (
    SetRenderedFields,
    SetXCom,
    ToSupervisor,
    XComResult,
    _RequestFrame,
    _ResponseFrame,
)
from airflow.sdk.execution_time.task_runner import _serialize_rendered_fields
from airflow.sdk.serde import deserialize, serialize
from airflow.serialization.serialized_objects import DagSerialization, LazyDeserializedDAG
from airflow.triggers.base import BaseTaskEndEvent, TriggerEvent
from pydantic import BaseModel, JsonValue, TypeAdapter
from sqlalchemy import Connection, create_engine, text

FROM_TRIGGERS: TypeAdapter[Any] = TypeAdapter(ToTriggerSupervisor)
_FROM_TASKS: TypeAdapter[Any] = TypeAdapter(ToSupervisor)
_JSON: TypeAdapter[Any] = TypeAdapter(JsonValue)
_RESPONSES = msgspec.msgpack.Decoder(_ResponseFrame)
_FRAMES = msgspec.msgpack.Decoder(_RequestFrame)
_read: Callable[[Any], Any] = deserialize
_write_log: Callable[..., Any] = structlog_processors(json_output=True)[2]


def sent(message: BaseModel, reader: TypeAdapter[Any]) -> Any:
    """Return a message as the supervisor of a process gets it: through msgpack and pydantic."""
    frame = _RequestFrame(id=1, body=message.model_dump()).as_bytes()
    return reader.validate_python(_FRAMES.decode(memoryview(frame)[4:]).body)


@dataclass
class Airflow:
    """Airflow's ways to its database."""

    database: Connection

    def jsonb(self, document: Any) -> Any:
        """Return what a column of the type ``jsonb`` makes of a value."""
        written = json.dumps(document)  # as SQLAlchemy does
        with self.database.begin():
            statement = text("select cast(:document as jsonb)::text")
            return json.loads(self.database.execute(statement, {"document": written}).scalar_one())

    def fired(self, event: TriggerEvent) -> Any:
        """Pass a trigger's event on to the database; return what the task, or its XCom, gets."""
        logged(event)
        entry = TriggerEventEntry(1, event, None)
        told = sent(messages.TriggerStateChanges(events=[entry], finished=[1]), FROM_TRIGGERS)
        arrived = told.events[0].event
        if isinstance(arrived, BaseTaskEndEvent):
            value = (arrived.xcoms or {}).get("return_value")
            return json.loads(self.jsonb(XComModel.serialize_value(value)))
        return _read(self.jsonb(serialize({"event": arrived.payload})))["event"]

    def returned(self, value: Any) -> Any:
        """Pass a task's return value on to the database, and back to the task that pulls it."""
        if value is None:
            return None  # Airflow stores none
        xcom = SetXCom(
            key="return_value",
            value=serialize(value),
            dag_id="d",
            run_id="r",
            task_id="t",
            map_index=-1,
        )
        request = httpx.Request("POST", "http://api/xcoms", json=sent(xcom, _FROM_TASKS).value)
        stored = XComResult(
            key="return_value", value=self.jsonb(_JSON.validate_json(request.read()))
        )
        pulled = _RESPONSES.decode(
            memoryview(_ResponseFrame(id=1, body=stored.model_dump()).as_bytes())[4:]
        )
        return _read(XComResult.model_validate(pulled.body).value)

    def parsed(self, dag: DAG) -> None:
        """Pass a DAG on from its file to the database, and to the processes that read it there."""
        for task in dag.tasks:
            fields = SetRenderedFields(rendered_fields=_serialize_rendered_fields(task))
            httpx.Request("PUT", "http://api/rtif", json=sent(fields, _FROM_TASKS).rendered_fields)
        data = DagSerialization.to_dict(dag)
        result = DagFileParsingResult(
            fileloc="dags.py", serialized_dags=[LazyDeserializedDAG(data=data, last_loaded=None)]
        )
        read = sent(result, TypeAdapter(DagFileParsingResult))
        DagSerialization.from_dict(self.jsonb(read.serialized_dags[0].data))


def logged(result: Any) -> bytes:
    """Return the line that a triggerer logs of an event."""
    line = {"timestamp": "now", "level": "info", "event": "Trigger fired event", "result": result}
    written = _write_log(None, "info", line)
    msgspec.json.decode(written)
    return bytes(written)


@contextmanager
def connected(url: str) -> Iterator[Airflow]:
    """Connect to a Postgres."""
    engine = create_engine(url)
    with engine.connect() as database:
        yield Airflow(database)
    engine.dispose()
