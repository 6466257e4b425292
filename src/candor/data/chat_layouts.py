"""One row of a chat data set becomes a conversation: four layouts, one set of rules, errors with a fix.

`messages` (OpenAI, TRL): a list of turns with `role` and `content`. `sharegpt`: the list is called
`conversations` and the turns have `from` and `value`; either pair of names is read in either list, since both
mixtures are common. `alpaca`: `instruction`, maybe `input`, and `output`, with LLaMA-Factory's `system` and
`history`. `completion` (TRL): `prompt` and `completion`, each a text or a list of messages.

What a row says besides its turns:

- `system` beside any layout's fields is the first turn.
- `weight` beside `messages` is the conversation's, as in Candor's own files.
- `tool_calls`, `function_call`, and an assistant turn marked as not to be learned (`"weight": 0`,
  `"train": false`) are refused: what the model writes there is not in the turn's text, or is not to be
  written, and to learn from the rest as if nothing were missing would teach something else.
- `tool_call_id`, `name`, `reasoning_content`, `tools` and all others are ignored: they are no words of a
  turn.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from candor.data.chat_rows import RowError, Where, missing, names_of, shown, string, words, wrong_type
from candor.data.conversations import Conversation, Turn

Role = Literal["system", "user", "assistant", "tool"]
Layout = Literal["auto", "messages", "sharegpt", "alpaca", "completion"]

# The fields that a row of each layout has, in the order in which layouts are looked for.
LAYOUTS: dict[Layout, tuple[str, ...]] = {
    "messages": ("messages",),
    "sharegpt": ("conversations",),
    "completion": ("prompt", "completion"),
    "alpaca": ("instruction", "output"),
}
# LLaMA-Factory's `function_call` is a turn in which the model writes a call, so it is the assistant's.
ROLES: dict[str, Role] = {
    **dict.fromkeys(("system", "developer"), "system"),
    **dict.fromkeys(("user", "human"), "user"),
    **dict.fromkeys(
        ("assistant", "gpt", "chatgpt", "model", "bot", "bard", "bing", "function_call"), "assistant"
    ),
    **dict.fromkeys(
        ("tool", "function", "observation", "tool_response", "function_response", "ipython"), "tool"
    ),
}
# Names that question and answer often have in rows of no layout, for a fix that can be copied.
_PAIRS = (
    ("question", "answer"),
    ("question", "response"),
    ("query", "response"),
    ("query", "answer"),
    ("instruction", "response"),
    ("instruction", "completion"),
    ("prompt", "response"),
    ("prompt", "output"),
    ("input", "output"),
)
# Which roles may follow which; None is the beginning. Several tools may answer one turn.
_NEXT: dict[Role | None, tuple[Role, ...]] = {
    None: ("system", "user"),
    "system": ("user",),
    "user": ("assistant",),
    "assistant": ("user", "tool"),
    "tool": ("assistant", "tool"),
}


class _Said(NamedTuple):
    """A turn, and the field that it came from."""

    field: str
    role: Role
    content: str


def conversation_of(row: Mapping[str, Any], where: Where, layout: Layout = "auto") -> Conversation:
    """Turn a row into a conversation.

    Texts stay as they are. Alpaca's `input` follows its `instruction` after a blank line; a blank one is left
    out. Turns after the last assistant turn may stand there; nothing is learned from them.

    Args:
        row: its fields; null ones count as absent.
        where: for errors.
        layout: `auto` goes by the row's fields.

    Raises:
        RowError: the layout is unknown; there are no turns, an empty one, a role that is unknown or in the
            wrong place, or no assistant turn; or something is not text.
    """
    if layout == "auto":
        layout = _layout_of(row, where)
    said = list(_with_system(row, _READ[layout](row, where), where))
    _check_order(said, where)
    weight = _weight(row, where) if layout == "messages" else 1.0
    turns = tuple(Turn(role=turn.role, content=turn.content) for turn in said)
    return Conversation(messages=turns, weight=weight)


def turns_of(row: Mapping[str, Any], fields: Sequence[str], where: Where) -> tuple[Turn, ...]:
    """Lists of turns under several names as one conversation, which one after the other they are to make.

    Raises:
        RowError: as `conversation_of`.
    """
    said = [turn for field in fields for turn in _turns(row, field, where)]
    _check_order(said, where)
    return tuple(Turn(role=turn.role, content=turn.content) for turn in said)


def _layout_of(row: Mapping[str, Any], where: Where) -> Layout:
    # First by what is filled in: tables of several layouts have all columns in every row.
    for has in (lambda field: row.get(field) is not None, lambda field: field in row):
        for layout, fields in LAYOUTS.items():
            if all(map(has, fields)):
                return layout
    known = ", ".join(f"{layout} ({', '.join(fields)})" for layout, fields in LAYOUTS.items())
    fix = f"layouts, and what their rows have, are: {known}"
    pair = next(((a, b) for a, b in _PAIRS if row.get(a) is not None and row.get(b) is not None), None)
    if pair is not None:
        fix += f"; to rename these fields: jq -c '{{prompt: .{pair[0]}, completion: .{pair[1]}}}'"
    raise RowError("unknown layout", f"no known layout; this row has {names_of(row)}", where, None, fix)


def _messages(row: Mapping[str, Any], where: Where) -> Iterator[_Said]:
    return _turns(row, "messages", where)


def _sharegpt(row: Mapping[str, Any], where: Where) -> Iterator[_Said]:
    return _turns(row, "conversations", where)


def _completion(row: Mapping[str, Any], where: Where) -> Iterator[_Said]:
    for field, role in (("prompt", "user"), ("completion", "assistant")):
        if isinstance(row.get(field), list):
            yield from _turns(row, field, where)
        else:
            yield _Said(field, ROLES[role], words(row, field, field, where))


def _alpaca(row: Mapping[str, Any], where: Where) -> Iterator[_Said]:
    history = row.get("history") or ()
    if not isinstance(history, list | tuple):
        raise wrong_type("a list of [question, answer] pairs", history, where, "history")
    for number, pair in enumerate(history):
        field = f"history[{number}]"
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise wrong_type("a list of two strings", pair, where, field)
        for place, role in enumerate(("user", "assistant")):
            yield _Said(f"{field}[{place}]", ROLES[role], words(pair, place, f"{field}[{place}]", where))
    asked = words(row, "instruction", "instruction", where)
    if row.get("input") is not None:
        given = string(row["input"], "input", where)
        asked = f"{asked}\n\n{given}" if given.strip() else asked
    yield _Said("instruction", "user", asked)
    yield _Said("output", "assistant", words(row, "output", "output", where))


_READ = {"messages": _messages, "sharegpt": _sharegpt, "completion": _completion, "alpaca": _alpaca}


def _turns(row: Mapping[str, Any], field: str, where: Where) -> Iterator[_Said]:
    turns = row.get(field)
    if turns is None and field not in row:
        raise missing(row, field, where, field)
    if not isinstance(turns, list | tuple):
        raise wrong_type("a list of turns", turns, where, field)
    if not turns:
        raise RowError("no turns", "there are no turns in it", where, field, "remove the row")
    for number, turn in enumerate(turns):
        yield _turn(turn, f"{field}[{number}]", where)


def _turn(turn: Any, field: str, where: Where) -> _Said:
    if not isinstance(turn, Mapping):
        raise wrong_type('an object such as {"role": "user", "content": "…"}', turn, where, field)
    who, what = (
        next((name for name in names if turn.get(name) is not None), names[0])
        for names in (("role", "from"), ("content", "value"))
    )
    written = string(turn[who], f"{field}.{who}", where) if who in turn else None
    if written is None:
        raise missing(turn, "role", where, f"{field}.role")
    role = ROLES.get(written.strip().lower())
    if role is None:
        raise RowError(
            "unknown role",
            f"{shown(written)} is no role; there are {', '.join(ROLES)}",
            where,
            f"{field}.{who}",
            "use one of these roles",
        )
    _refuse_unsaid(turn, role, field, where)
    return _Said(f"{field}.{what}", role, words(turn, what, f"{field}.{what}", where))


def _refuse_unsaid(turn: Mapping[str, Any], role: Role, field: str, where: Where) -> None:
    """Refuse what the model writes outside of the text, and turns that it is not to learn."""
    for name in ("tool_calls", "function_call"):
        if turn.get(name):
            raise RowError(
                "tool calls",
                "calls of tools that are not in the turn's text can't be learned",
                where,
                f"{field}.{name}",
                "write the call into the content, as the model is to write it, or leave the row out",
            )
    for name, off in (("weight", 0), ("train", False)):
        value = turn.get(name)
        if role == "assistant" and isinstance(value, int | float) and value == off:
            raise RowError(
                "turn not to be learned",
                "an assistant turn can't be left out of what is learned: every one is",
                where,
                f"{field}.{name}",
                "end the conversation before this turn, or leave the row out",
            )


def _with_system(row: Mapping[str, Any], said: Iterable[_Said], where: Where) -> Iterator[_Said]:
    """The turns, after what stands in the row's own `system`."""
    beside = row.get("system")
    text = "" if beside is None else string(beside, "system", where)
    first = True
    for turn in said:
        if first and text.strip():
            if turn.role != "system":
                yield _Said("system", "system", text)
            elif turn.content != text:
                raise RowError(
                    "two system turns",
                    f"another one stands in '{turn.field}'",
                    where,
                    "system",
                    "keep one of the two",
                )
        first = False
        yield turn


