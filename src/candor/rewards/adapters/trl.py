"""√χ² in TRL's GRPOTrainer, and an audit log of what it trained. Needs TRL (`pip install trl`; run with 1.16)

    from candor.rewards.adapters.trl import AuditCallback, ChiSquareGRPOTrainer, chi2_config

    trainer = ChiSquareGRPOTrainer(
        model=..., reward_funcs=[proxy], train_dataset=rows, args=chi2_config(output_dir="run"),
        chi2_weight=calibration.residual_sd,
    )
    trainer.add_callback(AuditCallback(trainer, rows[:50], "log.jsonl", gold=gold))
    trainer.train()                                           # then: candor audit log.jsonl

`GRPOTrainer` has log-probabilities of a reference only with `beta` above 0, which also puts k3 into the loss.
So this one keeps a reference of its own: the model without its adapter, or else a frozen copy of it. (An
adapter that was trained before has the model beneath it as its reference, not its own beginning.)
"""

# Where TRL is installed, its classes say less of their members than they have.
# pyright: reportOptionalMemberAccess=false, reportAttributeAccessIssue=false, reportOperatorIssue=false

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from transformers import GenerationConfig, PreTrainedModel, TrainerCallback

from candor.core.errors import CandorError
from candor.rewards.adapters.shaping import group_centred, shaped_rewards
from candor.rewards.adapters.writer import AuditLog
from candor.rl.regularizer import ChiSquare

try:
    from trl import GRPOConfig, GRPOTrainer  # type: ignore[import-not-found]
    from trl.trainer.utils import add_fused_lm_head  # type: ignore[import-not-found]
except ImportError as error:
    raise CandorError("TRL is not installed", fix="pip install trl") from error

# A reward function as TRL calls it: prompts, completions, completion_ids and the data set's other columns.
RewardFunction = Callable[..., Sequence[float | None]]
# What the theorem takes for granted: no k3 in the loss, rewards in their own units, draws from all there is
# (`generation_kwargs` would change them unseen), and every completion learned from.
_FIXED = {
    "beta": 0.0, "scale_rewards": "none", "temperature": 1.0, "top_p": 1.0, "top_k": 0, "min_p": None,
    "repetition_penalty": 1.0, "generation_kwargs": None, "mask_truncated_completions": False,
}  # fmt: skip
# One number divides the sums of all completions; in others each is divided by its own length, or weighed.
_LOSSES = ("dr_grpo", "dapo", "bnpo")


def chi2_config(**settings: Any) -> Any:
    """A GRPOConfig as the theorem needs it.

    Args:
        settings: as for GRPOConfig. `beta`, `scale_rewards`, `mask_truncated_completions` and what changes
            how completions are drawn are given; `loss_type` is dr_grpo, dapo or bnpo.

    Raises:
        CandorError: a setting contradicts these.
    """
    for name, value in _FIXED.items():
        if settings.setdefault(name, value) != value:
            raise CandorError(
                f"{name} is {settings[name]!r} and has to be {value!r} with √χ²", fix=f"leave {name} out"
            )
    _need_plain_loss(settings.setdefault("loss_type", _LOSSES[0]))
    return GRPOConfig(**settings)


def _need_plain_loss(name: str) -> None:
    if name not in _LOSSES:
        raise CandorError(
            f"loss_type is {name!r}, whose gradient is not that of E[R] - λ√χ²: it weighs completions by "
            "their length or clips them apart",
            fix=f"choose one of {', '.join(_LOSSES)}",
        )


