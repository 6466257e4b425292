"""Tools by name, with the marks that a model's vocabulary has."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from candor.core.errors import CandorError
from candor.tools.calculator import Calculator
from candor.tools.tool import Tool, marks_of

# Each in two spellings: marks that are plain text, and marks that are special tokens.
_SPELLINGS: dict[str, tuple[Tool, Tool]] = {"calculator": (Calculator(), Calculator.by_tokens())}

TOOLS = tuple(_SPELLINGS)


def named_tools(names: Sequence[str], vocabulary: Collection[str] = ()) -> tuple[Tool, ...]:
    """Tools by their names.

    Args:
        names: of `TOOLS`.
        vocabulary: the model's added tokens (`tokenizer.get_added_vocab()`): a tool whose four marks are
            among them is called by these tokens, else by plain text.

    Raises:
        CandorError: there is no such tool.
    """
    found = []
    for name in names:
        if name not in _SPELLINGS:
            raise CandorError(f"there is no tool '{name}'", fix=f"choose from {', '.join(TOOLS)}")
        plain, special = _SPELLINGS[name]
        found.append(special if set(marks_of(special)) <= set(vocabulary) else plain)
    return tuple(found)
