"""Gold labels of replies: computed by a function or a reward model, or written by someone into a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from candor.core.errors import CandorError, InputError
from candor.core.files import read_json_lines, write_jsonl
from candor.rewards.replies import Replies
from candor.rewards.rlhf.prompts import PromptSet
from candor.rewards.rlhf.proxy import scorer_of
from candor.rl.problem import Problem
from candor.rl.reward import sample_of

Floats = NDArray[np.float64]

_LIMIT = 1 << 20  # tokens that a reply might have, as far as a function of its text can tell


def gold_of(spec: str, prompts: PromptSet, problems: Sequence[Problem], texts: Sequence[str]) -> Floats:
    """The true reward of each reply, [n].

    Args:
        spec: `path.py:function`, as rewards of RL are named, or a reward model's folder.
        prompts: the problems' prompts.
        problems, texts: replies and what they are to.

    Raises:
        CandorError: as `scorer_of`.
    """
    samples = [
        sample_of(prompts, prompts, problem, text, tokens=len(text.split()), limit=_LIMIT)
        for problem, text in zip(problems, texts, strict=True)
    ]
    return np.asarray(scorer_of(spec, prompts).score(samples), np.float64)


def labels_by_hand(file: Path, wanted: Replies) -> Floats | None:
    """Labels that someone wrote into the file, [n], NaN where there is none; None if there are none at all.

    The file is written, with `gold` null in each row, where it is not there yet.

    Raises:
        InputError: a label is no number, or a row is not the one that was written; it names file and line.
    """
    problems, texts = wanted.flat()
    if not file.exists():
        rows = zip(problems, texts, strict=True)
        write_jsonl(file, [{"prompt": one.question, "completion": text, "gold": None} for one, text in rows])
    gold = np.full(len(texts), np.nan)
    for line, row in read_json_lines(file):
        value = row.get("gold")
        number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < np.inf
        if value is not None and not number:
            raise InputError(
                f"expected a finite number, found {value!r}",
                path=file,
                line=line,
                field="gold",
                fix="write how good the completion is, as a number, or null where you can't say",
            )
        if line > len(texts) or row.get("completion") != texts[line - 1]:
            raise InputError(
                "is not the completion that was written here",
                path=file,
                line=line,
                field="completion",
                fix="keep the file's rows and their order, and change `gold` alone",
            )
        gold[line - 1] = np.nan if value is None else value
    return gold if np.isfinite(gold).any() else None


def no_labels(file: Path, regularizer: str, count: int) -> CandorError:
    """What is said where a regulariser needs labels that nobody has written yet."""
    return CandorError(
        f"the weight of {regularizer} is found from gold labels, and there are none yet",
        fix=f"write how good each completion is into the field `gold` of {file} ({count} rows), and run the "
        "same command again; or give --gold path.py:function, or --weight",
    )
