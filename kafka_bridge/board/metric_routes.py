"""The route of the metrics."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException
from fastapi.responses import Response

from kafka_bridge.board.board import TheBoard, Visitor
from kafka_bridge.monitor.jobs import JobView

router = APIRouter()

_OF_NO_TASK = JobView(correlation_id="")
"""Who may see a job of which nothing is known is an operator, who may know the sums over all."""


@router.get("/metrics")
def metrics(board: TheBoard, access: Visitor) -> Response:
    """Return the metrics. The program that asks is a visitor, for whom the jobs are followed."""
    if not access.may_see(_OF_NO_TASK):
        raise HTTPException(403, "The metrics are about all jobs, and you may only see some")
    try:  # Airflow, in which the board may be mounted, need not have it.
        from kafka_bridge.board.metrics import CONTENT_TYPE, metrics_text  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise HTTPException(
            501,
            f"The module {error.name} is not installed: "
            "pip install 'airflow-kafka-bridge[metrics]'",
        ) from error
    with board.source.visit() as jobs:
        return Response(metrics_text(jobs), media_type=CONTENT_TYPE)
