"""Training a base model on the tokens of a run: from scratch or from a checkpoint, on one process or many."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerBase

from candor.base.recipe import BaseRecipe
from candor.base.shape import Training, new_model, training_for
from candor.core.errors import CandorError
from candor.core.progress import Reporter
from candor.core.trackers import tracker
from candor.data.pieces import Pieces
from candor.engine.local import LocalEngine
from candor.engine.protocol import Sampling
from candor.model.load import default_device, load_model
from candor.train.loop import StepMetrics, fit

Event = Callable[..., None]
_SHORTEST = 16  # tokens of a context that a model is worth training with


@dataclass(frozen=True)
class Pretrained:
    """A trained model, and what it took."""

    model: PreTrainedModel
    facts: dict[str, Any]


def start_token(tokenizer: PreTrainedTokenizerBase) -> int:
    """The token that begins and ends documents.

    Raises:
        CandorError: the tokenizer has none.
    """
    token = tokenizer.eos_token_id
    if token is None:
        raise CandorError(
            "the tokenizer has no end token, so documents can't be told apart",
            fix="use another tokenizer.name, or leave it unset to train one",
        )
    return int(token)  # type: ignore[arg-type]


def untrained(recipe: BaseRecipe, tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    """The model to train, in float32."""
    device = "cpu" if recipe.train.sharded else default_device()  # divided: one device need not hold it
    if recipe.model.start is None:
        return new_model(recipe.model, tokenizer, recipe.seed).to(device)  # type: ignore[arg-type]
    return load_model(recipe.model.start, dtype="float32", device=device)


def context_of(recipe: BaseRecipe, model: PreTrainedModel) -> int:
    """Tokens of a piece: what was asked for, and no more than the model can read."""
    most = getattr(model.config.get_text_config(), "max_position_embeddings", None) or recipe.model.context
    return max(_SHORTEST, min(recipe.model.context, int(most)) - 1)


def pretrain(
    recipe: BaseRecipe, folder: Path, tokenizer: PreTrainedTokenizerBase, reporter: Reporter, event: Event
) -> Pretrained:
    """Train, or go on with training that was interrupted.

    Args:
        recipe: all settings.
        folder: the run's, with its tokens.
        tokenizer: the run's.
        reporter: where progress goes.
        event: notes one line in the run's events.

    Raises:
        CandorError: tokens are missing, or training failed.
    """
    model = untrained(recipe, tokenizer)
    length, start = context_of(recipe, model), start_token(tokenizer)
    pieces = Pieces(folder / "tokens", "train", length, start)
    held_out = Pieces(folder / "tokens", "validation", length, start)
    watched = _watched(held_out, recipe.evaluate.during)
    weights = sum(parameter.numel() for parameter in model.parameters())
    width = int(model.config.get_text_config().hidden_size)
    training = training_for(recipe.train, weights, width, int(pieces.lengths.sum()), recipe.seed)
    facts = described(model, training, len(tokenizer))
    reporter.say(
        f"{weights / 1e6:.1f}M weights ({facts['layers']} layers, width {width}); "
        f"{training.tokens:,} tokens in about {training.updates:,} updates of "
        f"{training.settings.batch_tokens:,}, {recipe.train.optimizer} at "
        f"{training.settings.learning_rate:.2g}",
        **facts,
    )
    events = _Events(event, weights, _bits_a_byte(held_out), recipe, folder)
    peak = _matmul_rate(model)
    with reporter.bar("pretraining", training.updates) as bar, _samples(recipe, model, tokenizer) as sample:

        def on_step(step: StepMetrics) -> None:
            note = events.step(step, peak)
            bar.progress(step.step, step.steps, note)

        def on_validation(step: int, loss: float) -> None:
            events.validation(step, loss, sample() if step else [])

        result = fit(
            model,
            pieces,
            training.settings,
            pad_id=start,
            folder=folder / "training",
            on_step=on_step,
            evaluate=watched,
            on_validation=on_validation,
        )
    events.close()
    facts |= {"updates": result.steps, **events.totals()}
    assert isinstance(result.model, PreTrainedModel)
    return Pretrained(result.model, facts)


def described(model: PreTrainedModel, training: Training, vocabulary: int) -> dict[str, Any]:
    """The model and its training in numbers, for the run's record."""
    config = model.config.get_text_config()
    return {
        "weights": sum(parameter.numel() for parameter in model.parameters()),
        "layers": config.num_hidden_layers,
        "width": config.hidden_size,
        "heads": config.num_attention_heads,
        "vocabulary": vocabulary,
        "context": config.max_position_embeddings,
        "tokens": training.tokens,
        "batch_tokens": training.settings.batch_tokens,
        "learning_rate": training.settings.learning_rate,
        "optimizer": training.settings.optimizer,
        "epochs": training.settings.epochs,
    }


