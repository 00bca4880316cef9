"""Why: the figures over the number of bots, as one SVG with a small drawing each. Pure.

No plotting library is among the pinned dependencies, and lines between three points need none.
"""

import math
from collections.abc import Sequence
from html import escape

from bench.operator.sheet import FIGURES, Figure, Sizes, short

_WIDTH, _HEIGHT, _ACROSS = 300, 190, 3
_LEFT, _TOP, _RIGHT, _BOTTOM = 46, 40, 16, 30
_OPERATOR, _FLOOR, _TARGET, _TEXT = "#1f6feb", "#8b949e", "#d1242f", "#24292f"
Points = Sequence[tuple[int, float]]


def svg(sizes: Sizes) -> str:
    """One drawing a figure: operator blue, floor grey, target a red dashed line."""
    drawn = [figure for figure in FIGURES if any(figure.name in measured for measured in sizes.values())]
    down = math.ceil(len(drawn) / _ACROSS)
    width, height = _ACROSS * _WIDTH, down * _HEIGHT + 24
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'font-family="sans-serif" font-size="11" fill="{_TEXT}">',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    for position, figure in enumerate(drawn):
        x, y = position % _ACROSS * _WIDTH, position // _ACROSS * _HEIGHT
        parts.append(f'<g transform="translate({x} {y})">{_panel(figure, sizes)}</g>')
    legend = "".join(
        f'<tspan fill="{color}">{word}</tspan>  ' for word, color in
        (("● operator", _OPERATOR), ("● floor", _FLOOR), ("┄ target", _TARGET))
    )  # fmt: skip
    parts.append(
        f'<text x="{_LEFT}" y="{height - 8}" xml:space="preserve">{legend}over the number of bots</text></svg>'
    )
    return "\n".join(parts) + "\n"


def _panel(figure: Figure, sizes: Sizes) -> str:
    seen = {size: measured[figure.name] for size, measured in sorted(sizes.items()) if figure.name in measured}
    operator = [(size, one.operator) for size, one in seen.items()]
    floor = [(size, one.floor) for size, one in seen.items() if one.floor is not None]
    top = max([value for _, value in operator + floor] + [figure.limit]) * 1.1 or 1.0
    title = escape(f"{figure.name} ({figure.unit})" if figure.unit else figure.name)
    bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    parts = [
        f'<text x="{_LEFT}" y="22" font-weight="bold">{title}</text>',
        f'<path d="M{_LEFT} {_TOP}V{bottom}H{right}" fill="none" stroke="{_TEXT}"/>',
        f'<text x="{_LEFT - 4}" y="{bottom}" text-anchor="end">0</text>',
        f'<text x="{_LEFT - 4}" y="{_TOP + 8}" text-anchor="end">{short(top)}</text>',
    ]
    across = _across(list(seen))
    parts += [f'<text x="{across[size]:.0f}" y="{bottom + 16}" text-anchor="middle">{size:,}</text>' for size in seen]
    limit = _up(figure.limit, top)
    parts.append(f'<path d="M{_LEFT} {limit:.1f}H{right}" stroke="{_TARGET}" stroke-dasharray="4 3"/>')
    for points, color in ((floor, _FLOOR), (operator, _OPERATOR)):
        parts.append(_line(points, across, top, color))
    return "".join(parts)


def _line(points: Points, across: dict[int, float], top: float, color: str) -> str:
    places = [(across[size], _up(value, top), value) for size, value in points]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in places)
    dots = "".join(
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{color}"><title>{short(value)}</title></circle>'
        for x, y, value in places
    )
    return f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="1.5"/>{dots}'


def _across(sizes: Sequence[int]) -> dict[int, float]:
    """A logarithmic axis."""
    logs = [math.log10(size) for size in sizes]
    low, span = min(logs), (max(logs) - min(logs)) or 1.0
    room = _WIDTH - _LEFT - _RIGHT - 40
    return {size: _LEFT + 20 + room * (log - low) / span for size, log in zip(sizes, logs, strict=True)}


def _up(value: float, top: float) -> float:
    return (_HEIGHT - _BOTTOM) - (_HEIGHT - _BOTTOM - _TOP) * value / top
