"""Preferences from files: TRL's layouts, and benchmarks of two outputs with a label.

    {"prompt", "chosen", "rejected"}     texts, or lists of messages; with `margin` and `weight`
    {"chosen", "rejected"}               the prompt is what both begin with
    {"prompt", "completion", "label"}    one completion, and whether it is good
    {"input", "output_1", "output_2", "label", "subset"}    LLMBar (Zeng et al. 2024); label 1 or 2 is better

Texts are raw text and its continuation, as TRL has them; `asked` makes each such prompt a user's message.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import takewhile
from os.path import commonprefix
from pathlib import Path
from typing import Any

from candor.core.errors import InputError
from candor.core.files import read_json_lines
from candor.data.chat_layouts import turns_of
from candor.data.chat_rows import RowError, Where, missing, names_of, string, wrong_type
from candor.data.conversations import PLACEHOLDER, Turn
from candor.data.formats import extension_of
from candor.engine.protocol import Message, Prompt
from candor.rewards.model.pairs import Labelled, Pair, Preference, Preferences, check_kind

_LAYOUTS = (
    "prompt, chosen, rejected; or chosen, rejected; or prompt, completion, label; "
    "or input, output_1, output_2, label"
)


def read_preferences(path: Path | str, *, asked: bool = False) -> Preferences:
    """All preferences of a .jsonl or .jsonl.gz file.

    Args:
        path: the file.
        asked: prompts that are texts are what a user asks, answered through the chat template.

    Raises:
        InputError: the file can't be read, a row is in none of the layouts, rows of pairs and of labelled
            completions are mixed, or there is none; it names the file, the line and the field.
    """
    path = Path(path)
    kind = extension_of(path)
    if kind not in (".jsonl", ".jsonl.gz"):
        raise InputError(
            f"can't read preferences from {kind or 'a file without an extension'}",
            path=path,
            fix="give a .jsonl or .jsonl.gz file",
        )
    found: list[Any] = []
    for line, row in read_json_lines(path):
        one = preference_of(row, Where(path, line), asked=asked)
        if found and type(one) is not type(found[0]):
            kinds = [
                "pairs" if isinstance(each, Pair) else "labelled completions" for each in (found[0], one)
            ]
            raise InputError(
                f"{kinds[1]} after {kinds[0]}: a file holds one of the two",
                path=path,
                line=line,
                fix="put them into files of their own, and train a reward model of each",
            )
        found.append(one)
    if not found:
        raise InputError("there are no rows in it", path=path, fix=f"give each line {_LAYOUTS}")
    check_kind(found)
    return found


def preference_of(row: Mapping[str, Any], where: Where, *, asked: bool = False) -> Preference:
    """One row, whatever its layout.

    Raises:
        RowError: it is in none, or a field is not what it should be.
    """
    present = {name for name, value in row.items() if value is not None}
    if {"output_1", "output_2"} & present:
        return _two_outputs(row, where)
    if "completion" in present or ("label" in row and "chosen" not in present):
        return _labelled(row, where, asked)
    if {"chosen", "rejected"} & present:
        return _pair(row, where, asked)
    raise RowError(
        "unknown layout",
        f"no known layout; this row has {names_of(row)}",
        where,
        None,
        f"give each row {_LAYOUTS}",
    )


def _pair(row: Mapping[str, Any], where: Where, asked: bool) -> Pair:
    for name in ("chosen", "rejected"):
        if row.get(name) is None:
            raise missing(row, name, where, name)
    if row.get("prompt") is not None:
        prompt, chosen = _answered(row, "chosen", where, asked)
        _, rejected = _answered(row, "rejected", where, asked)
    elif isinstance(row["chosen"], list):
        prompt, chosen, rejected = _implicit_turns(row, where)
    else:
        prompt, chosen, rejected = _implicit_text(row, where, asked)
    return Pair(
        prompt,
        chosen,
        rejected,
        weight=_number(row, "weight", where, 1.0, least=0.0),
        margin=_number(row, "margin", where, 0.0),
        group=_text(row, ("subset", "group"), where),
        unit=_text(row, ("unit",), where),
    )


def _labelled(row: Mapping[str, Any], where: Where, asked: bool) -> Labelled:
    prompt, completion = _answered(row, "completion", where, asked)
    label = row.get("label")
    if not isinstance(label, bool):
        raise wrong_type("true or false", label, where, "label")
    weight = _number(row, "weight", where, 1.0, least=0.0)
    return Labelled(
        prompt,
        completion,
        label,
        weight,
        _text(row, ("subset", "group"), where),
        _text(row, ("unit",), where),
    )


def _two_outputs(row: Mapping[str, Any], where: Where) -> Pair:
    texts = []
    for name in ("input", "output_1", "output_2"):
        if row.get(name) is None:
            raise missing(row, name, where, name)
        texts.append(string(row[name], name, where))
    label = row.get("label")
    if isinstance(label, bool) or label not in (1, 2):
        raise RowError(
            "bad label", f"expected 1 or 2, found {label!r}", where, "label", "name the better output"
        )
    better, worse = texts[label], texts[3 - label]
    return Pair(_user(texts[0]), better, worse, group=_text(row, ("subset",), where))


def _answered(row: Mapping[str, Any], field: str, where: Where, asked: bool) -> tuple[Prompt, str]:
    """A prompt that is a field of its own, and a completion of it."""
    for name in ("prompt", field):
        if row.get(name) is None:
            raise missing(row, name, where, name)
    if not isinstance(row["prompt"], list):
        text = string(row["prompt"], "prompt", where)
        if not text.strip():
            raise RowError("empty prompt", "is empty", where, "prompt", "write what is asked")
        return (_user(text) if asked else text), string(row[field], field, where)
    if not isinstance(row[field], list):
        raise wrong_type("a list of messages, as the prompt is one", row[field], where, field)
    turns = turns_of(_filled(row, field), ("prompt", field), where)
    _need_reply(turns[:-1], len(row["prompt"]), field, where)
    return _messages(turns[:-1]), _words(turns)


def _implicit_turns(row: Mapping[str, Any], where: Where) -> tuple[Prompt, str, str]:
    """The prompt is what two conversations have in common; each goes on with one assistant turn."""
    if not isinstance(row["rejected"], list):
        raise wrong_type("a list of messages, as chosen is one", row["rejected"], where, "rejected")
    chosen, rejected = (turns_of(_filled(row, name), (name,), where) for name in ("chosen", "rejected"))
    common = sum(1 for _ in takewhile(lambda two: two[0] == two[1], zip(chosen, rejected, strict=False)))
    same = chosen == rejected  # counted, and told, with all others that teach nothing
    shared = len(chosen) - 1 if same else common
    for name, turns in (("chosen", chosen), ("rejected", rejected)):
        _need_reply(turns[:-1], shared, name, where)
    return _messages(chosen[:-1]), _words(chosen), _words(rejected)


def _filled(row: Mapping[str, Any], field: str) -> Mapping[str, Any]:
    """The row with something in a last message that is blank: such rows are counted, and are no error."""
    turns = row[field]
    last = turns[-1] if turns else None
    if not isinstance(last, Mapping) or not isinstance(last.get("content"), str) or last["content"].strip():
        return row
    return {**row, field: [*turns[:-1], {**last, "content": PLACEHOLDER}]}


def _words(turns: tuple[Turn, ...]) -> str:
    last = turns[-1].content
    return "" if last == PLACEHOLDER else last


def _need_reply(before: tuple[Turn, ...], shared: int, field: str, where: Where) -> None:
    """See that exactly one turn follows the prompt, and that there is a prompt."""
    if len(before) != shared or not before:
        raise RowError(
            "more than a reply",
            "expected one assistant turn behind the prompt"
            + ("" if before else ", and there is no prompt")
            + (f", found {len(before) + 1 - shared}" if before else ""),
            where,
            field,
            "end both conversations with the replies that are compared, after the same turns",
        )


def _implicit_text(row: Mapping[str, Any], where: Where, asked: bool) -> tuple[Prompt, str, str]:
    """The prompt is what two texts begin with, up to where a word begins."""
    chosen, rejected = (string(row[name], name, where) for name in ("chosen", "rejected"))
    common = commonprefix([chosen, rejected])  # noqa: RUF071 (of texts)
    if len(common) == max(len(chosen), len(rejected)):
        end = common.rstrip().rfind(" ")  # the same text: a pair to be counted and left out
    else:
        # A border within a word would leave half of it to each completion.
        ends = [at for at, letter in enumerate(common) if letter.isspace()]
        end = ends[-1] if ends else 0
    if end <= 0:
        raise RowError(
            "no prompt",
            "chosen and rejected begin with no common text that could be the prompt",
            where,
            "chosen",
            'give the row a "prompt", and leave it out of chosen and rejected',
        )
    prompt = common[:end]
    return (_user(prompt) if asked else prompt), chosen[end:], rejected[end:]


def _user(text: str) -> Prompt:
    return ({"role": "user", "content": text},)


def _messages(turns: tuple[Turn, ...]) -> Prompt:
    return tuple(Message(role=turn.role, content=turn.content) for turn in turns)


def _number(
    row: Mapping[str, Any], name: str, where: Where, absent: float, *, least: float = float("-inf")
) -> float:
    value = row.get(name)
    if value is None:
        return absent
    fine = isinstance(value, int | float) and not isinstance(value, bool)
    if not fine or not least <= value < float("inf") or value == float("-inf"):
        wanted = "a finite number" + (" that is not negative" if least == 0 else "")
        raise RowError("bad number", f"expected {wanted}, found {value!r}", where, name, f"write {wanted}")
    return float(value)


def _text(row: Mapping[str, Any], names: Sequence[str], where: Where) -> str:
    for name in names:
        if row.get(name) is not None:
            return string(row[name], name, where)
    return ""


def row_of(one: Preference) -> dict[str, Any]:
    """The row that reads back as this preference, in TRL's layouts."""
    talked = not isinstance(one.prompt, str)

    def said(text: str) -> Any:
        return [{"role": "assistant", "content": text}] if talked else text

    row: dict[str, Any] = {"prompt": list(one.prompt) if talked else one.prompt}
    if isinstance(one, Pair):
        row |= {"chosen": said(one.chosen), "rejected": said(one.rejected), "margin": one.margin}
    else:
        row |= {"completion": said(one.completion), "label": one.label}
    return {**row, "weight": one.weight, "group": one.group, "unit": one.unit}
