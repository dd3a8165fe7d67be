"""A bar chart as SVG, on a logarithmic scale: contenders differ by orders of magnitude."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

_ROW, _LEFT, _WIDTH, _RIGHT = 24, 330, 430, 110


def bars(title: str, labels: Sequence[str], values: Sequence[float], unit: str) -> str:
    """One bar for each value above 0; ours stand out."""
    known = [value for value in values if value > 0 and math.isfinite(value)]
    low = 10 ** math.floor(math.log10(min(known)))
    high = 10 ** math.ceil(math.log10(max(known)) + 1e-9)
    span = max(math.log10(high / low), 1.0)
    height = 44 + _ROW * len(labels)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_LEFT + _WIDTH + _RIGHT}" height="{height}">',
        "<style>text { font: 13px sans-serif }</style>",
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="12" y="22">{escape(title)} ({escape(unit)}, logarithmic)</text>',
    ]
    for number, (label, value) in enumerate(zip(labels, values, strict=True)):
        y = 38 + number * _ROW
        good = value > 0 and math.isfinite(value)
        width = max(2.0, math.log10(value / low) / span * _WIDTH) if good else 0
        colour = "#d98a00" if label.startswith("Jeongsi") else "#8fa3b5"
        lines.append(f'<text x="{_LEFT - 8}" y="{y + 15}" text-anchor="end">{escape(label)}</text>')
        lines.append(
            f'<rect x="{_LEFT}" y="{y + 3}" width="{width:.1f}" height="{_ROW - 7}" fill="{colour}"/>'
        )
        told = f"{value:,.3g}" if value < 1000 else f"{value:,.0f}"
        lines.append(f'<text x="{_LEFT + width + 6:.1f}" y="{y + 15}">{told}</text>')
    return "\n".join([*lines, "</svg>", ""])
