"""The curves: slot-seconds of a task by the length of its job, as SVG."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from statistics import median
from typing import TypeAlias
from xml.sax.saxutils import escape

from bench.measure import Result
from bench.plot import STYLE

WIDTH, HEIGHT = 720, 400
LEFT, RIGHT, TOP, BOTTOM = 56, 220, 56, 52
COLOURS = ("#0969da", "#1a7f37", "#9a6700", "#cf222e")
X_TICK, Y_TICK = 2.0, 2.0

Curve: TypeAlias = list[tuple[float, float]]


def curves(results: Sequence[Result]) -> str:
    """Return a plot of the rows that are points of a curve, and of their peer."""
    found: dict[str, Curve] = defaultdict(list)
    for row in results:
        if row.point is None or not row.rounds:
            continue
        name, x = row.point
        found[name.replace("`", "")].append((x, median(each.ours for each in row.rounds)))
        peer = found[row.peer.replace("`", "")]
        if all(known != x for known, _ in peer):
            peer.append((x, median(each.peer for each in row.rounds)))
    points = [point for curve in found.values() for point in curve]
    scale = _Scale(max(x for x, _ in points), max(y for _, y in points) * 1.05)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        'aria-label="Slot-seconds of a task by the length of its job">',
        STYLE,
        f'  <rect class="back" width="{WIDTH}" height="{HEIGHT}"/>',
        '  <text class="title" x="16" y="26">Worker slot held by a task, in slot-seconds, '
        "by the length of its job</text>",
        *scale.axes(),
        *(
            line
            for number, (name, curve) in enumerate(found.items())
            for line in scale.curve(name, sorted(curve), COLOURS[number % len(COLOURS)])
        ),
        "</svg>",
        "",
    ]
    return "\n".join(lines)


class _Scale:
    """Places points on the drawing.

    :param most_x: the largest length of a job, in seconds
    :param most_y: the most slot-seconds
    """

    def __init__(self, most_x: float, most_y: float) -> None:
        self._most_x, self._most_y = most_x, most_y

    def axes(self) -> Iterator[str]:
        """Give the grid and its labels."""
        bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
        for tick in _ticks(self._most_y, Y_TICK):
            y = self._y(tick)
            yield f'  <line class="grid" x1="{LEFT}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}"/>'
            yield (
                f'  <text class="faint" x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">'
                f"{tick:g}</text>"
            )
        for tick in _ticks(self._most_x, X_TICK):
            yield (
                f'  <text class="faint" x="{self._x(tick):.1f}" y="{bottom + 20}" '
                f'text-anchor="middle">{tick:g}</text>'
            )
        middle = (LEFT + right) / 2
        yield (
            f'  <text class="faint" x="{middle:.1f}" y="{bottom + 40}" text-anchor="middle">'
            "length of the job, in seconds</text>"
        )

    def curve(self, name: str, curve: Curve, colour: str) -> Iterator[str]:
        """Give a curve with its points and, at its end, its name."""
        places = [(self._x(x), self._y(y)) for x, y in curve]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        yield f'  <polyline fill="none" stroke="{colour}" stroke-width="2" points="{path}"/>'
        for x, y in places:
            yield f'  <circle fill="{colour}" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>'
        x, y = places[-1]
        yield f'  <text x="{x + 10:.1f}" y="{y + 4:.1f}">{escape(name)}</text>'

    def _x(self, value: float) -> float:
        return LEFT + value / self._most_x * (WIDTH - LEFT - RIGHT)

    def _y(self, value: float) -> float:
        return HEIGHT - BOTTOM - value / self._most_y * (HEIGHT - TOP - BOTTOM)


def _ticks(most: float, step: float) -> list[float]:
    return [number * step for number in range(int(most / step) + 1)]
