"""Finds commands in which a job's payload would be run as code."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from pathlib import PurePath
from typing import TypeVar

from kafka_bridge.gateway.expressions import JmesPath, Template

T = TypeVar("T")

_CODE_OPTIONS = (
    (r"(ba|da|z|k|mk|a|fi|c|tc)?sh(\.exe)?|busybox", r"-[A-Za-z]*c"),
    (r"(pwsh|powershell)(\.exe)?", r"-(c|command|e|ec|encodedcommand)"),
    (r"cmd(\.exe)?", r"/[ck]"),
    (r"(python|pypy)[\d.]*(\.exe)?", r"-[A-Za-z]*c"),
    (r"(perl|ruby|lua|osascript|Rscript)[\d.]*", r"-[A-Za-z]*[eE]"),
    (r"node|nodejs|deno|bun", r"-[ep]|-pe|--eval|--print|eval"),
    (r"php[\d.]*", r"-[rBRE]"),
    (r"(g|m|n)?awk|sed|jq", ""),
)
"""A pattern for the name of an interpreter, and one for the option whose argument is code. If the
latter is empty, the first argument that is not an option is code."""
_TAKES_VALUE = (
    (r".*sh(\.exe)?|busybox", ("-o", "+o", "-O", "+O", "--rcfile", "--init-file")),
    (r"(python|pypy).*", ("-W", "-X")),
    (r"(g|m|n)?awk", ("-v", "-F")),
)
"""A pattern for the name of an interpreter, and its other options that are followed by a value."""


def code_from_job(command: Sequence[Template]) -> str | None:
    """Return the first argument that is code and contains a value of the job, None without one.

    An argument is code after an option such as ``-c``, or as the name of the script if it begins
    with a value of the job. Interpreters are also found after ``env`` or ``sudo``.
    """
    for number, template in enumerate(command):
        if template.names():
            continue
        name = PurePath(template.text).name
        option, with_value = _known(_CODE_OPTIONS, name), _known(_TAKES_VALUE, name) or ()
        arguments = command[number + 1 :]
        if option is not None and (found := _code(arguments, option, with_value)):
            return found
    return None


def _known(table: Iterable[tuple[str, T]], name: str) -> T | None:
    """Return the entry of a program in a table, None if there is none."""
    return next((found for known, found in table if re.fullmatch(known, name)), None)


def _code(arguments: Sequence[Template], option: str, with_value: Collection[str]) -> str | None:
    left = iter(arguments)
    for each in left:
        first = each.parts[0] if each.parts else ""
        fixed = first if isinstance(first, str) else ""
        if fixed in with_value and not each.names():
            next(left, None)
        elif option and re.fullmatch(option, fixed, re.IGNORECASE):
            code = each if each.names() else next(left, None)  # -c{payload.code}, or what follows
            return code.text if code is not None and code.names() else None
        elif not fixed.startswith(("-", "+")):
            is_chosen = isinstance(first, JmesPath)  # the script itself
            return each.text if is_chosen or (not option and each.names()) else None
    return None
