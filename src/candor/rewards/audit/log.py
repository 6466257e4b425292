"""The log that is audited: JSON Lines, a completion each, drawn by the reference or by the policy.

    {"prompt": "…", "source": "policy", "proxy": 1.3, "gold": 0.2, "logp_policy": -31, "logp_reference": -40}

Both log-probabilities are of the whole completion, natural, of the tokens that were drawn, at the temperature
and without the truncation that they were drawn with. `gold` may be missing, on both sides or on one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from candor.core.errors import InputError
from candor.core.files import read_jsonl

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

# A sum of float32 log-probabilities that are all 0 may come out a little above.
ROUNDING = 1e-3

_FIXES = {
    "logp_policy": "log the sum over the drawn tokens of log-probabilities under the policy, at most 0",
    "logp_reference": "log the sum over the same tokens of log-probabilities under the reference, at most 0",
    "proxy": "log the reward that the policy was trained on, a finite number for each completion",
    "gold": "log a finite number, or leave `gold` out where there is none",
    "source": 'write "reference" or "policy": which of the two drew the completion',
    "prompt": "log the prompt, or an id of it that is the same on both sides",
    "top_p": "a number above 0 and at most 1",
    "top_k": "a whole number; 0 or -1 where all tokens could be drawn",
    "min_p": "a number of at least 0 and below 1",
    "temperature": "a number above 0",
}


def _no_text(value: Any) -> Any:
    """A number in quotes may be one with a decimal comma, or the number of something else."""
    if isinstance(value, str):
        raise ValueError(f"expected a number, found the text {value!r:.40}")  # noqa: TRY004 (pydantic's)
    return value


Number = Annotated[float, BeforeValidator(_no_text)]
LogProbability = Annotated[Number, Field(le=ROUNDING)]


class Entry(BaseModel):
    """One line of a log; further fields are left alone."""

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)

    prompt: str | int
    source: Literal["reference", "policy"]
    proxy: Number
    gold: Number | None = None
    logp_policy: LogProbability
    logp_reference: LogProbability
    completion: str | None = None
    tokens_policy: int | tuple[int, ...] | None = None  # how many, or which
    tokens_reference: int | tuple[int, ...] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=-1)] | None = None  # 0 and -1: of all tokens
    min_p: Annotated[float, Field(ge=0, lt=1)] | None = None
    temperature: Annotated[float, Field(gt=0)] | None = None

    @property
    def truncated(self) -> bool:
        """Whether it says that unlikely tokens could not be drawn."""
        return (self.top_p or 1.0) < 1 or (self.top_k or 0) > 0 or (self.min_p or 0.0) > 0


@dataclass(frozen=True)
class Log:
    """A log as columns, [completions].

    Attributes:
        prompt: a number for each prompt, 0 to `prompts` - 1.
        policy: whether the policy drew it (else the reference).
        proxy, gold: rewards; NaN where there is no gold.
        log_ratio: log ρ = log π - log π₀.
        logp_own: log-probability under whatever drew it.
        text: the completion, or what stands for it where it was not logged.
        truncated: whether the log says that it was drawn with top_p, top_k or min_p.
        temperatures: those that the log names, of the reference's and of the policy's completions.
    """

    prompt: NDArray[np.int64]
    policy: Bools
    proxy: Floats
    gold: Floats
    log_ratio: Floats
    logp_own: Floats
    text: tuple[str, ...]
    truncated: Bools
    temperatures: tuple[frozenset[float], frozenset[float]]
    names: tuple[str, ...] = field(default=())

    @property
    def prompts(self) -> int:
        """How many there are."""
        return int(self.prompt.max()) + 1

    def of(self, *, policy: bool) -> Bools:
        """Where the policy, or the reference, drew the completion."""
        return self.policy if policy else ~self.policy

    @property
    def shared(self) -> Bools:
        """Whether a prompt has completions of both, [prompts]."""
        sides = (self.prompt[self.of(policy=policy)] for policy in (False, True))
        both = [np.bincount(side, minlength=self.prompts) > 0 for side in sides]
        return both[0] & both[1]


def read_log(path: Path | str) -> Log:
    """Read a log, `.jsonl` or `.jsonl.gz`.

    Raises:
        InputError: it can't be read, a line is not as described (the message names line and field), or as a
            whole it can't be audited (see `as_log`).
    """
    try:
        entries = read_jsonl(path, Entry)
    except InputError as error:
        name = (error.field or "").partition(".")[0]
        if name not in _FIXES:
            raise
        message = error.message.partition(": ")[2].partition(": ")[2] or error.message
        raise InputError(
            message.removeprefix("Value error, "), path=path, line=error.line, field=name, fix=_FIXES[name]
        ) from error
    return as_log(entries, path)


def as_log(entries: Sequence[Entry], path: Path | str | None = None) -> Log:
    """Columns of entries.

    Args:
        entries: in any order.
        path: for errors; the entries are taken to be its lines.

    Raises:
        InputError: there are none, those of one side are missing, no prompt has completions of both sides,
            the log-probabilities are of different tokens, or a reward never varies.
    """
    if not entries:
        raise InputError("has no lines", path=path, fix="log completions of the reference and of the policy")
    for line, entry in enumerate(entries, start=1):
        _same_tokens(entry, path, line)
    codes = {name: code for code, name in enumerate(dict.fromkeys(str(entry.prompt) for entry in entries))}
    policy = np.array([entry.source == "policy" for entry in entries])
    found = Log(
        prompt=np.array([codes[str(entry.prompt)] for entry in entries], dtype=np.int64),
        policy=policy,
        proxy=np.array([entry.proxy for entry in entries]),
        gold=np.array([np.nan if entry.gold is None else entry.gold for entry in entries]),
        log_ratio=np.array([entry.logp_policy - entry.logp_reference for entry in entries]),
        logp_own=np.array(
            [e.logp_policy if e.source == "policy" else e.logp_reference for e in entries], dtype=np.float64
        ),
        text=tuple(
            f"{e.logp_policy} {e.logp_reference}" if e.completion is None else e.completion for e in entries
        ),
        truncated=np.array([entry.truncated for entry in entries]),
        temperatures=tuple(  # type: ignore[arg-type]
            frozenset(e.temperature for e in entries if e.temperature is not None and e.source == side)
            for side in ("reference", "policy")
        ),
        names=tuple(codes),
    )
    _need_both_sides(found, path)
    for name, values in (("proxy", found.proxy), ("gold", found.gold)):
        of_reference = values[~policy & np.isfinite(values)]
        if len(of_reference) > 1 and np.ptp(of_reference) == 0:
            raise InputError(
                f"is {of_reference[0]:g} for all {len(of_reference)} completions of the reference: nothing "
                "can be correlated with it",
                path=path,
                field=name,
                fix="log a reward that varies; if this one is right, there is nothing to audit",
            )
    return found


def _same_tokens(entry: Entry, path: Path | str | None, line: int) -> None:
    ours, theirs = entry.tokens_policy, entry.tokens_reference
    if ours is None or theirs is None:
        return
    if not isinstance(ours, int) and not isinstance(theirs, int):
        same, shown = ours == theirs, "other tokens"
    else:
        ours, theirs = (value if isinstance(value, int) else len(value) for value in (ours, theirs))
        same, shown = ours == theirs, f"{theirs} tokens and not {ours}"
    if not same:
        raise InputError(
            f"the reference's log-probability is of {shown}: the two don't share a tokenisation",
            path=path,
            line=line,
            field="tokens_reference",
            fix="score the very token ids that were drawn under both models, which have to share a tokenizer",
        )


def _need_both_sides(log: Log, path: Path | str | None) -> None:
    for policy, name in ((True, "policy"), (False, "reference")):
        if not log.of(policy=policy).any():
            raise InputError(
                f"has no completions of the {name}: all {len(log.proxy)} lines are of the other side",
                path=path,
                field="source",
                fix=f'add completions that the {name} drew, with source "{name}" and both log-probabilities',
            )
    if not log.shared.any():
        raise InputError(
            f"none of {log.prompts} prompts has completions of both the reference and the policy",
            path=path,
            field="prompt",
            fix="draw from both for the same prompts, and log each prompt, or its id, alike on both sides",
        )
