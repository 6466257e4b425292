"""A base checkpoint in, the same model with chat tokens and a template out."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from candor.chat.template import chat_format
from candor.core.errors import CandorError
from candor.core.files import read_json, write_json
from candor.model.load import load_model, load_tokenizer, resolve, save_checkpoint
from candor.model.tokens import AddedTokens, Init, add_tokens, end_with
from candor.model.untrained import untrained_rows

NOTES = "chat_tokens.json"  # beside the checkpoint: which rows are new


@dataclass(frozen=True)
class Chatting:
    """A checkpoint with a chat format."""

    added: AddedTokens
    end: str
    replaced: bool  # whether the model had another template before
    untrained: tuple[str, ...]  # tokens that were there, but whose rows look as if nothing had trained them


def add_chat_tokens(
    spec: str,
    out: Path,
    *,
    template: str = "chatml",
    init: Init = "described",
    extra: tuple[str, ...] = (),
    reserved: bool = True,
    seed: int = 0,
) -> Chatting:
    """Load a model, give it a chat format, and save it as an ordinary checkpoint.

    Args:
        spec: the model (see `model.load.resolve`).
        out: a folder that is not there yet.
        template: `chatml`, or a Jinja file.
        init: see `model.tokens`.
        extra: special tokens that the template's text does not show.
        reserved: rename tokens in reserve before making new rows.
        seed: of `noise`.

    Raises:
        CandorError: `out` exists, or the model or the template can't be used.
    """
    if out.exists():
        raise CandorError(f"{out} is there already", fix="choose another --out, or delete it")
    tokenizer = load_tokenizer(spec)
    form = chat_format(template, tokenizer, extra)
    model = load_model(spec, dtype="auto", device="cpu")
    replaced = tokenizer.chat_template not in (None, form.template)
    rows = untrained_rows(model, tokenizer)
    added = add_tokens(model, tokenizer, form.tokens, init=init, reserved=reserved, seed=seed)
    tokenizer.chat_template = form.template
    end_with(model, tokenizer, form.end)
    save_checkpoint(model, tokenizer, out)
    # Tokens that were only just added are still untrained if more are added now.
    never = {*rows.known, *rows.found, *new_rows(Path(resolve(spec)))}
    idle = {text: number for text, number in added.present.items() if number in never}
    notes: dict[str, Any] = {"model": spec, "init": init, "end": form.end, "untrained": idle, **asdict(added)}
    write_json(out / NOTES, notes)
    return Chatting(added, form.end, replaced, tuple(idle))


def new_rows(checkpoint: Path) -> set[int]:
    """Rows of a checkpoint that nothing has trained yet, as far as `add_chat_tokens` noted."""
    if not (checkpoint / NOTES).is_file():
        return set()
    found = read_json(checkpoint / NOTES)
    kinds = ("renamed", "appended", "untrained")
    return {int(number) for kind in kinds for number in found.get(kind, {}).values()}