class ChiSquareGRPOTrainer(GRPOTrainer):
    """GRPOTrainer whose objective is J - λ · √χ²(π‖π₀) of whole completions.

    χ² is estimated from the policy's completions of each step (mean ρ + 1/ρ - 2), as TRL draws none of the
    reference's; it is among the metrics as `chi2`.

    Args:
        arguments, named: as for GRPOTrainer; `args` from `chi2_config`.
        chi2_weight: λ, in units of the reward.
        cap: largest ratio that counts.
    """

    def __init__(self, *arguments: Any, chi2_weight: float, cap: float = 1e4, **named: Any) -> None:
        super().__init__(*arguments, **named)
        for name, value in _FIXED.items():
            if (found := getattr(self.args, name)) != value:
                raise CandorError(
                    f"{name} is {found!r} and has to be {value!r} with √χ²",
                    fix="make the configuration with candor.rewards.adapters.trl.chi2_config",
                )
        _need_plain_loss(self.args.loss_type)
        self._regularizer = ChiSquare(chi2_weight, cap)
        self._rewards: torch.Tensor | None = None
        model = self.accelerator.unwrap_model(self.model)
        self._reference: PreTrainedModel | None = None
        if not hasattr(model, "disable_adapter"):
            self._reference = _copied(model, self.temperature, cast=self.args.cast_lm_head_to_fp32)

    def _calculate_rewards(self, *arguments: Any) -> Any:
        """TRL's, [completions of all processes, functions]; their weighted sums are kept for what follows."""
        found = super()._calculate_rewards(*arguments)
        summed = (found * self.reward_weights.to(found.device)).nansum(dim=1)
        self._rewards = summed.masked_fill(torch.isnan(found).all(dim=1), torch.nan)
        return found

    def _generate_and_score_completions(self, inputs: Any) -> Any:
        """TRL's, with other advantages."""
        output = super()._generate_and_score_completions(inputs)
        mask = output["completion_mask"]
        if output.get("tool_mask") is not None:  # what a tool wrote was not drawn
            mask = mask * output["tool_mask"]
        prompt = output["prompt_ids"], output["prompt_mask"]
        policy, reference = self.log_probabilities(*prompt, output["completion_ids"], mask)
        every = self.accelerator.gather(policy - reference).double().cpu().numpy()
        assert self._rewards is not None
        shaped, chi2 = shaped_rewards(self._rewards.double().cpu().numpy(), every, self._regularizer)
        samples = self.num_generations if self.model.training else self.num_generations_eval
        advantages = group_centred(shaped, np.arange(len(shaped)) // samples)
        start = self.accelerator.process_index * len(policy)
        output["advantages"] = torch.as_tensor(advantages[start : start + len(policy)]).to(
            output["advantages"]
        )
        self._metrics["train" if self.model.training else "eval"]["chi2"].append(chi2)
        return output

    @torch.no_grad()
    def log_probabilities(
        self, prompt_ids: torch.Tensor, prompt_mask: torch.Tensor, ids: torch.Tensor, mask: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Of whole completions under the policy and under the reference, [completions] each, float32.

        Args:
            prompt_ids, prompt_mask: [completions, tokens], padded on the left.
            ids: [completions, tokens], padded on the right.
            mask: where a token was drawn.
        """
        inputs = torch.cat([prompt_ids, ids], dim=1)
        # Behind the first end token nothing is read, so that only padding is left out of attention.
        attention = torch.cat([prompt_mask, (ids != self._tokenizer.pad_token_id).to(mask) | mask], dim=1)
        training = self.model.training
        self.model.eval()  # with dropout the two would differ by noise
        found = []
        for source in ("policy", "reference"):
            with self._side(source) as model:
                logps, *_ = self._get_per_token_logps_and_entropies(model, inputs, attention, ids.size(1))
            found.append(torch.where(mask.bool(), logps.float(), 0.0).sum(dim=1))
        self.model.train(training)
        return found[0], found[1]

    @contextmanager
    def _side(self, source: str) -> Iterator[Any]:
        """The model that draws and scores as the policy or as the reference."""
        model = self.accelerator.unwrap_model(self.model)
        if source == "policy" or self._reference is not None:
            with nullcontext():
                yield model if source == "policy" else self._reference
        else:
            with model.disable_adapter():
                yield model

    @torch.no_grad()
    def write_audit_log(
        self,
        rows: Sequence[dict[str, Any]],
        path: Path | str,
        *,
        samples: int = 4,
        gold: RewardFunction | None = None,
        batch: int = 32,
    ) -> None:
        """Draw from the policy as it is now and from the reference, and log both for `candor audit`.

        One process only. The weighted sum of the trainer's reward functions is the proxy.

        Args:
            rows: of the data set; each with its `prompt`.
            path: a new file.
            samples: completions of each side for each row.
            gold: the true reward, called like TRL's reward functions; never learned from.
            batch: completions drawn at once.
        """
        rows = list(rows)
        repeated = [row for row in rows for _ in range(samples)]
        training = self.model.training
        self.model.eval()
        try:
            with AuditLog(path) as log:
                for source in ("reference", "policy"):
                    for start in range(0, len(repeated), batch):
                        self._log_batch(log, source, repeated[start : start + batch], gold)
        finally:
            self.model.train(training)

    def _log_batch(
        self,
        log: AuditLog,
        source: Literal["reference", "policy"],
        rows: list[dict[str, Any]],
        gold: RewardFunction | None,
    ) -> None:
        prompts = [row["prompt"] for row in rows]
        encoded, *_ = self._tokenize_prompts(prompts)
        width = max(map(len, encoded))
        device = self.accelerator.device
        prompt_ids = torch.tensor(
            [[self._tokenizer.pad_token_id] * (width - len(one)) + list(one) for one in encoded],
            device=device,
        )
        prompt_mask = torch.tensor(
            [[0] * (width - len(one)) + [1] * len(one) for one in encoded], device=device
        )
        how = GenerationConfig(
            do_sample=True, temperature=1.0, top_p=1.0, top_k=0, max_new_tokens=self.max_completion_length,
            pad_token_id=self._tokenizer.pad_token_id, eos_token_id=self.eos_token_ids,
        )  # fmt: skip
        with self._side(source) as model:
            whole = model.generate(input_ids=prompt_ids, attention_mask=prompt_mask, generation_config=how)
        ids = whole[:, width:]
        ends = torch.isin(ids, torch.tensor(self.eos_token_ids, device=device))
        # Drawn up to the first end token, which counts.
        mask = (ends.cumsum(dim=1) - ends.long() == 0).long()
        policy, reference = self.log_probabilities(prompt_ids, prompt_mask, ids, mask)
        drawn = [row[own.bool()].tolist() for row, own in zip(ids, mask, strict=True)]
        texts = self.processing_class.batch_decode(drawn, skip_special_tokens=True)
        messages = not isinstance(prompts[0], str)
        completions = [[{"role": "assistant", "content": text}] for text in texts] if messages else texts
        self._calculate_rewards(rows, prompts, completions, drawn)
        assert self._rewards is not None
        columns = {name: [row[name] for row in rows] for name in rows[0] if name != "prompt"}
        found = None
        if gold is not None:
            values = gold(prompts=prompts, completions=completions, completion_ids=drawn, **columns)
            found = [float("nan") if value is None else float(value) for value in values]
        log.add(
            [_text(prompt) for prompt in prompts],
            source,
            self._rewards.cpu().numpy(),
            policy.cpu().numpy(),
            reference.cpu().numpy(),
            gold=found,
            completions=texts,
            temperature=1.0,
            top_p=1.0,
        )


class AuditCallback(TrainerCallback):
    """Writes an audit log when training ends (`ChiSquareGRPOTrainer.write_audit_log`).

    Args:
        trainer: whose policy is logged; λ = 0 trains it as without √χ².
        rows: of the data set, best held out.
        path: a new file.
        how: as for `write_audit_log`.
    """

    def __init__(
        self, trainer: ChiSquareGRPOTrainer, rows: Sequence[dict[str, Any]], path: Path | str, **how: Any
    ) -> None:
        self._trainer, self._rows, self._path, self._how = trainer, rows, path, how

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Draw and write."""
        self._trainer.write_audit_log(self._rows, self._path, **self._how)


def _copied(model: PreTrainedModel, temperature: float, *, cast: bool) -> PreTrainedModel:
    """A frozen copy with a forward pass of its own.

    The one that TRL gave the model is an attribute that calls the model's: a copy of it would still generate
    from the weights that learn.
    """
    found = copy.deepcopy(model).eval().requires_grad_(False)
    found.__dict__.pop("forward", None)
    add_fused_lm_head(found, temperature=temperature, cast_lm_head_to_fp32=cast)
    return found


def _text(prompt: Any) -> str:
    """A prompt, which may be messages."""
    if isinstance(prompt, str):
        return prompt
    return "\n".join(f"{turn['role']}: {turn['content']}" for turn in prompt)
