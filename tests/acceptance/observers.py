"""Where Airflow sends its metrics and traces to: a statsd and an OpenTelemetry collector."""

from __future__ import annotations

import gzip
import socket
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

LOOPBACK = "127.0.0.1"
LARGEST = 65_536
"""Bytes of a datagram, at the most."""
Tags = dict[str, str]


class Statsd:
    """Keeps what is sent to a port of its own, in the form of InfluxDB: the name, then tags."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((LOOPBACK, 0))
        self.port: int = self._socket.getsockname()[1]
        self._lines: list[str] = []
        self._thread = threading.Thread(target=self._listen)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
            own.sendto(b"", (LOOPBACK, self.port))  # the last word
        self._thread.join()
        self._socket.close()

    def values(self, name: str, **tags: str) -> list[float]:
        """Return each value that was sent of a metric with all of these tags."""
        return [value for found, sent, value in self._metrics() if found == name and tags == sent]

    def names(self) -> Counter[str]:
        """Return how often each metric was sent."""
        return Counter(name for name, _, _ in self._metrics())

    def _metrics(self) -> list[tuple[str, Tags, float]]:
        return [_parsed(line) for line in list(self._lines)]

    def _listen(self) -> None:
        while data := self._socket.recv(LARGEST):
            self._lines += data.decode().splitlines()


def _parsed(line: str) -> tuple[str, Tags, float]:
    """Take apart ``airflow.name,tag=text:value|kind``."""
    what, _, value = line.rpartition(":")
    name, *tags = what.split(",")
    number, *_ = value.split("|")
    return name.removeprefix("airflow."), dict(tag.split("=", 1) for tag in tags), float(number)


class Spans(ThreadingHTTPServer):
    """Keeps the spans that are sent to a port of its own (OTLP over HTTP)."""

    def __init__(self) -> None:
        super().__init__((LOOPBACK, 0), _Collector)
        self.url = f"http://{LOOPBACK}:{self.server_port}"
        self.spans: list[Span] = []
        self._thread = threading.Thread(target=self.serve_forever)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()

    def of_task(self, run_id: str, task_id: str) -> list[Span]:
        """Return the spans of a task's process."""
        wanted = {"airflow.dag_run.run_id": run_id, "airflow.task_id": task_id}
        return [span for span in list(self.spans) if wanted.items() <= _attributes(span).items()]


def _attributes(span: Span) -> Tags:
    return {each.key: each.value.string_value for each in span.attributes}


class _Collector(BaseHTTPRequestHandler):
    server: Spans

    def do_POST(self) -> None:
        """Take spans in."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            for scope in resource.scope_spans:
                self.server.spans += scope.spans
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""
