"""A plot with horizontal bars, legible on light and dark pages."""

from html import escape
from typing import Final

from msgspec import Struct

WIDTH: Final = 760
LABEL: Final = 250
VALUE: Final = 70
BAR: Final = 16
STEP: Final = 23
HEAD: Final = 34
TITLE: Final = 44
NOTE: Final = 30

_STYLE: Final = """
  text { font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #24292f }
  .title { font-size: 16px; font-weight: 600 }
  .head { font-weight: 600 }
  .soft { fill: #57606a; font-size: 12px }
  .ours { fill: #1a7f5a }
  .theirs { fill: #8c96a3 }
  .weaker { fill: url(#stripes) }
  .stripe { stroke: #8c96a3 }
  .axis { stroke: #d0d7de }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 }
    .soft { fill: #9aa4af }
    .ours { fill: #3fb68b }
    .theirs { fill: #6b7683 }
    .stripe { stroke: #6b7683 }
    .axis { stroke: #3d444d }
  }
"""
_STRIPES: Final = (
    '<pattern id="stripes" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
    '<line class="stripe" x1="0" y1="0" x2="0" y2="6" stroke-width="6" stroke-dasharray="none" stroke-opacity=".35"/>'
    '<line class="stripe" x1="0" y1="0" x2="0" y2="6" stroke-width="3"/></pattern>'
)


class Bar(Struct, frozen=True):
    """`weaker`: it promises less than ours."""

    name: str
    value: float
    ours: bool = False
    weaker: bool = False


def drawn(title: str, groups: dict[str, list[Bar]], note: str) -> str:
    """An SVG: the groups one below the other, the fastest first, all on one scale."""
    most = max((bar.value for bars in groups.values() for bar in bars), default=1.0)
    scale = (WIDTH - LABEL - VALUE) / most
    parts: list[str] = [_text(0, 20, title, "title")]
    at = TITLE
    for name, bars in groups.items():
        parts.append(_text(0, at + 12, name, "head"))
        top = at + HEAD - 10
        for number, bar in enumerate(sorted(bars, key=lambda bar: -bar.value)):
            parts += _row(bar, top + number * STEP, bar.value * scale)
        bottom = top + len(bars) * STEP - 2
        parts.append(f'<line class="axis" x1="{LABEL}" y1="{top - 4}" x2="{LABEL}" y2="{bottom}"/>')
        at = bottom + 22
    parts.append(_text(0, at + 4, note, "soft"))
    box = f'viewBox="0 0 {WIDTH} {at + NOTE - 16}" role="img" aria-label="{escape(title)}"'
    whole = "\n".join(parts)
    return f'<svg xmlns="http://www.w3.org/2000/svg" {box}>\n<style>{_STYLE}</style>\n<defs>{_STRIPES}</defs>\n{whole}\n</svg>\n'


def _row(bar: Bar, y: int, length: float) -> list[str]:
    kind = "ours" if bar.ours else "weaker" if bar.weaker else "theirs"
    return [
        _text(LABEL - 10, y + 12, bar.name, "head" if bar.ours else "", anchor="end"),
        f'<rect class="{kind}" x="{LABEL}" y="{y}" width="{max(length, 1):.1f}" height="{BAR}" rx="2"/>',
        _text(round(LABEL + length) + 6, y + 12, f"{bar.value:,.0f}", "head" if bar.ours else ""),
    ]


def _text(x: int, y: int, text: str, kind: str, anchor: str = "start") -> str:
    return f'<text x="{x}" y="{y}" class="{kind}" text-anchor="{anchor}">{escape(text)}</text>'
