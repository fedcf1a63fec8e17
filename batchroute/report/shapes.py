"""The few shapes that charts are drawn with, as SVG text. Whatever is written into them is escaped here."""

from collections.abc import Iterable
from html import escape

from batchroute.core.excerpts import printable

WIDTH = 400
"""In the units that text is 13 high in: a phone shows them at four fifths of a pixel, a screen at one and a half."""


def svg(height: float, told: str, drawn: Iterable[str]) -> str:
    """A chart as wide as the page lets it be, with a sentence for those who do not see it."""
    said = escape(printable(told))
    return (
        f'<svg viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{said}">'
        f"<title>{said}</title>{''.join(drawn)}</svg>"
    )


def rect(x: float, y: float, width: float, height: float, kind: str, title: str = "") -> str:
    """A bar; `kind` is the class that colours it, `title` what pointing at it tells."""
    shape = f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"'
    return f"{shape}>{_title(title)}</rect>" if title else f"{shape}/>"


def text(x: float, y: float, said: str, kind: str, *, anchor: str = "start", title: str = "") -> str:
    """A line of text whose foot is at `y`."""
    return (
        f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">'
        f"{_title(title)}{escape(printable(said))}</text>"
    )


def mark(x: float, bottom: float, name: str) -> str:
    """An upright line across a chart, with its name at the top."""
    anchor = "end" if x > WIDTH - 30 else "start"
    return f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="4" y2="{bottom:.1f}"/>' + text(
        x + (-4 if anchor == "end" else 4), 13, name, "soft", anchor=anchor
    )


def band(left: float, top: float, right: float, bottom: float, height: float, kind: str, title: str) -> str:
    """A flow of one height from a place on the left to one on the right."""
    middle = (left + right) / 2
    path = (
        f"M{left:.1f},{top:.1f} C{middle:.1f},{top:.1f} {middle:.1f},{bottom:.1f} {right:.1f},{bottom:.1f} "
        f"v{height:.1f} C{middle:.1f},{bottom + height:.1f} {middle:.1f},{top + height:.1f} {left:.1f},{top + height:.1f} Z"
    )
    return f'<path class="band {kind}" d="{path}">{_title(title)}</path>'


def _title(said: str) -> str:
    return f"<title>{escape(printable(said))}</title>" if said else ""
