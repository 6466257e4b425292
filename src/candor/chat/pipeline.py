"""The stages of chat tuning, each reading and writing the run folder.

data/                       data        conversations as `messages`, train and validation; the mix
checkpoint/, tune.json      tune
evaluation/, metrics.json   evaluate    held-out loss, replies, what depends on earlier turns
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from candor.chat import threads
from candor.chat.add_tokens import new_rows
from candor.chat.check import refused
from candor.chat.measure import loss_a_token, loss_change, losses, replies, threads_metrics
from candor.chat.mix import MixCounter
from candor.chat.recipe import ChatRecipe, ChatSource
from candor.core.draws import draw
from candor.core.errors import CandorError
from candor.core.files import read_json, read_json_lines, write_json, write_jsonl
from candor.core.memory import return_freed_memory
from candor.core.progress import Reporter
from candor.core.run import Run
from candor.data.chat_files import Tally, hub_conversations, read_conversations
from candor.data.chat_rows import Where
from candor.data.conversations import Conversation, Example, encode_turns, lead_of
from candor.data.embedded_chats import embedded_chats
from candor.engine.local import LocalEngine
from candor.engine.prompts import set_template, template_text
from candor.model.load import load_model, load_tokenizer, resolve, save_checkpoint
from candor.tools import Tool, named_tools
from candor.train.adapters import merged
from candor.train.loop import StepMetrics, fit
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
        """Read the conversations, leave out what can't be learned from, hold some out."""
        settings, tokenizer = self.recipe.data, self.load_tokenizer()
        mix, tally, tools = MixCounter(settings.max_tokens), Tally(), self._tools(tokenizer)
        rows: dict[str, list[dict[str, Any]]] = {"train": [], "validation": []}
        with self.reporter.bar("reading conversations", None) as bar:
            for source in settings.sources:
                mix.source(source.name, source.weight)
                if not source.weight:
                    continue
                if source.path is not None:
                    self.run.record_input(source.name, source.path)
                for document, where, conversation in self._conversations(source, tally):
                    bar.advance()
                    try:
                        whole = encode_turns(conversation, tokenizer, tools=tools)[-1]
                    except CandorError as error:
                        problem = refused(error, where)
                        if not settings.skip_invalid:
                            raise problem from error
                        tally.leave_out(problem.reason, problem)
                        continue
                    if not mix.add(source.name, conversation, whole):
                        continue
                    row = conversation.model_dump(mode="json")
                    row |= {"source": source.name, "weight": conversation.weight * source.weight}
                    rows[self._side(document)].append(row)
        made_of = mix.mix()
        too_long = made_of.total.too_long
        if not rows["train"] or not rows["validation"]:
            raise self._too_few(len(rows["train"]), len(rows["validation"]), too_long)
        for side, found in rows.items():
            write_jsonl(self.run.path("data", f"{side}.jsonl"), found)
        counts = {side: len(found) for side, found in rows.items()}
        write_json(
            self.run.path("data", "mix.json"), {**made_of.as_json(), "split": counts, **_left_out(tally)}
        )
        self.reporter.say(
            f"{counts['train']:,} conversations to learn from, {counts['validation']:,} held out"
        )
        for reason, problem in tally.problems.items():
            self.reporter.say(f"  left out, {reason}: {problem.count:,}")
        if too_long:
            self.reporter.say(f"  left out, more than {settings.max_tokens:,} tokens: {too_long:,}")

    def _too_few(self, train: int, held_out: int, too_long: int) -> CandorError:
        """What to tell when a side of the split has nothing."""
        settings = self.recipe.data
        longer = f"; {too_long:,} have more than {settings.max_tokens:,} tokens" if too_long else ""
        if train:
            share = f"data.validation is {settings.validation:g}"
            wrong = f"none of {train:,} conversations was held out ({share}{longer})"
            fix = "give more conversations, or hold out more of them: --set data.validation=0.2"
        elif held_out:
            wrong = f"all {held_out:,} conversations were held out, so there is nothing to learn from{longer}"
            fix = "give more conversations, or hold out fewer of them: lower data.validation"
        else:
            wrong, fix = f"there are no conversations to learn from{longer}", "give others, or more"
        if too_long:
            fix += "; or raise data.max_tokens"
        return CandorError(wrong, fix=fix)

    def _conversations(self, source: ChatSource, tally: Tally) -> Iterator[tuple[str, Where, Conversation]]:
        """Yield (what it is about, where, conversation): what is about the same is held out together."""
        skip, layout = self.recipe.data.skip_invalid, source.layout or "auto"
        if source.embedded is not None:
            chats = embedded_chats(source.embedded, source.conversations, self.recipe.seed)
            for number, (name, conversation) in enumerate(chats, start=1):
                about = "/".join(name.split("/")[:2])  # of facts: the entity
                yield about, Where(source.name, number), conversation
            return
        if source.path is not None:
            found = read_conversations(source.path, layout=layout, tally=tally, skip_invalid=skip)
        else:
            assert source.hub is not None
            found = hub_conversations(
                source.hub,
                config=source.config,
                split=source.split,
                revision=source.revision,
                layout=layout,
                tally=tally,
                skip_invalid=skip,
            )
        for number, (where, conversation) in enumerate(found):
            if source.conversations is not None and number >= source.conversations:
                return
            # By what is said: the same conversation is never on both sides.
            yield repr([(turn.role, turn.content) for turn in conversation.messages]), where, conversation

    def _side(self, document: str) -> str:
        place = draw(f"chat split:{self.recipe.seed}:{document}")
        return "validation" if place < self.recipe.data.validation else "train"

    def tune(self) -> None:
        """Train on every assistant turn."""
        tokenizer = self.load_tokenizer()
        examples = []
        with self.reporter.bar(
            "encoding", read_json(self.run.path("data", "mix.json"))["split"]["train"]
        ) as bar:
            for found in self._examples("train", tokenizer):
                examples += found
                bar.advance()
        held_out = [found[-1] for found in self._examples("validation", tokenizer)]
        held_out = held_out[:: -(-len(held_out) // _WATCHED)]  # some of every source
        model = self._load_model()
        weights = sum(parameter.numel() for parameter in model.parameters())
        settings = self.recipe.tune.settings(weights, self._new_tokens(examples), self.recipe.seed)
        tokens = sum(len(example.token_ids) for example in examples)
        learned = sum(sum(example.supervised) for example in examples)
        self.reporter.say(
            f"{weights / 1e6:.1f}M weights; {tokens:,} tokens an epoch, of which {learned:,} are learned; "
            f"rate {settings.learning_rate:.2g}"
        )

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

            result = fit(
                model,
                examples,
                settings,
                pad_id=int(tokenizer.pad_token_id or 0),  # type: ignore[arg-type]
                folder=self.run.path("training"),
                on_step=on_step,
                evaluate=held_out,
                on_validation=on_validation,
            )
        save_checkpoint(merged(result.model), tokenizer, self.run.path("checkpoint"))
        facts = {
            "steps": result.steps,
            "weights": weights,
            "learning_rate": settings.learning_rate,
            "tokens": tokens,
            "supervised_tokens": learned,
            "validation_loss": result.validation,
            "trained_rows": list(settings.lora_tokens),
        }
        write_json(self.run.path("tune.json"), facts)
        clear_state(self.run.path("training"))

    def _examples(self, side: str, tokenizer: PreTrainedTokenizerBase) -> Iterator[list[Example]]:
        tools = self._tools(tokenizer)
        for _, row in read_json_lines(self.run.path("data", f"{side}.jsonl")):
            given = {"messages": row["messages"], "weight": row["weight"]}
            yield encode_turns(Conversation.model_validate(given), tokenizer, tools=tools)

    def _new_tokens(self, examples: list[Example]) -> tuple[int, ...]:
        """Tokens among these that the base model never saw: with LoRA, their rows have to be trained too."""
        used = {token for example in examples for token in example.token_ids}
        return tuple(sorted(new_rows(Path(resolve(self.recipe.model.name))) & used))

    def evaluate(self) -> None:
        """Ask before and after: what held-out conversations cost, what is replied, what is remembered."""
        settings, tokenizer = self.recipe.evaluate, self.load_tokenizer()
        rows = [row for _, row in read_json_lines(self.run.path("data", "validation.jsonl"))]
        found = [encoded[-1] for encoded in self._examples("validation", tokenizer)]
        examples, rows = found[: settings.conversations], rows[: settings.conversations]
        nats: dict[str, list[float]] = {}
        said: dict[str, list[dict[str, Any]]] = {}
        answered: dict[str, threads.ThreadResults] = {}
        cases = threads.cases() if settings.threads else []
        lead = lead_of(tokenizer)
        for moment in ("before", "after"):
            model = self._load_model() if moment == "before" else load_model(str(self.run.path("checkpoint")))
            engine = LocalEngine(model, tokenizer, name=moment)
            with self.reporter.bar(f"held-out conversations, {moment}", len(examples)) as bar:
                nats[moment] = losses(engine, examples, bar.advance)
            said[moment] = replies(
                engine, settings.prompts, settings.reply_tokens, self.recipe.seed, self._tools(tokenizer)
            )
            if cases:
                with self.reporter.bar(f"what depends on earlier turns, {moment}", 2 * len(cases)) as bar:
                    answered[moment] = threads.evaluate(engine, cases, lead=lead, on_progress=bar.advance)
                write_jsonl(self.run.path("evaluation", f"threads-{moment}.jsonl"), answered[moment].rows)
            del model, engine
            return_freed_memory()
        metrics: dict[str, Any] = {
            "model": self.recipe.model.name,
            "loss": {
                **{moment: loss_a_token(costs, examples) for moment, costs in nats.items()},
                "change": loss_change(nats["before"], nats["after"], examples),
            },
            "loss_by_source": self._by_source(rows, nats, examples),
            "mix": read_json(self.run.path("data", "mix.json")),
            "tune": read_json(self.run.path("tune.json")),
            "replies": said,
            "commands": {"run": "candor chat tune --recipe recipe.toml --out NEW"},
        }
        if cases:
            metrics["threads"] = threads_metrics(answered["before"], answered["after"])
        write_json(self.run.path("metrics.json"), metrics)

    def _by_source(
        self, rows: list[dict[str, Any]], nats: dict[str, list[float]], examples: list[Example]
    ) -> list[dict[str, Any]]:
        found = []
        for name in dict.fromkeys(row["source"] for row in rows):
            places = [place for place, row in enumerate(rows) if row["source"] == name]
            some = [examples[place] for place in places]
            parts = {moment: [costs[place] for place in places] for moment, costs in nats.items()}
            found.append(
                {
                    "source": name,
                    **{moment: loss_a_token(costs, some) for moment, costs in parts.items()},
                    "change": loss_change(parts["before"], parts["after"], some),
                }
            )
        return found


def _left_out(tally: Tally) -> dict[str, Any]:
    found = tally.as_json()
    return {"left_out": found["left_out"], "problems": found["problems"]}