def _bits_a_byte(pieces: Pieces) -> float:
    """What a nat a token is in bits a byte, by the tokens that these texts have for their bytes."""
    return pieces.counts.tokens / max(1, pieces.counts.bytes) / math.log(2)


def _watched(pieces: Pieces, most_bytes: int) -> list[Any]:
    """Pieces of about so much held-out text, whole documents first come."""
    share = pieces.counts.tokens / max(1, pieces.counts.bytes)
    room, found = most_bytes * share, []
    for number, length in enumerate(pieces.lengths.tolist()):
        if room <= 0:
            break
        room -= length
        found.append(pieces[number])
    return found


class _Events:
    """Training as lines of events.jsonl, and for a tracker."""

    def __init__(
        self, event: Event, weights: int, bits_a_byte: float, recipe: BaseRecipe, folder: Path
    ) -> None:
        self._event, self._weights, self._bits_a_byte = event, weights, bits_a_byte
        self._send, self.close = tracker(recipe.train.track, folder, recipe.model_dump(mode="json"))
        self._rates: list[float] = []
        self._shares: list[float] = []
        self._seconds = 0.0

    def step(self, step: StepMetrics, peak: float) -> str:
        """Note an update; returns words for the progress bar."""
        # A weight costs two operations forwards and four backwards for each token (Kaplan et al. 2020).
        mfu = 6 * self._weights * step.tokens_per_second / peak if peak else 0.0
        self._rates.append(step.tokens_per_second)
        self._shares.append(mfu)
        self._seconds += step.seconds
        values = {
            "loss": step.loss,
            "learning_rate": step.learning_rate,
            "grad_norm": step.grad_norm,
            "tokens_per_second": step.tokens_per_second,
            "mfu": mfu,
        }
        self._event("step", step=step.step, **{name: round(value, 6) for name, value in values.items()})
        self._send(step.step, values)
        return f"loss {step.loss:.3f}, {step.tokens_per_second:,.0f} tokens/s"

    def validation(self, step: int, loss: float, samples: list[dict[str, str]]) -> None:
        """Note the loss on held-out text, and how the model goes on from a few beginnings."""
        values = {"validation_loss": loss, "bits_per_byte": loss * self._bits_a_byte}
        rounded = {name: round(value, 6) for name, value in values.items()}
        self._event("validation", step=step, **rounded, samples=samples)
        self._send(step, values)

    def totals(self) -> dict[str, Any]:
        """What all updates of this process come to; the first two took in memory."""
        rates, shares = sorted(self._rates[2:] or self._rates), sorted(self._shares[2:] or self._shares)
        return {
            "tokens_per_second": rates[len(rates) // 2] if rates else None,
            "mfu": shares[len(shares) // 2] if shares else None,
            "seconds": self._seconds,
        }


@contextmanager
def _samples(
    recipe: BaseRecipe, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase
) -> Iterator[Callable[[], list[dict[str, str]]]]:
    """A function that continues the recipe's prompts with the model as it is.

    It writes with a copy: while a model is trained, its attention is the packed one. A model that is divided
    among processes has no copy.
    """
    prompts = recipe.evaluate.prompts
    if not prompts or recipe.train.sharded:
        yield lambda: []
        return
    engine: list[LocalEngine] = []

    def sample() -> list[dict[str, str]]:
        if not engine:
            dtype = next(model.parameters()).dtype
            copy: Any = AutoModelForCausalLM.from_config(
                deepcopy(model.config), dtype=dtype, attn_implementation="sdpa"
            )
            engine.append(LocalEngine(copy.to(model.device).eval(), tokenizer))
        engine[0].model.load_state_dict(model.state_dict())
        return continuations(engine[0], prompts, recipe.evaluate.sample_tokens, recipe.seed)

    yield sample


def continuations(
    engine: LocalEngine, prompts: Sequence[str], tokens: int, seed: int
) -> list[dict[str, str]]:
    """How a model goes on from some beginnings: the likeliest words, and a draw."""
    settings = [
        Sampling(max_tokens=tokens),
        Sampling(max_tokens=tokens, temperature=0.8, seed=seed),
    ]
    rows = []
    for prompt, found in zip(prompts, engine.generate(list(prompts), settings), strict=True):
        greedy, drawn = found.completions
        rows.append({"prompt": prompt, "greedy": greedy.text, "drawn": drawn.text})
    return rows


def _matmul_rate(model: PreTrainedModel) -> float:
    """Operations a second of a large matrix product in bfloat16 on this device: what MFU is a share of."""
    device = model.device
    size = 8192 if device.type == "cuda" else 1024
    a = torch.randn(size, size, device=device, dtype=torch.bfloat16)
    best = float("inf")
    for _ in range(5):
        if device.type == "cuda":
            torch.cuda.synchronize()
        begun = time.perf_counter()
        torch.mm(a, a)
        if device.type == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - begun)
    return 2 * size**3 / best
