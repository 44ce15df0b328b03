"""The plot: how much of its target each row uses, as SVG for light and dark backgrounds."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Sequence
from xml.sax.saxutils import escape

from bench.measure import Result

WIDTH = 960
LEFT, RIGHT = 440, 30
TOP, ROW, BOTTOM = 64, 40, 44
LEAST, MOST = 0.01, 3.0
"""The ends of the axis, as shares of the target. Values outside are drawn at the ends."""
TICKS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
LABEL_CHARACTERS = 62

STYLE = """\
  <style>
    text { font: 13px system-ui, sans-serif; fill: #1f2328; }
    .title { font-size: 15px; font-weight: 600; }
    .faint { fill: #59636e; font-size: 12px; }
    .grid { stroke: #d1d9e0; }
    .target { stroke: #1f2328; stroke-dasharray: 4 3; }
    .met { stroke: #1a7f37; fill: #1a7f37; }
    .missed { stroke: #cf222e; fill: #cf222e; }
    .back { fill: #ffffff; }
    @media (prefers-color-scheme: dark) {
      text { fill: #f0f6fc; }
      .faint { fill: #9198a1; }
      .grid { stroke: #3d444d; }
      .target { stroke: #f0f6fc; }
      .met { stroke: #3fb950; fill: #3fb950; }
      .missed { stroke: #f85149; fill: #f85149; }
      .back { fill: #0d1117; }
    }
  </style>"""


def plot(results: Sequence[Result]) -> str:
    """Return the plot of the rows that have a target and were measured."""
    rows = [each for each in results if each.target is not None and each.rounds]
    height = TOP + ROW * len(rows) + BOTTOM
    bottom = height - BOTTOM
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        'aria-label="Each row\'s figure as a share of its target">',
        STYLE,
        f'  <rect class="back" width="{WIDTH}" height="{height}"/>',
        '  <text class="title" x="16" y="26">Share of the target that is used: '
        "left of the dashed line is better than the target</text>",
        '  <text class="faint" x="16" y="46">Dot: median of the rounds; bar: lowest to highest; '
        "the axis is logarithmic</text>",
        *_axis(bottom),
        *(line for number, row in enumerate(rows) for line in _row(row, TOP + ROW * number)),
        "</svg>",
        "",
    ]
    return "\n".join(lines)


def share(result: Result, figure: float) -> float:
    """Return the share of its target that a figure uses: 1 just meets it, less is better."""
    assert result.target is not None  # noqa: S101  rows without one are not drawn
    if result.target.compare == "<=":
        return figure / result.target.value
    return result.target.value / figure if figure > 0 else math.inf


def _axis(bottom: int) -> Iterator[str]:
    for tick in TICKS:
        x, kind = _x(tick), "target" if tick == 1 else "grid"
        yield f'  <line class="{kind}" x1="{x:.1f}" y1="{TOP - 6}" x2="{x:.1f}" y2="{bottom}"/>'
        name = "target" if tick == 1 else f"{tick:g} ×"
        yield (
            f'  <text class="faint" x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">'
            f"{name}</text>"
        )


def _row(result: Result, top: int) -> Iterator[str]:
    middle = top + ROW / 2
    label = textwrap.wrap(result.name, LABEL_CHARACTERS)[:2]
    for number, text in enumerate(label):
        y = middle + 4 + 15 * (number - (len(label) - 1) / 2)
        yield f'  <text x="16" y="{y:.1f}">{escape(text)}</text>'
    shares = [share(result, figure) for figure in result.figures]
    kind, low, high = result.verdict, _x(min(shares)), _x(max(shares))
    yield (
        f'  <line class="{kind}" stroke-width="3" stroke-linecap="round" '
        f'x1="{low:.1f}" y1="{middle}" x2="{high:.1f}" y2="{middle}"/>'
    )
    x = _x(share(result, result.median))
    yield f'  <circle class="{kind}" cx="{x:.1f}" cy="{middle}" r="5.5"/>'


def _x(share_of_target: float) -> float:
    held = min(MOST, max(LEAST, share_of_target))
    along = math.log(held / LEAST) / math.log(MOST / LEAST)
    return LEFT + along * (WIDTH - LEFT - RIGHT)
