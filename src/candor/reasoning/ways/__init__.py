"""Ways of asking by name: `ways_of(["direct", "steps"], chat=True)`.

direct, reversed, steps, explain, scratchpad    see `asking`
tool                                            with a calculator, see `tool`
free                                            the bare question, for small models from scratch, see `free`
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from candor.core.errors import InputError, did_you_mean
from candor.reasoning.ways.asking import ASKING
from candor.reasoning.ways.free import Free
from candor.reasoning.ways.tool import ToolWay
from candor.rl.problem import Way

WayMaker = Callable[[bool], Way]  # from whether the model is asked by messages
_MAKERS: dict[str, WayMaker] = {
    **{way.name: way for way in ASKING},
    "tool": lambda chat: ToolWay(chat=chat),
    "free": lambda chat: Free(),
}


def register_way(name: str, maker: WayMaker) -> None:
    """Add a way by name; one of that name that was there is replaced."""
    _MAKERS[name] = maker


def ways_of(names: Sequence[str], *, chat: bool) -> list[Way]:
    """Ways by their names.

    Args:
        names: in the order wanted.
        chat: ask by messages; else by text, for base models.

    Raises:
        InputError: there is no way by a name; the error names the nearest.
    """
    for name in names:
        if name not in _MAKERS:
            raise InputError(
                f"there is no way of asking by the name '{name}'",
                field="ways",
                fix=f"{did_you_mean(name, _MAKERS)}there are {', '.join(_MAKERS)}",
            )
    return [_MAKERS[name](chat) for name in names]
