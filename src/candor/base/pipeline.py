"""The stages of a base model's run, each reading and writing the run folder.

corpus/                               corpus      (see `corpus`)
tokenizer/, tokens/                   tokenizer
checkpoint/, pretrain.json            pretrain
recall/, metrics.json                 evaluate
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psutil
import torch
from transformers import PreTrainedTokenizerBase

from candor.base import corpus as corpora
from candor.base.evaluate import bits_per_byte, document_bits, programs
from candor.base.pretrain import continuations, pretrain, start_token
from candor.base.recall import WORDS, recall
from candor.base.recipe import BaseRecipe
from candor.base.shape import weights_of
from candor.base.tokenizer import compared, spread, train_tokenizer
from candor.core.errors import CandorError, InputError
from candor.core.files import read_json, write_json
from candor.core.progress import Reporter
from candor.core.run import Run
from candor.core.trackers import need_tracker
from candor.data.pieces import read_index, write_tokens
from candor.engine.local import LocalEngine
from candor.model.first_use import compile_ahead
from candor.model.load import default_device, load_model, load_tokenizer, resolve, save_checkpoint
from candor.train.state import clear_state

_COMPARED_BYTES = 1_000_000
_BYTES_A_WEIGHT = 12  # at least: the weight, its gradient and a moment, in float32


class BaseRun:
    """A base model's run in its folder."""

    def __init__(self, run: Run[BaseRecipe], reporter: Reporter) -> None:
        self.run = run
        self.recipe = run.recipe
        self.reporter = reporter

    def up_to(self, last: str) -> None:
        """Every stage up to this one that is not done yet, in order."""
        if last in ("pretrain", "evaluate") and not self.run.done("pretrain") and default_device() == "cpu":
            compile_ahead(torch.bfloat16 if self.recipe.train.dtype == "bf16" else torch.float32)
        stages = {
            "corpus": self.corpus,
            "tokenizer": self.tokenizer,
            "pretrain": self.pretrain,
            "evaluate": self.evaluate,
        }
        self.run.go_through(stages, last, self.reporter.say)

    @property
    def _corpus(self) -> Path:
        return self.run.path("corpus")

    def load_tokenizer(self) -> PreTrainedTokenizerBase:
        """The run's tokenizer."""
        return load_tokenizer(str(self.run.path("tokenizer")))

    # --- stages -------------------------------------------------------------------------------------

    def corpus(self) -> None:
        """Read, filter, hold out."""
        build = corpora.Build(self._corpus, self.recipe.corpus, self.recipe.seed)
        for source in self.recipe.corpus.sources:
            if source.path is not None:
                self.run.record_input(source.name, source.path)
        with self.reporter.bar("reading documents", None) as bar:
            table = build.run(lambda read, kept: bar.progress(read, None, f"{kept} kept"))
        self.run.event("corpus", **{name: table[name] for name in ("splits", "copies", "facts")})
        for line in table_lines(table):
            self.reporter.say(line)

    def tokenizer(self) -> None:
        """Train or take a tokenizer; turn the corpus into tokens."""
        settings, splits = self.recipe.tokenizer, read_json(self._corpus / "table.json")["splits"]
        given = self.recipe.model.start or settings.name
        tokenizer: PreTrainedTokenizerBase
        if given is not None:
            tokenizer = load_tokenizer(given)
            self.reporter.say(f"tokenizer of {given}: {len(tokenizer):,} tokens")
        else:
            self.reporter.say(f"training a tokenizer of {settings.vocabulary:,} tokens")
            some = spread(
                corpora.texts(self._corpus, "train"), splits["train"]["bytes"], settings.sample_bytes
            )
            tokenizer = train_tokenizer(some, settings.vocabulary, self.recipe.model.context)
        start = start_token(tokenizer)
        for split in ("train", "validation"):
            total = splits.get(split, {}).get("documents", 0)
            if split == "train":
                total += read_json(self._corpus / "table.json")["copies"]["documents"]
            with self.reporter.bar(f"tokenising ({split})", total) as bar:
                texts = corpora.texts(self._corpus, split)
                for done in write_tokens(self.run.path("tokens"), split, texts, tokenizer, start):
                    bar.progress(done, total)
        rows = compared(self._held_out(_COMPARED_BYTES), tokenizer, settings.compare)
        write_json(self.run.path("tokens", "compared.json"), {"compared": rows})
        for row in rows:
            rate = row["bytes_per_token"]
            said = row["note"] if rate is None else f"{rate:.2f} bytes a token, {row['vocabulary']:,} tokens"
            self.reporter.say(f"  {row['name']}: {said}")
        tokenizer.save_pretrained(self.run.path("tokenizer"))

    def pretrain(self) -> None:
        """Train the model."""
        tokenizer = self.load_tokenizer()
        result = pretrain(self.recipe, self.run.folder, tokenizer, self.reporter, self.run.event)
        save_checkpoint(result.model, tokenizer, self.run.path("checkpoint"))
        write_json(self.run.path("pretrain.json"), result.facts)
        clear_state(self.run.path("training"))

    def evaluate(self) -> None:
        """Bits per byte beside compression programs, recall, and a few continuations."""
        settings, splits = self.recipe.evaluate, read_json(self._corpus / "table.json")["splits"]
        texts = self._held_out(settings.bytes)
        rows: list[dict[str, Any]] = []
        for name in ("this model", *settings.models):
            spec = str(self.run.path("checkpoint")) if name == "this model" else name
            try:
                model, tokenizer = load_model(spec), load_tokenizer(spec)
            except CandorError as error:
                if name == "this model":
                    raise
                rows.append({"name": name, "note": error.message})  # no reason to lose the rest
                continue
            with self.reporter.bar(f"reading held-out text ({name})", len(texts)) as bar:
                bits = document_bits(model, tokenizer, texts, bar.advance)
            weights = {"weights_bytes": sum(p.numel() * p.element_size() for p in model.parameters())}
            rows.append({"name": name, "bits_per_byte": bits_per_byte(bits, texts), **weights})
        self.reporter.say("compressing the same text with programs")
        train_bytes = splits["train"]["bytes"]
        rows += programs(texts, corpora.texts(self._corpus, "train"), train_bytes)
        metrics: dict[str, Any] = {
            "compression": rows,
            "corpus": read_json(self._corpus / "table.json"),
            "tokens": {s: read_index(self.run.path("tokens"), s).model_dump() for s in splits},
            "tokenizer": read_json(self.run.path("tokens", "compared.json")),
            "pretrain": read_json(self.run.path("pretrain.json")),
            "commands": {"run": "candor pretrain recipe.toml --out NEW"},
        }
        engine = LocalEngine.load(str(self.run.path("checkpoint")))
        metrics["samples"] = continuations(engine, settings.prompts, settings.sample_tokens, self.recipe.seed)
        if has_repetitions(self._corpus):
            found = self.recall(engine)
            parts = {part: found[part]["by_times"] for part in ("passages", "facts") if part in found}
            metrics["recall"] = {"words": found.get("passages", {}).get("words"), **parts}
        write_json(self.run.path("metrics.json"), metrics)

    def recall(self, engine: LocalEngine, name: str = "checkpoint") -> dict[str, Any]:
        """Measure what a model has kept of this run's corpus, and write it into `recall/`."""
        with self.reporter.bar("recalling", None) as bar:
            # A passage and what is to follow have to fit a short context, in a small vocabulary's tokens.
            words = min(WORDS, self.recipe.model.context // 8)
            found = recall(engine, self._corpus, words=words, seed=self.recipe.seed, on_progress=bar.advance)
        write_json(self.run.path("recall", f"{name}.json"), found)
        return found

    def _held_out(self, most: int) -> list[str]:
        texts, size = [], 0
        for text in corpora.texts(self._corpus, "validation"):
            if size >= most:
                break
            texts.append(text)
            size += len(text.encode())
        return texts


def check(recipe: BaseRecipe) -> None:
    """What a later stage would stumble over after hours, when the recipe can't be changed any more.

    Raises:
        CandorError: a tokenizer, a model or a tracker that is named is not there, or a new model is larger
            than this machine's memory.
    """
    for name in (recipe.model.start, recipe.tokenizer.name):
        if name is not None:
            start_token(load_tokenizer(name))
    for name in recipe.evaluate.models:
        resolve(name)
    need_tracker(recipe.train.track)
    if recipe.model.start is None and default_device() == "cpu":
        weights = weights_of(recipe.model, recipe.tokenizer.vocabulary)
        needed, there = weights * _BYTES_A_WEIGHT, psutil.virtual_memory().total
        if needed > there:
            raise InputError(
                f"about {weights / 1e9:,.1f} billion weights take {needed / 2**30:,.0f} GiB to train, and "
                f"this machine has {there / 2**30:,.0f}",
                field="model.depth",
                fix="give a lower depth, or train on GPUs",
            )


def work_along(folder: Path) -> None:
    """What the other processes of torchrun do: train with the first one, and write nothing.

    Raises:
        CandorError: the run's corpus or tokens are not there.
    """
    run = Run.open(folder, BaseRecipe)
    run.need("tokenizer", f"`candor tokenizer train --out {folder}` (without torchrun)")
    if run.done("pretrain"):
        return
    untracked = run.recipe.train.model_copy(update={"track": None})
    recipe = run.recipe.model_copy(update={"train": untracked})
    tokenizer = load_tokenizer(str(run.path("tokenizer")))
    pretrain(recipe, folder, tokenizer, Reporter("quiet"), lambda *_, **__: None)


def has_repetitions(corpus: Path) -> bool:
    """Whether a corpus holds anything a known number of times."""
    return any((corpus / name).exists() and (corpus / name).stat().st_size for name in _KNOWN_TIMES)


_KNOWN_TIMES = ("passages.jsonl", "questions.jsonl")


def table_lines(table: dict[str, Any]) -> list[str]:
    """What a corpus was made of, in lines for a terminal."""
    lines = []
    for name, found in table["sources"].items():
        lines.append(
            f"  {name}: {found['read']:,} documents read, {found['kept']:,} kept "
            f"({found['kept_bytes'] / 1e6:.1f} MB)"
        )
    lines += [f"  left out, {line}" for line in corpora.removed_lines(table["removed"])]
    for split, found in table["splits"].items():
        lines.append(f"  {split}: {found['documents']:,} documents, {found['bytes'] / 1e6:.1f} MB")
    if table["copies"]["documents"]:
        lines.append(f"  copies of passages: {table['copies']['documents']:,}")
    return lines
