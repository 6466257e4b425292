"""Several reward models of one question: what they agree on, and how to be careful where they don't.

Optimising one reward model finds its mistakes. Members that differ in the order of their data, and in their
heads' first values, make different ones (Coste et al. 2024):

    mean          the mean of the members' rewards
    worst         their minimum
    uncertainty   mean - c · variance over the members
    averaged      one model with the mean of the members' weights (Ramé et al. 2024), at the price of one
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, cast, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from candor.core.errors import CandorError, did_you_mean
from candor.engine.protocol import Prompt
from candor.rewards.model.checkpoint import need_reward, read_reward
from candor.rewards.model.scorer import RewardModel

Combination = Literal["mean", "worst", "uncertainty"]
# How an ensemble's folder names its parts.
MEMBERS, AVERAGED = "members", "checkpoint"


class EnsembleReward:
    """Several reward models as one.

    Args:
        models: the members.
        combine: how their rewards become one.
        caution: c of `uncertainty`, in 1 / units of the reward.
    """

    def __init__(
        self, models: Sequence[RewardModel], *, combine: Combination = "mean", caution: float = 1.0
    ) -> None:
        if not models:
            raise ValueError("an ensemble needs at least one member")
        self.models, self.caution = list(models), caution
        self.combine: Combination = combine

    def score_members(self, prompts: Sequence[Prompt], completions: Sequence[str]) -> NDArray[np.float64]:
        """Each member's reward of each completion, [members, n]; raises as `RewardModel.score`."""
        return np.stack([model.score(prompts, completions) for model in self.models])

    def score(self, prompts: Sequence[Prompt], completions: Sequence[str]) -> NDArray[np.float64]:
        """The combined reward of each completion, [n]; raises as `RewardModel.score`."""
        return combined(self.score_members(prompts, completions), self.combine, caution=self.caution)


def combined(
    rewards_MN: NDArray[np.float64], how: Combination, *, caution: float = 1.0
) -> NDArray[np.float64]:
    """One reward of each completion, [n], from those of the members, [members, n]."""
    if how == "worst":
        return rewards_MN.min(axis=0)
    mean = rewards_MN.mean(axis=0)
    return mean if how == "mean" else mean - caution * rewards_MN.var(axis=0)


def averaged(models: Sequence[RewardModel], name: str = "averaged") -> RewardModel:
    """One reward model with the mean of the members' weights, in float32 on the way.

    Means of weights make sense of members that began alike: the same model, and the same first values of the
    head (`RewardSettings.head_seed`).

    Raises:
        CandorError: the members are not of one shape.
    """
    first = models[0]
    whole = copy.deepcopy(first.model)
    parts = [dict(one.model.named_parameters()) for one in models]
    with torch.no_grad():
        for key, parameter in whole.named_parameters():
            if any(key not in part or part[key].shape != parameter.shape for part in parts):
                raise CandorError(
                    f"members of different shape can't be averaged ({key})",
                    fix="average members that were trained from one model",
                )
            total = torch.zeros_like(parameter, dtype=torch.float32)
            for part in parts:
                total += part[key].float()
            parameter.copy_(total / len(parts))
    head = torch.stack([one.head for one in models]).mean(0)
    return RewardModel(whole, first.tokenizer, head, name=name)


def members(path: Path | str, **how: Any) -> list[RewardModel]:
    """The members of an ensemble's run folder; of any other checkpoint that one model.

    Args:
        path: a run folder of `candor reward train`, or a checkpoint.
        how: as for `read_reward`.

    Raises:
        CandorError: as `read_reward`.
    """
    folders = member_folders(Path(path))
    return [read_reward(str(folder), **how) for folder in folders] or [read_reward(str(path), **how)]


def load_reward(
    path: Path | str,
    *,
    combine: Combination | Literal["averaged"] | None = None,
    caution: float = 1.0,
    **how: Any,
) -> RewardModel | EnsembleReward:
    """A reward model by the folder of its run or of its checkpoint.

    Args:
        path: a run folder of `candor reward train`, a checkpoint of any sequence classification with one
            label, or a hub id.
        combine: of an ensemble: `mean` (the default), `worst`, `uncertainty`, or `averaged`, the one model
            with the mean of the members' weights that `--averaged` made.
        caution: c of `uncertainty`.
        how: as for `read_reward` (dtype, device, trust_remote_code).

    Raises:
        CandorError: as `read_reward`; the combination is unknown, or asked of what is no ensemble.
    """
    ensemble = [read_reward(spec, **how) for spec in _parts(path, combine)]
    if not member_folders(Path(path)) or combine == "averaged":
        return ensemble[0]
    return EnsembleReward(ensemble, combine=cast("Combination", combine or "mean"), caution=caution)


def need_rewards(path: Path | str, combine: str | None = None, *, trust_remote_code: bool = False) -> None:
    """See, without reading any weights, that `load_reward` will find what it needs; raises as it does."""
    for spec in _parts(path, combine):
        need_reward(spec, trust_remote_code=trust_remote_code)


def _parts(path: Path | str, combine: str | None) -> list[str]:
    """The checkpoints that a reward by this path and combination is made of."""
    known = (*get_args(Combination), "averaged")
    if combine is not None and combine not in known:
        raise CandorError(
            f"no combination by the name '{combine}'",
            fix=f"{did_you_mean(combine, known)}there are: {', '.join(known)}",
        )
    folders = member_folders(Path(path))
    if combine == "averaged" and folders:
        if not (Path(path) / AVERAGED / "config.json").is_file():
            raise CandorError(
                f"{path}: the members' weights were not averaged",
                fix="train with --averaged, or combine by mean, worst or uncertainty",
            )
        return [str(Path(path) / AVERAGED)]
    if combine in ("worst", "uncertainty") and not folders:
        raise CandorError(
            f"{path}: one reward model, of which there is nothing to combine by '{combine}'",
            fix="train several: candor reward train --members 4",
        )
    return list(map(str, folders)) or [str(path)]


def member_folders(path: Path) -> list[Path]:
    """The folders of an ensemble's members, in their order; none where it is no ensemble."""
    found = [folder for folder in path.glob(f"{MEMBERS}/*") if (folder / "config.json").is_file()]
    return sorted(found, key=lambda folder: (len(folder.name), folder.name))
