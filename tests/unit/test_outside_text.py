"""Text from outside is cleaned before anybody sees it: this finds the module that forgets to.

Bytes from Kafka, a socket or a program become text in a few ways only. A module that does so
imports `kafka_bridge.protocol.sanitize`, or stands here with the reason why its text is not shown
as it is.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import kafka_bridge

PACKAGE = Path(kafka_bridge.__file__).parent
MODULES = {
    name: path
    for path in sorted(PACKAGE.rglob("*.py"))
    if not (name := path.relative_to(PACKAGE).as_posix()).startswith("testing/")
}
"""But for the tests' own brokers and Airflows, which read what they have started themselves."""
SANITIZE = "kafka_bridge.protocol.sanitize"
MESSAGES = {"JobRequest", "StatusEvent", "JobCommand", "message_type"}
"""What `decode` of a record takes: that one cleans."""

NOT_SHOWN = {
    "airflow/batch/payloads.py": "a line of the author's own file, quoted by repr",
    "airflow/submit/submission.py": "numbers, an id, and a reply topic to read from",
    "conformance/probes/ledger.py": "the golden files, which the package itself has",
    "conformance/probes/replies.py": "the reports clean what came",
    "gateway/callbacks/inbox.py": "the key of its own subscription",
    "gateway/callbacks/publisher.py": "a header that is compared, and no more",
    "gateway/callbacks/server.py": "a key that is looked up, and no more",
    "gateway/command/output.py": "output on its way to be masked; the gateway shows it",
    "gateway/callbacks/app.py": "the gateway's own answer to a caller",
    "gateway/untrusted_text.py": "text for a message, which whoever reads it cleans",
    "kafka/admin/dead_letter_topic.py": "a reply topic, to publish to",
    "kafka/lookups/job_lookup.py": "keys that were found by equality with those asked for",
    "payloads.py": "payloads and results are data; what stores them checks them",
    "protocol/event_head.py": "state and delivery alone, which are no texts",
    "protocol/excerpts.py": "text of printable characters alone; all other bytes are shown in hex",
    "protocol/ids.py": "a correlation id: it is one or it is refused",
    "protocol/media_types.py": "JSON documents are data",
    "protocol/plain_replies.py": "makes an event; airflow/outcomes.py cleans it",
    "worker/checkpoints.py": "JSON that the worker itself has written",
    "worker/context.py": "headers are data for the handler",
    "worker/runtime/dead_letters.py": "a reply topic, to publish to",
}


def is_raw_text(node: ast.AST) -> bool:
    """Tell whether an expression makes text of bytes that it does not clean."""
    if not isinstance(node, ast.Call):
        return False
    function = node.func
    if isinstance(function, ast.Name):
        return function.id in {"text_header", "decode"}
    if not isinstance(function, ast.Attribute) or function.attr != "decode":
        return False
    made_by = function.value.func if isinstance(function.value, ast.Call) else None
    if isinstance(made_by, ast.Attribute) and made_by.attr == "b64encode":
        return False  # ASCII, whatever it encodes
    return not any(isinstance(each, ast.Name) and each.id in MESSAGES for each in node.args)


def imported(tree: ast.Module) -> Iterator[str]:
    """Yield the modules that a module imports names of."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def shows_raw_text(module: str) -> bool:
    """Tell whether a module makes text of bytes and does not know how to clean it."""
    if module == "protocol/sanitize.py":
        return False
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    return SANITIZE not in imported(tree) and any(map(is_raw_text, ast.walk(tree)))


def test_bytes_become_text_where_it_is_cleaned() -> None:
    """A new place where bytes become text cleans it, or says here why it need not."""
    forgetful = [each for each in MODULES if each not in NOT_SHOWN and shows_raw_text(each)]
    assert forgetful == []


def test_every_exception_to_the_rule_names_an_existing_module() -> None:
    """Nothing stands among the exceptions that is not there any more, or needs none."""
    assert NOT_SHOWN.keys() <= MODULES.keys()
    assert [each for each in NOT_SHOWN if not shows_raw_text(each)] == []


def dictionaries(module: str) -> Iterator[set[str]]:
    """Yield the keys of each dictionary that a module spells out."""
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Dict):
            yield {str(each.value) for each in node.keys if isinstance(each, ast.Constant)}


def test_events_of_triggers_are_made_in_one_place() -> None:
    """Only `trigger_events.py` puts words into an event: it knows what an event can hold."""
    makers = {
        module
        for module in MODULES
        if module.startswith("airflow/")
        and any(keys == {"error", "message"} for keys in dictionaries(module))
    }
    assert makers == {"airflow/triggerer/trigger_events.py"}
