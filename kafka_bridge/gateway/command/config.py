"""What the file says of jobs that programs do."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from kafka_bridge.gateway.http.config import OfJob
from kafka_bridge.gateway.strict import Strict


class CommandJob(Strict):
    """A job type that a program does. The arguments never pass through a shell."""

    command: Annotated[tuple[OfJob, ...], Field(min_length=1)]
