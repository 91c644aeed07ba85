"""Charts as SVG, drawn without a script.

Owns: bars by day. Must never: say something by colour alone: each chart has a legend in words, and a table beside it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape
from typing import NamedTuple

_WIDTH, _HEIGHT, _BOTTOM, _TOP = 400.0, 190.0, 22.0, 8.0
_LEFT, _CHARACTER = 46.0, 6.5
"""The space for the values of the grid's lines at least, and for each of their characters."""
_PLOT = _HEIGHT - _BOTTOM - _TOP
_LINES = 4
_GAP = 0.25  # of the space of a bar


class Series(NamedTuple):
    """name: in the legend. style: the class of its bars."""

    name: str
    style: str
    values: Sequence[float]


def bars(title: str, labels: Sequence[str], series: Sequence[Series], shown: Callable[[float], str]) -> str:
    """Bars on top of each other. labels: below them. shown: a value in words."""
    sums = [sum(each.values[at] for each in series) for at in range(len(labels))]
    top = _round_up(max(sums, default=0.0))
    lines = [step * top / _LINES for step in range(_LINES + 1)]
    margin = max(_LEFT, 8 + _CHARACTER * max(len(shown(value)) for value in lines))
    space = (_WIDTH - margin - 4) / max(len(labels), 1)
    parts = [_line(value, top, margin, shown) for value in lines]
    every = max(1, math.ceil(len(labels) / 8))
    for at, label in enumerate(labels):
        left, below = margin + at * space, 0.0
        for each in series:
            value = each.values[at]
            if value > 0:
                parts.append(_bar(left, space, below, value, top, each, f"{label}: {each.name} {shown(value)}"))
            below += value
        if at % every == 0:
            parts.append(f'<text class="axis" x="{left + space / 2:.1f}" y="{_HEIGHT - 6}">{escape(label)}</text>')
    return (
        f'<svg viewBox="0 0 {_WIDTH:.0f} {_HEIGHT:.0f}" role="img" aria-label="{escape(title)}">{"".join(parts)}</svg>'
    )


def legend(series: Sequence[Series]) -> str:
    items = "".join(
        f'<li><svg class="key" viewBox="0 0 10 10" aria-hidden="true"><rect class="{each.style}" width="10" '
        f'height="10"/></svg>{escape(each.name)}</li>'
        for each in series
    )
    return f'<ul class="legend">{items}</ul>'


def share(part: float, whole: float) -> str:
    """A bar for a cell of a table."""
    width = 100 * part / whole if whole > 0 else 0.0
    return (
        '<svg class="share" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="rest" width="100" height="8"/><rect class="spend" width="{width:.1f}" height="8"/></svg>'
    )


def _line(value: float, top: float, left: float, shown: Callable[[float], str]) -> str:
    y = _y(value, top)
    return (
        f'<line class="grid" x1="{left:.1f}" x2="{_WIDTH - 4}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<text class="axis end" x="{left - 5:.1f}" y="{y + 4:.1f}">{escape(shown(value))}</text>'
    )


def _bar(left: float, space: float, below: float, value: float, top: float, series: Series, words: str) -> str:
    y, height = _y(below + value, top), _PLOT * value / top
    return (
        f'<rect class="{series.style}" x="{left + space * _GAP / 2:.1f}" y="{y:.1f}" '
        f'width="{space * (1 - _GAP):.1f}" height="{max(height, 0.5):.1f}"><title>{escape(words)}</title></rect>'
    )


def _y(value: float, top: float) -> float:
    return _TOP + _PLOT * (1 - value / top)


def _round_up(value: float) -> float:
    """Rounded up to 1, 2, 4, 8 or 10 times a power of ten, which four grid lines divide evenly."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 4, 8, 10) if step * power >= value * 0.999)
