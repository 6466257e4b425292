"""A log from two models: completions of both, scored under both, at temperature 1 and without truncation.

Both get the very same token ids. Log-probabilities of both sides come from the same kind of pass over whole
texts, never from decoding: they then differ by what the models differ, and not by how numbers were added up.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from candor.core.errors import CandorError
from candor.core.memory import return_freed_memory
from candor.core.progress import Reporter
from candor.engine.local import LocalEngine
from candor.engine.prompts import encode_prompt, template_text
from candor.engine.protocol import Sampling
from candor.rewards.audit.log import Entry
from candor.rewards.audit.recipe import DrawSettings
from candor.rewards.rlhf.prompts import PromptSet, read_prompts
from candor.rewards.rlhf.proxy import need_scorer, scorer_of
from candor.rl.problem import Problem
from candor.rl.reward import Sample

Source = Literal["reference", "policy"]
_SOURCES: tuple[Source, ...] = ("reference", "policy")


@dataclass(frozen=True)
class Drawn:
    """One completion on its way into the log."""

    source: Source
    problem: Problem
    prompt_ids: tuple[int, ...]
    token_ids: tuple[int, ...]
    text: str
    truncated: bool


def draw(settings: DrawSettings, seed: int, reporter: Reporter) -> list[Entry]:
    """Draw, score and reward.

    Args:
        settings: with both models, the proxy and the prompts.
        seed: of the draws; each side has draws of its own.
        reporter: where it says what it does.

    Raises:
        CandorError: a model or reward can't be loaded, or the models don't share a tokenizer.
    """
    assert settings.prompts is not None
    assert settings.proxy is not None
    prompts = read_prompts(Path(settings.prompts))
    ahead = [spec for spec in (settings.proxy, settings.gold) if spec is not None]
    for spec in ahead:
        need_scorer(spec)  # before the long work
    engines: dict[Source, LocalEngine] = {name: _engine(settings, name, reporter) for name in _SOURCES}
    reference = engines["reference"]
    _need_same_tokens(reference, engines["policy"])
    chat = reference.chat if settings.chat is None else settings.chat
    asked = PromptSet(prompts, chat=chat)
    problems = asked.problems(len(asked), seed)
    ids = [tuple(encode_prompt(reference.tokenizer, asked.prompt(problem))) for problem in problems]
    drawn: list[Drawn] = []
    for place, (name, engine) in enumerate(engines.items()):
        drawn += _completions(engine, name, problems, ids, settings, 2 * seed + place, reporter)
    scored = {name: _scored(engine, drawn, name, reporter) for name, engine in engines.items()}
    del engines, reference
    return_freed_memory()
    rewards = [_rewarded(spec, asked, drawn, settings.max_tokens, reporter) for spec in ahead]
    proxy, gold = rewards[0], rewards[1] if len(rewards) > 1 else [None] * len(drawn)
    if settings.gold_on == "reference":
        gold = [None if one.source == "policy" else value for one, value in zip(drawn, gold, strict=True)]
    return [
        Entry(
            prompt=one.problem.id,
            source=one.source,
            proxy=float(proxy[i] or 0.0),
            gold=gold[i],
            logp_policy=scored["policy"][i],
            logp_reference=scored["reference"][i],
            completion=one.text,
            tokens_policy=len(one.token_ids),
            tokens_reference=len(one.token_ids),
            top_p=1.0,
            temperature=1.0,
        )
        for i, one in enumerate(drawn)
    ]


def _engine(settings: DrawSettings, name: str, reporter: Reporter) -> LocalEngine:
    spec = getattr(settings, name)
    reporter.say(f"loading {spec}")
    return LocalEngine.load(spec, dtype=settings.dtype, template=template_text(settings.template))


def _need_same_tokens(reference: LocalEngine, policy: LocalEngine) -> None:
    vocabularies = [engine.tokenizer.get_vocab() for engine in (reference, policy)]
    if vocabularies[0] != vocabularies[1]:
        raise CandorError(
            f"{policy.model_name} and {reference.model_name} don't share a tokenizer: the log-probabilities "
            "would be of different tokens",
            fix="name the checkpoint that the policy was trained from as the reference",
        )
    if policy.ends != reference.ends:
        raise CandorError(
            f"{policy.model_name} and {reference.model_name} end completions by different tokens "
            f"({sorted(policy.ends)} and {sorted(reference.ends)}): a ratio of their probabilities would be "
            "of different events",
            fix="give both the same end tokens in generation_config.json",
        )


def _completions(
    engine: LocalEngine,
    name: Source,
    problems: Sequence[Problem],
    ids: Sequence[tuple[int, ...]],
    settings: DrawSettings,
    seed: int,
    reporter: Reporter,
) -> Iterator[Drawn]:
    sampling = Sampling(max_tokens=settings.max_tokens, temperature=1.0, n=settings.samples, seed=seed)
    with reporter.bar(f"drawing from the {name}", len(ids)) as bar:
        found = engine.generate(ids, sampling, on_progress=bar.advance)
    for problem, prompt_ids, generation in zip(problems, ids, found, strict=True):
        for one in generation.completions:
            cut = one.finish_reason == "length"
            yield Drawn(name, problem, prompt_ids, one.token_ids, one.text, cut)


def _scored(engine: LocalEngine, drawn: Sequence[Drawn], name: str, reporter: Reporter) -> list[float]:
    """Log-probability of each completion, its end token included."""
    found: list[float] = []
    with reporter.bar(f"scoring under the {name}", len(drawn)) as bar:
        for start in range(0, len(drawn), 256):
            part = drawn[start : start + 256]
            scores = engine.score_tokens([(one.prompt_ids, one.token_ids) for one in part])
            found += [sum(tokens) for tokens in scores]
            bar.advance(len(part))
    if bad := sum(not math.isfinite(value) for value in found):
        raise CandorError(
            f"{bad} of {len(found)} completions have no finite log-probability under {engine.model_name}",
            fix="its weights may hold NaN: take another checkpoint, or --set draw.dtype=float32",
        )
    return [min(0.0, value) for value in found]


def _rewarded(
    spec: str, asked: PromptSet, drawn: Sequence[Drawn], limit: int, reporter: Reporter
) -> list[float | None]:
    samples = [
        Sample(one.problem, one.text, one.text or None, False, len(one.token_ids), limit, one.truncated)
        for one in drawn
    ]
    reporter.say(f"rewarding by {spec}")
    return list(scorer_of(spec, asked).score(samples))
