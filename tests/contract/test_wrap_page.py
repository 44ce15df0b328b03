"""The page about wrapping a service: its files load, and its tables say what the code says."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from kafka_bridge.gateway.callbacks.app import STATUS
from kafka_bridge.gateway.callbacks.config import CallbackConfig
from kafka_bridge.gateway.config import GatewayConfig
from kafka_bridge.gateway.expression_scope import JOB_NAMES
from kafka_bridge.gateway.http.answer_config import Answer
from kafka_bridge.gateway.http.config import HttpJob, Polling, ResultRequest, Signature, Submit
from kafka_bridge.gateway.http.job_status import ServiceState, read_answer
from kafka_bridge.gateway.http.service_config import HttpService, Retries
from kafka_bridge.gateway.strict_model import Strict
from kafka_bridge.gateway.yaml_file import load

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "how-to" / "wrap-a-rest-service.md").read_text("utf-8")
EXAMPLE = (ROOT / "examples" / "gateway.yaml").read_text("utf-8")
PARTS = (
    *(HttpService, Retries, HttpJob, Submit, Polling, ResultRequest, Answer),
    *(CallbackConfig, Signature),
)
FILES = re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL)


def loaded(text: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> GatewayConfig:
    """Load a text whose secrets are set, and whose other files are there."""
    monkeypatch.chdir(folder)
    for name in re.findall(r"\{env: (\w+)\}", text):
        monkeypatch.setenv(name, "a-secret-that-is-long-enough")
    for name in re.findall(r"(?:file|ca_bundle): ([\w/.-]+)", text):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text("a secret")
    Path("gateway.yaml").write_text(text, encoding="utf-8")
    return load(Path("gateway.yaml"))


@pytest.mark.parametrize("text", [*FILES, EXAMPLE])
def test_every_yaml_file_on_the_page_loads(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each YAML block is a whole file that a gateway takes, and so is the example."""
    assert loaded(text, tmp_path, monkeypatch).jobs


def test_the_first_file_has_ten_lines_and_is_in_the_readme() -> None:
    """As the heading says, and the README, which has the same one."""
    assert FILES[0] in (ROOT / "README.md").read_text("utf-8")
    assert len([line for line in FILES[0].splitlines() if line]) <= 10


def first_cells(header: str) -> list[str]:
    """Return the first cells of the table whose header begins so."""
    (table,) = re.findall(rf"^\| {header} \|.*\n\|[-|]+\n((?:\|.*\n)+)", PAGE, flags=re.MULTILINE)
    return [row.split("|")[1].strip() for row in table.splitlines()]


def test_the_table_lists_every_answer_to_a_callback() -> None:
    """The table has the status codes that a service may hear, in order."""
    assert [int(cell) for cell in first_cells("status")] == list(STATUS.values())


def test_the_table_lists_every_name_that_expressions_can_use() -> None:
    """The table has what expressions can use."""
    names = re.findall(r"`(\w+)`", " ".join(first_cells("name")))
    assert set(names) == {*JOB_NAMES, "callback_url", "external_id"}


def test_the_page_has_the_defaults_of_the_models() -> None:
    """The first table, and the figures in the text, are the models' own."""
    assert first_cells("request") == [
        f"`{Submit().method} {Submit().path.text}`",
        f"`{Polling().method} {Polling().path.text.replace('external_id', 'job_id')}`",
    ]
    first, last = f"{Polling().interval:g} s", f"{Polling().maximum:g} s"
    assert f"after {first}, then at growing intervals of up to {last}" in PAGE
    assert f"`{Submit().idempotency_header}`" in PAGE
    receiver = CallbackConfig.model_fields
    assert receiver["expires_after"].default == 7 * 24 * 3600
    assert receiver["max_body_bytes"].default == 1_000_000


@pytest.mark.parametrize("body", re.findall(r"```json\n(.*?)```", PAGE, flags=re.DOTALL))
def test_every_answer_on_the_page_is_understood(body: str) -> None:
    """What the page has a service say by default is read so."""
    answer = json.loads(body)
    report = read_answer(Answer(), answer)
    assert report.state is ServiceState(answer["status"].replace("completed", "succeeded"))
    if "progress" in answer:
        assert report.progress is not None
        assert report.progress.completed == answer["progress"]["completed"]
    assert report.result == answer.get("result")
    if "error" in answer:
        assert report.error is not None
        assert report.error.type == answer["error"]["type"]


@pytest.mark.parametrize("part", PARTS)
def test_the_page_names_every_key(part: type[Strict]) -> None:
    """Whatever can be set of jobs and services can be found there."""
    assert [key for key in part.model_fields if not re.search(rf"\b{key}\b", PAGE)] == []
