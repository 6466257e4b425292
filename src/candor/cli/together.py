"""Which verbs several processes of torchrun do together; all others say that they are for one."""

from __future__ import annotations

from collections.abc import Sequence

from candor.core.errors import CandorError
from candor.core.processes import processes

_TOGETHER = (
    ("pretrain",),
    ("chat", "tune"),
    ("knowledge", "tune"),
    ("reward", "train"),
    ("rl",),
    ("rlhf",),
)
_INSTEAD = {
    (
        "life",
    ): "start it without torchrun: with --set processes=8 (or `processes = 8` in its recipe) it starts so "
    "many by itself for what they can train together",
    (
        "knowledge",
        "run",
    ): "`candor knowledge questions`, `probe` and `build` without torchrun, then `tune` with it, "
    "and `evaluate` without it",
}


def refuse_torchrun(words: Sequence[str]) -> None:
    """Raise if several processes were started for a verb that is for one.

    Args:
        words: of the command, behind its name.

    Raises:
        CandorError: so it is.
    """
    verbs = {tuple(words[:length]) for length in (1, 2)}
    if processes() == 1 or not words or verbs & set(_TOGETHER) or {"--help", "--version"} & set(words):
        return
    named = " ".join(words[:1] if words[1:2] and words[1].startswith("-") else words[:2])
    instead = [fix for verb, fix in _INSTEAD.items() if verb in verbs]
    together = ", ".join(" ".join(verb) for verb in _TOGETHER)
    raise CandorError(
        f"candor {named} is for one process, and torchrun started {processes()} (they can do {together})",
        fix=instead[0] if instead else "start it without torchrun",
    )
