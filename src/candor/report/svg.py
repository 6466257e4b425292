"""Plots as small inline SVG: colours come from the page's style sheet, so they follow light and dark.

Each figure is drawn twice, wide for desks and print, narrow for phones, because scaling one drawing makes
its letters too small on one of them. The style sheet shows one and hides the other from everyone, screen
readers included.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from markupsafe import Markup, escape

WIDE, NARROW = 800, 340
# Mean width of a 13 px letter in the widest of the usual fonts (DejaVu Sans), plain and bold.
LETTER, STRONG_LETTER = 7.7, 9.0


@dataclass
class Drawing:
    """Shapes gathered in order; every text and attribute is escaped."""

    width: float
    height: float = 0.0
    parts: list[Markup] = field(default_factory=list)

    def line(self, x1: float, y1: float, x2: float, y2: float, style: str) -> None:
        """A straight line."""
        self._add("line", {"x1": x1, "y1": y1, "x2": x2, "y2": y2, "class": style})

    def rect(  # x, y, width, height is SVG's own order
        self, x: float, y: float, width: float, height: float, style: str, title: str = ""
    ) -> None:
        """A bar, with an optional tooltip."""
        shape = {"x": x, "y": y, "width": max(0.0, width), "height": height, "rx": 2, "class": style}
        self._add("rect", shape, title)

    def circle(self, x: float, y: float, radius: float, style: str, title: str = "") -> None:
        """A dot, with an optional tooltip."""
        self._add("circle", {"cx": x, "cy": y, "r": radius, "class": style}, title)

    def diamond(self, x: float, y: float, radius: float, style: str, title: str = "") -> None:
        """A mark that differs from a dot without colour."""
        corners = [(x, y - radius), (x + radius, y), (x, y + radius), (x - radius, y)]
        points = " ".join(f"{_number(a)},{_number(b)}" for a, b in corners)
        self._add("polygon", {"points": points, "class": style}, title)

    def path(self, points: Iterable[tuple[float, float]], style: str, *, closed: bool = False) -> None:
        """A line through points."""
        steps = "L".join(f"{_number(x)} {_number(y)}" for x, y in points)
        if steps:
            self._add("path", {"d": f"M{steps}{'Z' if closed else ''}", "class": style})

    def text(self, x: float, y: float, words: str, style: str = "", anchor: str = "start") -> None:
        """One line of text; `anchor` is start, middle or end."""
        attributes = {"x": x, "y": y, "class": f"t {style}".strip(), "text-anchor": anchor}
        self.parts.append(Markup(f"<text{_attributes(attributes)}>{escape(words)}</text>"))

    def _add(self, tag: str, attributes: dict[str, object], title: str = "") -> None:
        inside = f"<title>{escape(title)}</title>" if title else ""
        self.parts.append(Markup(f"<{tag}{_attributes(attributes)}>{inside}</{tag}>"))


def figure(name: str, title: str, description: str, draw: Callable[[float], Drawing]) -> Markup:
    """Both drawings of one figure as accessible SVG.

    Args:
        name: unique in the page; element ids derive from it.
        title: what the plot is.
        description: what it shows, in words and numbers, for those who don't see it.
        draw: makes the drawing for a width in pixels.
    """
    variants = []
    for variant, width in (("wide", WIDE), ("narrow", NARROW)):
        drawing = draw(width)
        label = f"{name}-{variant}"
        variants.append(
            Markup(
                '<svg class="plot {v}" viewBox="0 0 {w} {h}" role="img" aria-labelledby="{i}-t {i}-d">'
                '<title id="{i}-t">{title}</title><desc id="{i}-d">{description}</desc>{body}</svg>'
            ).format(
                v=variant,
                w=_number(drawing.width),
                h=_number(drawing.height),
                i=label,
                title=title,
                description=description,
                body=Markup("").join(drawing.parts),
            )
        )
    return Markup("\n").join(variants)


def legend(entries: Iterable[tuple[str, str, str]]) -> Markup:
    """A legend that wraps: (label, style, shape), shape being line, box, dot or diamond."""
    items = []
    for label, style, shape in entries:
        swatch = Drawing(26, 12)
        if shape == "line":
            swatch.line(1, 6, 25, 6, style)
        elif shape == "box":
            swatch.rect(7, 0, 12, 12, style)
        elif shape == "dot":
            swatch.circle(13, 6, 5, style)
        else:
            swatch.diamond(13, 6, 6, style)
        drawn = Markup('<svg class="swatch" viewBox="0 0 26 12" aria-hidden="true">{}</svg>').format(
            Markup("").join(swatch.parts)
        )
        items.append(Markup("<li>{}{}</li>").format(drawn, label))
    return Markup('<ul class="legend">{}</ul>').format(Markup("").join(items))


def fitted(words: str, width: float) -> str:
    """Text cut with an ellipsis so that it fits a width in pixels."""
    letters = max(3, int(width / LETTER))
    return words if len(words) <= letters else words[: letters - 1].rstrip() + "…"


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers within [low, high], about as many as asked for."""
    span = high - low
    if not span > 0:
        return [low]
    rough = span / max(1, about)
    power = 10 ** math.floor(math.log10(rough))
    step = next(power * base for base in (1, 2, 2.5, 5, 10) if power * base >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 12) for i in range(first, math.floor(high / step + 1e-9) + 1)]


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _attributes(attributes: dict[str, object]) -> Markup:
    # Escaped values in plain strings: Markup.format is ten times slower, and a page has thousands of shapes.
    pairs = ((key, _number(v) if isinstance(v, int | float) else escape(v)) for key, v in attributes.items())
    return Markup("".join(f' {key}="{value}"' for key, value in pairs))
