"""Whether this machine can open a TCP connection to the brokers' addresses.

librdkafka reports a name without an address, a closed port and a firewall alike: no broker
answered. A connection of our own tells which one it is. It is closed at once; nothing is sent.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterable, Iterator
from queue import Empty, Queue

from kafka_bridge.findings import Finding, error, ok, warning
from kafka_bridge.kafka.sockets import addresses

CONNECT_SECONDS = 3.0
"""How long a connection may take. The look-up of a name may take longer, and is not waited for."""


class Reached:
    """The bootstrap servers that accept connections.

    :param servers: the property ``bootstrap.servers``
    :ivar any: whether there is one; known after :meth:`check`
    """

    def __init__(self, servers: str) -> None:
        self._servers = servers
        self.any = False

    def check(self, seconds: float) -> Iterator[Finding]:
        """Yield whether the servers accept connections. One is enough for a client."""
        places = list(addresses(self._servers))
        if not places:
            yield error(
                f"'bootstrap.servers' has no address with a port: {self._servers!r}",
                "Set it to host:port; separate several with commas.",
            )
            return
        failed = failures(places, seconds)
        good = [each for each in map(_address, places) if each not in failed]
        self.any = bool(good)
        level = warning if good else error
        for place, reason in failed.items():
            yield level(f"{place}: {reason}", _advice(reason))
        if good:
            yield ok(f"{', '.join(good)}: accepts connections")


def advertised_addresses(advertised: Iterable[str], seconds: float) -> Iterator[Finding]:
    """Yield whether the addresses that the brokers give to clients accept connections.

    A client uses a bootstrap server only to ask for these addresses.
    """
    places = list(addresses(",".join(advertised)))
    failed = failures(places, seconds)
    for place, reason in failed.items():
        yield error(
            f"a broker tells clients to connect to {place}, and from here: {reason}",
            "Correct the broker's advertised.listeners, or make the address reachable from this "
            "machine.",
        )
    if not failed:
        yield ok(f"{', '.join(map(_address, places))}: accepts connections")


def failures(places: Iterable[tuple[str, int]], seconds: float) -> dict[str, str]:
    """Return by address, host:port, why a TCP connection to it fails.

    :param seconds: for all of them together
    """
    limit = min(seconds, CONNECT_SECONDS)
    wanted = list(dict.fromkeys(places))
    answers: Queue[tuple[tuple[str, int], str | None]] = Queue()
    for place in wanted:
        threading.Thread(target=_try, args=(place, limit, answers), daemon=True).start()
    found = dict[tuple[str, int], str | None]()
    deadline = time.monotonic() + limit + 0.5  # so that a connection's own timeout comes first
    while len(found) < len(wanted):
        try:
            place, reason = answers.get(timeout=max(0.0, deadline - time.monotonic()))
        except Empty:
            break
        found[place] = reason
    silent = f"no answer within {limit:g} s"
    results = {_address(place): found.get(place, silent) for place in wanted}
    return {place: reason for place, reason in results.items() if reason is not None}


def _try(
    place: tuple[str, int], seconds: float, answers: Queue[tuple[tuple[str, int], str | None]]
) -> None:
    try:
        with socket.create_connection(place, seconds):
            reason = None
    except socket.gaierror as failure:
        reason = f"the name has no address ({failure.strerror})"
    except TimeoutError:
        reason = f"no answer within {seconds:g} s"
    except (OSError, ValueError) as failure:  # ValueError: no name can be so (UnicodeError)
        reason = getattr(failure, "strerror", None) or str(failure)
    answers.put((place, reason))


def _advice(reason: str) -> str:
    if "name" in reason:
        return "Correct the name in 'bootstrap.servers', or this machine's DNS."
    if "refused" in reason:
        return "Start the broker, or correct the port in 'bootstrap.servers'."
    return "Check 'bootstrap.servers', and that a firewall or network policy allows it."


def _address(place: tuple[str, int]) -> str:
    host, port = place
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
