"""How a child process ended, in words."""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import dataclass

MIB = 1024 * 1024
_HINTS = {
    signal.SIGSEGV: "native code has crashed",
    signal.SIGBUS: "native code has crashed",
    signal.SIGILL: "native code has crashed",
    signal.SIGFPE: "native code has crashed",
    signal.SIGABRT: "native code has ended it",
    signal.SIGKILL: "by a person, or by the system because memory ran out: its log says that",
    signal.SIGXCPU: "its limit of processor time",
}


@dataclass(frozen=True, slots=True)
class ProcessEnd:
    """The end of a process.

    :param code: its exit code, or the negative number of the signal that ended it; None if unknown
    :param peak_bytes: the most memory that it held
    """

    code: int | None
    peak_bytes: int

    @classmethod
    def of(cls, status: int, peak: int) -> ProcessEnd:
        """Return the end that ``wait4`` reports.

        :param peak: ``ru_maxrss``: KiB, on macOS bytes
        """
        unit = 1 if sys.platform == "darwin" else 1024
        return cls(os.waitstatus_to_exitcode(status), peak * unit)

    def __str__(self) -> str:
        memory = f"its peak memory was {in_mib(self.peak_bytes)}"
        if self.code is None:
            return "has ended, for a reason that is not known"
        if self.code >= 0:
            return f"exited with code {self.code} before the handler returned; {memory}"
        try:
            number = signal.Signals(-self.code)
        except ValueError:
            return f"was ended by signal {-self.code}; {memory}"
        hint = f" ({_HINTS[number]})" if number in _HINTS else ""
        return f"was ended by {number.name}{hint}; {memory}"


def in_mib(size: int) -> str:
    """Return a number of bytes as text."""
    return f"{size / MIB:,.0f} MiB"
