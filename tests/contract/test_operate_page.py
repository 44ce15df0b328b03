"""The page about operating a worker says what the code says."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from kafka_bridge.cli.app import app
from kafka_bridge.worker.environment import KNOWN
from kafka_bridge.worker.monitoring.http import LIVE_SECONDS
from kafka_bridge.worker.settings import VARIABLES

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "how-to" / "operate-a-worker.md").read_text("utf-8")
QUICKSTART = (Path(__file__).parents[2] / "docs" / "quickstart.md").read_text("utf-8")


def arguments_of_the_worker() -> set[str]:
    """Return the arguments that the program of the quickstart passes to its worker."""
    (code,) = re.findall(r"```python\n(# my_service\.py\n.*?)```", QUICKSTART, flags=re.DOTALL)
    calls = [each for each in ast.walk(ast.parse(code)) if isinstance(each, ast.Call)]
    (made,) = [each for each in calls if ast.unparse(each.func) == "Worker"]
    return {str(keyword.arg) for keyword in made.keywords}


def test_the_page_names_the_limit_of_the_liveness_probe() -> None:
    """The page names the limit."""
    assert f"polled within the last {LIVE_SECONDS:g} s" in PAGE


@pytest.mark.parametrize("line", re.findall(r"^\$ kafka-bridge (.*)$", PAGE, flags=re.MULTILINE))
def test_every_command_line_on_the_page_is_valid(line: str) -> None:
    """Each command line of the page is one that the program understands."""
    words = line.partition("#")[0].partition("|")[0].split()
    options = [word for word in words if word.startswith("--")]
    command = [word for word in words if re.fullmatch(r"[a-z][a-z-]*", word)][:2]
    said = CliRunner().invoke(app, [*command, "--help"], env={"COLUMNS": "200"})
    assert said.exit_code == 0, said.output
    for option in options:
        assert option in said.output


def test_the_rule_for_scaling_is_yaml_and_asks_for_metrics_that_exist() -> None:
    """A rule on a metric that is not there would never scale."""
    _, snippet = re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL)
    (trigger,) = yaml.safe_load(snippet)["spec"]["triggers"]
    asked = set(re.findall(r"kafka_bridge_\w+", trigger["metadata"]["query"]))
    reference = (DOCS / "reference" / "metrics.md").read_text("utf-8")
    assert len(asked) == 2
    assert asked <= set(re.findall(r"`(kafka_bridge_\w+)`", reference))


def test_the_deployment_is_yaml_with_known_variables_and_the_log_line_is_json() -> None:
    """The deployment is YAML with the variables that exist; the log line is JSON."""
    snippet, _ = re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL)
    pod: dict[str, Any] = yaml.safe_load(snippet)["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    environ = {each["name"]: each.get("value") for each in container["env"]}
    for name in environ:
        assert name in KNOWN or name.startswith("KAFKA_BRIDGE_KAFKA_")
    passed = {VARIABLES[name][0] for name in arguments_of_the_worker()}
    assert passed
    assert not passed & set(environ), "the program overrides these"
    grace = int(environ["KAFKA_BRIDGE_GRACE_SECONDS"])
    assert pod["terminationGracePeriodSeconds"] >= grace + 15
    (line,) = re.findall(r"```json\n(.*?)```", PAGE, flags=re.DOTALL)
    assert {"timestamp", "level", "logger", "message", "correlation_id"} <= set(json.loads(line))