def _check_order(said: list[_Said], where: Where) -> None:
    before: Role | None = None
    for turn in said:
        if turn.role not in _NEXT[before]:
            raise _wrong_order(turn, before, where)
        before = turn.role
    if not any(turn.role == "assistant" for turn in said):
        raise RowError(
            "no assistant turn",
            "there is no assistant turn, so there is nothing to learn from",
            where,
            said[-1].field,
            "add the answer, or remove the row",
        )


def _wrong_order(turn: _Said, before: Role | None, where: Where) -> RowError:
    if turn.role == "system":
        fix = "a system turn comes first and once: join it with the first, or with a user's"
    elif before is None:
        fix = "begin with what the user says; what comes before can be a system turn"
    elif turn.role == before:
        fix = f"join what the {before} says in a row into one turn"
    elif turn.role == "tool":
        fix = "a tool's result comes after the assistant turn that asked for it"
    else:
        fix = "add the turn that is missing, or remove the row"
    place = "at the beginning" if before is None else f"after {before}"
    return RowError(
        "wrong order of roles",
        f"expected {' or '.join(_NEXT[before])} {place}, found {turn.role}",
        where,
        turn.field,
        fix,
    )


def _weight(row: Mapping[str, Any], where: Where) -> float:
    value = row.get("weight")
    if value is None:
        return 1.0
    try:
        number = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else -1.0
    except OverflowError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise RowError(
            "bad weight",
            "expected a finite number that is not negative",
            where,
            "weight",
            "write 1 for an ordinary conversation, or remove the field",
        )
    return number
