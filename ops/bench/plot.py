"""Charts as SVG, on logarithmic scales: contenders differ by orders of magnitude."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

_OURS, _PEERS = ("#d98a00", "#8a5a00"), ("#8fa3b5", "#5b7f9b", "#3c4f61")
_ROW, _WIDTH, _RIGHT = 24, 430, 110
_LETTER = 7.4  # widest average of a 13 px letter: a viewer's font is not known here
_LINE = 16.0
_End = tuple[str, str, float, float]  # name, colour, and where a line ends


def bars(title: str, labels: Sequence[str], values: Sequence[float], unit: str) -> str:
    """One bar for each value above 0; ours stand out."""
    known = [value for value in values if value > 0 and math.isfinite(value)]
    low = 10 ** math.floor(math.log10(min(known)))
    high = 10 ** math.ceil(math.log10(max(known)) + 1e-9)
    span = max(math.log10(high / low), 1.0)
    height = 44 + _ROW * len(labels)
    left = 16 + round(_LETTER * max(map(len, labels)))
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + _WIDTH + _RIGHT}" height="{height}">',
        "<style>text { font: 13px sans-serif }</style>",
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="12" y="22">{escape(title)} ({escape(unit)}, logarithmic)</text>',
    ]
    for number, (label, value) in enumerate(zip(labels, values, strict=True)):
        y = 38 + number * _ROW
        good = value > 0 and math.isfinite(value)
        width = max(2.0, math.log10(value / low) / span * _WIDTH) if good else 0
        colour = "#d98a00" if label.startswith("Jeongsi") else "#8fa3b5"
        lines.append(f'<text x="{left - 8}" y="{y + 15}" text-anchor="end">{escape(label)}</text>')
        lines.append(
            f'<rect x="{left}" y="{y + 3}" width="{width:.1f}" height="{_ROW - 7}" fill="{colour}"/>'
        )
        told = f"{value:,.3g}" if value < 1000 else f"{value:,.0f}"
        lines.append(f'<text x="{left + width + 6:.1f}" y="{y + 15}">{told}</text>')
    return "\n".join([*lines, "</svg>", ""])


def lines(title: str, series: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    """One line for each contender, both scales logarithmic; its name stands at its end."""
    points = [(x, y) for some in series.values() for x, y in some if x > 0 and y > 0]
    (x0, x1), (y0, y1) = _decades([x for x, _ in points]), _decades([y for _, y in points])
    width, height, left, top = 520.0, 320.0, 64.0, 40.0

    def place(x: float, y: float) -> tuple[float, float]:
        across, up = (math.log10(x) - x0) / (x1 - x0), (math.log10(y) - y0) / (y1 - y0)
        return round(left + across * width, 1), round(top + (1 - up) * height, 1)

    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" width="860" height="410">',
        "<style>text { font: 13px sans-serif }</style>",
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="12" y="22">{escape(title)}</text>',
    ]
    for power in range(x0, x1 + 1):
        x, _ = place(10.0**power, 10.0**y0)
        parts.append(f'<line x1="{x}" y1="{top}" x2="{x}" y2="{top + height}" stroke="#e4e8ec"/>')
        parts.append(f'<text x="{x}" y="{top + height + 18}" text-anchor="middle">{10**power:,}</text>')
    for power in range(y0, y1 + 1):
        _, y = place(10.0**x0, 10.0**power)
        parts.append(f'<line x1="{left}" y1="{y}" x2="{left + width}" y2="{y}" stroke="#e4e8ec"/>')
        parts.append(f'<text x="{left - 8}" y="{y + 4}" text-anchor="end">{10.0**power:g}</text>')
    ends: list[_End] = []
    for number, (name, some) in enumerate(series.items()):
        shades = _OURS if name.startswith("Jeongsi") else _PEERS
        colour, drawn = shades[number % len(shades)], [place(x, y) for x, y in some if x > 0 and y > 0]
        told = " ".join(f"{x},{y}" for x, y in drawn)
        parts.append(f'<polyline points="{told}" fill="none" stroke="{colour}" stroke-width="2.5"/>')
        parts += [f'<circle cx="{x}" cy="{y}" r="3.5" fill="{colour}"/>' for x, y in drawn]
        ends.append((name, colour, *drawn[-1]))
    for name, colour, x, y in _apart(ends):
        parts.append(f'<text x="{x + 8}" y="{y + 4}" fill="{colour}">{escape(name)}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _apart(ends: Sequence[_End]) -> list[_End]:
    """Names of lines that end near each other, one below the other."""
    placed: list[_End] = []
    for name, colour, x, y in sorted(ends, key=lambda end: end[3]):
        taken = [other[3] for other in placed if abs(other[2] - x) < _LETTER * len(other[0])]
        placed.append((name, colour, x, max([y, *(above + _LINE for above in taken)])))
    return placed


def _decades(values: Sequence[float]) -> tuple[int, int]:
    """The powers of ten around them."""
    low = math.floor(math.log10(min(values)))
    return low, max(low + 1, math.ceil(math.log10(max(values)) - 1e-9))
