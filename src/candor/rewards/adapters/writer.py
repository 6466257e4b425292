"""Write an audit log from any trainer.

with AuditLog("log.jsonl") as log:
    log.add(prompts, "policy", rewards, logp_policy, logp_reference, completions=texts)
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from candor.core.errors import InputError, unwritable
from candor.rewards.audit.log import ROUNDING


class AuditLog:
    """A file of JSON Lines that grows; each call of `add` is on disk when it returns.

    Args:
        path: a new file, or one to go on with.

    Raises:
        CandorError: it can't be written.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("a", encoding="utf-8")
        except OSError as error:
            raise unwritable(error, path) or error from error

    def add(
        self,
        prompts: Sequence[str],
        source: Literal["reference", "policy"],
        proxy: ArrayLike,
        logp_policy: ArrayLike,
        logp_reference: ArrayLike,
        *,
        gold: ArrayLike | None = None,
        completions: Sequence[str] | None = None,
        **fields: Any,
    ) -> None:
        """Append completions.

        Args:
            prompts: the prompt of each, or an id of it.
            source: who drew them.
            proxy: the reward that is trained on, [n]; those that are NaN are left out.
            logp_policy, logp_reference: log-probability of each whole completion, [n].
            gold: the true reward, [n]; NaN: none.
            completions: their texts.
            fields: the same for all: `temperature`, `top_p`, a `step`.

        Raises:
            InputError: the columns differ in length, a log-probability is NaN, infinite or above 0, or a
                reward is infinite. Nothing of the call is written then.
        """
        columns: dict[str, Any] = {"prompt": list(prompts), "proxy": self._rewards("proxy", proxy)}
        columns |= {
            "logp_policy": self._logprobs("logp_policy", logp_policy),
            "logp_reference": self._logprobs("logp_reference", logp_reference),
        }
        if gold is not None:
            columns["gold"] = [None if np.isnan(value) else value for value in self._rewards("gold", gold)]
        if completions is not None:
            columns["completion"] = list(completions)
        if len({len(column) for column in columns.values()}) > 1:
            lengths = ", ".join(f"{name} {len(column)}" for name, column in columns.items())
            raise InputError(
                f"columns differ in length: {lengths}", path=self.path, fix="give one value a completion"
            )
        for row in zip(*columns.values(), strict=True):
            entry = {**dict(zip(columns, row, strict=True)), "source": source, **fields}
            if not np.isnan(entry["proxy"]):
                self._file.write(json.dumps(entry, ensure_ascii=False) + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def _logprobs(self, name: str, values: ArrayLike) -> list[float]:
        found = _numbers(values)
        bad = [value for value in found if not -np.inf < value <= ROUNDING]
        if bad:
            raise InputError(
                f"{len(bad)} of {len(found)} are no log-probabilities, the first is {bad[0]:g}",
                path=self.path,
                field=name,
                fix="sum log-probabilities over the drawn tokens: finite numbers of at most 0",
            )
        return [min(0.0, value) for value in found]

    def _rewards(self, name: str, values: ArrayLike) -> list[float]:
        found = _numbers(values)
        if np.isinf(found).any():
            raise InputError(
                f"{int(np.isinf(found).sum())} of {len(found)} rewards are infinite",
                path=self.path,
                field=name,
                fix="give finite numbers, or NaN where there is no reward",
            )
        return found

    def close(self) -> None:
        """End the file."""
        self._file.close()

    def __enter__(self) -> AuditLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _numbers(values: ArrayLike) -> list[float]:
    return [float(value) for value in np.asarray(values, dtype=np.float64).ravel()]
