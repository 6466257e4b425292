"""The stages of chat tuning, each reading and writing the run folder.

data/                       data        conversations as `messages`, and encoded, on two sides; the mix
checkpoint/, tune.json      tune
evaluation/, metrics.json   evaluate    held-out loss, replies, what depends on earlier turns, tone
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from candor.chat import threads
from candor.chat.add_tokens import new_rows
from candor.chat.gather import gather
from candor.chat.measure import Costs, loss_a_token, loss_change, losses, replies, threads_metrics
from candor.chat.recipe import ChatRecipe
from candor.chat.tone_measure import ToneRow, ask_tone, tone_metrics
from candor.chat.tone_questions import tone_questions
from candor.core.errors import CandorError
from candor.core.files import read_json, read_json_lines, write_json, write_jsonl
from candor.core.memory import return_freed_memory
from candor.core.processes import wait_for
from candor.core.progress import Reporter
from candor.core.run import Run
from candor.data.chat_files import Tally
from candor.data.conversations import Example, lead_of
from candor.data.encoded import Encoded, read_encoded, write_encoded
from candor.data.types import Question
from candor.engine.local import LocalEngine
from candor.engine.prompts import set_template, template_text
from candor.model.load import context_of, load_model, load_tokenizer, resolve, save_checkpoint
from candor.tools import Tool, named_tools
from candor.train.adapters import merged
from candor.train.loop import StepMetrics, TrainResult, fit
from candor.train.state import clear_state

# The loss on held-out conversations is watched about ten times, so a sample will do.
_WATCHED = 64


class ChatRun:
    """A chat tuning in its folder."""

    def __init__(self, run: Run[ChatRecipe], reporter: Reporter) -> None:
        self.run = run
        self.recipe = run.recipe
        self.reporter = reporter

    def up_to(self, last: str) -> None:
        """Every stage up to this one that is not done yet, in order."""
        stages = {"data": self.data, "tune": self.tune, "evaluate": self.evaluate}
        self.run.go_through(stages, last, self.reporter.say)

    def load_tokenizer(self) -> PreTrainedTokenizerBase:
        """The model's, with the run's template.

        Raises:
            CandorError: there is no template.
        """
        settings = self.recipe.model
        tokenizer = load_tokenizer(settings.name, trust_remote_code=settings.trust_remote_code)
        set_template(tokenizer, template_text(settings.template))
        if tokenizer.chat_template is None:
            raise CandorError(
                f"{settings.name} has no chat template: it is a base model",
                fix=f"candor chat add-tokens --model {settings.name} --out CKPT gives it one; "
                "or --template plain, which needs no new tokens",
            )
        return tokenizer

    def _tools(self, tokenizer: PreTrainedTokenizerBase) -> tuple[Tool, ...]:
        return named_tools(self.recipe.data.tools, tokenizer.get_added_vocab())  # type: ignore[operator]

    def _load_model(self) -> PreTrainedModel:
        settings = self.recipe.model
        return load_model(settings.name, dtype="bfloat16", trust_remote_code=settings.trust_remote_code)

    # --- stages -------------------------------------------------------------------------------------

    def data(self) -> None:
        """Read the conversations, leave out what can't be learned from, hold some out, and encode all."""
        settings, tokenizer = self.recipe.model, self.load_tokenizer()
        found = gather(
            self.recipe,
            tokenizer,
            tools=self._tools(tokenizer),
            context=context_of(settings.name, trust_remote_code=settings.trust_remote_code),
            reporter=self.reporter,
            on_file=self.run.record_input,
        )
        for name, side in found.sides.items():
            write_jsonl(self.run.path("data", f"{name}.jsonl"), side.rows)
            write_encoded(self.run.path("data", f"{name}.safetensors"), side.encoded)
        counts = {name: len(side.rows) for name, side in found.sides.items()}
        tally = found.tally.as_json()
        left_out = {key: tally[key] for key in ("left_out", "problems")}
        write_json(self.run.path("data", "mix.json"), {**found.mix.as_json(), "split": counts, **left_out})
        self.reporter.say(
            f"{counts['train']:,} conversations to learn from, {counts['validation']:,} held out"
        )
        for line in [*found.mix.told(), *_told(found.tally)]:
            self.reporter.say(f"  {line}")

    def tune(self) -> None:
        """Train on every assistant turn."""

        def on_validation(step: int, loss: float) -> None:
            self.run.event("validation", step=step, validation_loss=round(loss, 6))

        with self.reporter.bar("tuning", None) as bar:

            def on_step(step: StepMetrics) -> None:
                self.run.event(
                    "step",
                    step=step.step,
                    loss=round(step.loss, 6),
                    learning_rate=step.learning_rate,
                    grad_norm=round(step.grad_norm, 6),
                    tokens_per_second=round(step.tokens_per_second, 1),
                )
                note = f"loss {step.loss:.3f}, {step.tokens_per_second:,.0f} tokens/s"
                bar.progress(step.step, step.steps, note)

            result, facts = self.trained(on_step, on_validation)
        save_checkpoint(merged(result.model), self.load_tokenizer(), self.run.path("checkpoint"))
        write_json(self.run.path("tune.json"), facts)
        clear_state(self.run.path("training"))

    def trained(
        self,
        on_step: Callable[[StepMetrics], None] | None = None,
        on_validation: Callable[[int, float], None] | None = None,
    ) -> tuple[TrainResult, dict[str, Any]]:
        """Train, or go on with it, and say what was done; under torchrun every process calls this."""
        examples = self._encoded("train").examples
        held_out = self._encoded("validation").examples
        held_out = held_out[:: -(-len(held_out) // _WATCHED)]  # some of every source
        model = self._load_model()
        weights = sum(parameter.numel() for parameter in model.parameters())
        tune, seed = self.recipe.tune, self.recipe.seed
        rows = self._new_tokens(examples) if tune.lora_rank else ()
        settings = tune.optimiser(weights, seed, lora_tokens=rows)
        tokens = sum(len(example.token_ids) for example in examples)
        learned = sum(sum(example.supervised) for example in examples)
        self.reporter.say(
            f"{weights / 1e6:.1f}M weights; {tokens:,} tokens an epoch, of which {learned:,} are learned; "
            f"rate {settings.learning_rate:.2g}"
        )
        result = fit(
            model,
            examples,
            settings,
            pad_id=int(self.load_tokenizer().pad_token_id or 0),  # type: ignore[arg-type]
            folder=self.run.path("training"),
            on_step=on_step,
            evaluate=held_out,
            on_validation=on_validation,
        )
        return result, {
            "steps": result.steps,
            "weights": weights,
            "learning_rate": settings.learning_rate,
            "tokens": tokens,
            "supervised_tokens": learned,
            "validation_loss": result.validation,
            "trained_rows": list(settings.lora_tokens),
        }

    def _encoded(self, side: str) -> Encoded:
        file = self.run.path("data", f"{side}.safetensors")
        if not file.exists():
            raise CandorError(
                f"{file}: there is none, though the data are said to be done (an older version wrote none)",
                fix="begin again with another --out",
            )
        return read_encoded(file)

    def _new_tokens(self, examples: list[Example]) -> tuple[int, ...]:
        """Tokens among these that the base model never saw: with LoRA, their rows have to be trained too."""
        used = {token for example in examples for token in example.token_ids}
        return tuple(sorted(new_rows(Path(resolve(self.recipe.model.name))) & used))

    def evaluate(self) -> None:
        """Ask before and after: what held-out conversations cost, what is replied, remembered, how surely."""
        settings, tokenizer = self.recipe.evaluate, self.load_tokenizer()
        held_out = self._encoded("validation").of_first(settings.conversations)
        costs: dict[str, Costs] = {}
        said: dict[str, list[dict[str, Any]]] = {}
        answered: dict[str, threads.ThreadResults] = {}
        heard: dict[str, list[ToneRow]] = {}
        cases = threads.cases() if settings.threads else []
        questions = self._tone_questions()
        lead = lead_of(tokenizer)
        for moment in ("before", "after"):
            model = self._load_model() if moment == "before" else load_model(str(self.run.path("checkpoint")))
            engine = LocalEngine(model, tokenizer, name=moment)
            with self.reporter.bar(f"held-out conversations, {moment}", len(held_out.examples)) as bar:
                costs[moment] = losses(engine, held_out, bar.advance)
            said[moment] = replies(
                engine, settings.prompts, settings.reply_tokens, self.recipe.seed, self._tools(tokenizer)
            )
            if cases:
                with self.reporter.bar(f"what depends on earlier turns, {moment}", 2 * len(cases)) as bar:
                    answered[moment] = threads.evaluate(engine, cases, lead=lead, on_progress=bar.advance)
                write_jsonl(self.run.path("evaluation", f"threads-{moment}.jsonl"), answered[moment].rows)
            if questions:
                with self.reporter.bar(f"how sure it sounds, {moment}", len(questions)) as bar:
                    heard[moment] = ask_tone(engine, questions, on_progress=bar.advance)
                write_jsonl(self.run.path("evaluation", f"tone-{moment}.jsonl"), heard[moment])
            del model, engine
            return_freed_memory()
        metrics: dict[str, Any] = {
            "model": self.recipe.model.name,
            "loss": _loss(costs),
            "loss_by_source": self._by_source(costs),
            "mix": read_json(self.run.path("data", "mix.json")),
            "tune": read_json(self.run.path("tune.json")),
            "replies": said,
            "commands": {"run": "candor chat tune --recipe recipe.toml --out NEW"},
        }
        if cases:
            metrics["threads"] = threads_metrics(answered["before"], answered["after"])
        if questions:
            metrics["tone"] = tone_metrics(heard["before"], heard["after"])
        write_json(self.run.path("metrics.json"), metrics)

    def _tone_questions(self) -> list[Question]:
        """The questions, or none if the packages of facts are missing: nobody asked for them by name."""
        if not self.recipe.evaluate.tone:
            return []
        try:
            return tone_questions()
        except CandorError as error:
            self.reporter.say(f"how sure it sounds is not measured: {error.message} ({error.fix})")
            return []

    def _by_source(self, costs: dict[str, Costs]) -> list[dict[str, Any]]:
        file = self.run.path("data", "validation.jsonl")
        sources = [row["source"] for _, row in read_json_lines(file)][: self.recipe.evaluate.conversations]
        return [
            {
                "source": name,
                **_loss({moment: found.of(np.array(sources) == name) for moment, found in costs.items()}),
            }
            for name in dict.fromkeys(sources)
        ]


def work_along(folder: Path) -> None:
    """What the other processes of torchrun do: wait for the data, train with the first one, write nothing."""
    wait_for(folder, "data")
    run = Run.open(folder, ChatRecipe)
    if not run.done("tune"):
        ChatRun(run, Reporter("quiet")).trained()


def _loss(costs: dict[str, Costs]) -> dict[str, Any]:
    return {
        **{moment: loss_a_token(found) for moment, found in costs.items()},
        "change": loss_change(costs["before"], costs["after"]),
    }


def _told(tally: Tally) -> list[str]:
    return [f"left out, {reason}: {problem.count:,}" for reason, problem in tally.problems.items()]
