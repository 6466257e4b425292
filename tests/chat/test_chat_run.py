"""A chat tuning from conversations to numbers: whole, killed and continued, full and with adapters."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from byte_models import byte_model, byte_tokenizer
from candor.chat import gather, pipeline, threads
from candor.chat.add_tokens import add_chat_tokens, new_rows
from candor.chat.pipeline import ChatRun
from candor.chat.recipe import ChatRecipe
from candor.core.errors import CandorError
from candor.core.files import read_json, read_json_lines, write_jsonl
from candor.core.progress import Reporter
from candor.core.recipe import validated
from candor.core.run import Run
from candor.data.conversations import CHATML_TEMPLATE, PLAIN_TEMPLATE, Conversation, encode, lead_of
from candor.data.encoded import Encoded, read_encoded
from candor.model.load import load_model, load_tokenizer, save_checkpoint

WORDS = ("hello", "well", "who", "he", "we", "hell", "how", "low")


def talks(count: int) -> list[dict[str, Any]]:
    """Conversations of one and of two questions; each says something else."""
    rows = []
    for number in range(count):
        turns = []
        for turn in range(1 + number % 2):
            word = WORDS[(number + turn) % len(WORDS)]
            turns += [
                {"role": "user", "content": f"{word} {number}?"},
                {"role": "assistant", "content": f"{word} hello"},
            ]
        rows.append({"messages": turns})
    return rows


@contextmanager
def running(folder: Path, settings: ChatRecipe) -> Iterator[ChatRun]:
    run = ChatRun(Run.start(folder, settings), Reporter("quiet"))
    try:
        yield run
    finally:
        run.run.close()


def recipe(model: Path | str, file: Path, **changes: Any) -> ChatRecipe:
    values: dict[str, dict[str, Any]] = {
        "model": {"name": str(model)},
        "data": {"sources": [{"path": str(file)}], "validation": 0.3},
        "tune": {
            "learning_rate": 2e-2, "epochs": 1, "batch_tokens": 256, "micro_batch_tokens": 256,
            "dtype": "float32", "checkpoint_seconds": 0,
        },
        "evaluate": {"prompts": ["hello", "who?"], "reply_tokens": 6, "threads": False, "tone": False},
    }  # fmt: skip
    for key, value in changes.items():
        part, _, name = key.partition("__")
        values[part][name] = value
    return validated(ChatRecipe, values)


def base_and_chat(folder: Path, kind: str) -> tuple[Path, Path]:
    save_checkpoint(
        byte_model(kind, context=2048).to(torch.bfloat16), byte_tokenizer(None), folder / f"{kind}-base"
    )
    add_chat_tokens(str(folder / f"{kind}-base"), folder / f"{kind}-chat")
    return folder / f"{kind}-base", folder / f"{kind}-chat"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return base_and_chat(tmp_path_factory.mktemp("models"), "llama")[1]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "talks.jsonl"
    write_jsonl(path, talks(28))
    return path


@pytest.fixture(scope="module")
def finished(checkpoint: Path, file: Path, tmp_path_factory: pytest.TempPathFactory) -> ChatRun:
    """A run through all stages, with a few of the cases that need earlier turns."""
    some = threads.cases()[:24]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threads, "cases", lambda: some)
        folder = tmp_path_factory.mktemp("finished") / "run"
        with running(folder, recipe(checkpoint, file, evaluate__threads=True, evaluate__tone=True)) as run:
            run.up_to("evaluate")
    return run


@pytest.fixture(scope="module")
def uninterrupted(checkpoint: Path, file: Path, tmp_path_factory: pytest.TempPathFactory) -> ChatRun:
    with running(tmp_path_factory.mktemp("whole") / "run", recipe(checkpoint, file)) as run:
        run.up_to("evaluate")
    return run


def weights(run: ChatRun) -> str:
    return hashlib.sha256(run.run.path("checkpoint", "model.safetensors").read_bytes()).hexdigest()


def numbers(run: ChatRun) -> dict[str, Any]:
    """What was measured, without how long it took."""
    found = read_json(run.run.path("metrics.json"))
    return {key: value for key, value in found.items() if key not in ("timings", "peak_memory_bytes")}


# --- what a run says ----------------------------------------------------------------------------------


def test_a_run_learns_and_every_measure_has_its_n_and_interval(finished: ChatRun) -> None:
    metrics = read_json(finished.run.path("metrics.json"))
    held_out = metrics["mix"]["split"]["validation"]
    for moment in ("before", "after", "change"):
        found = metrics["loss"][moment]
        assert found["n"] == held_out
        assert found["low"] < found["value"] < found["high"]
    assert metrics["loss"]["change"]["high"] < 0
    assert metrics["loss_by_source"][0]["after"] == metrics["loss"]["after"]
    for moment in ("before", "after", "change"):
        for row in metrics["threads"][moment].values():
            assert all(row[measure]["n"] > 0 for measure in ("preferred", "written"))
    for moment in ("before", "after", "change"):
        for level in ("all", "easy", "hard", "invented", "private"):
            row = metrics["tone"][moment][level]
            assert all(found["n"] == (80 if level == "all" else 20) for found in row.values())
        kinds = ("refused", "hedged", "boosted", "bare")
        assert sum(metrics["tone"][moment]["all"][kind]["value"] for kind in kinds) == pytest.approx(
            0 if moment == "change" else 1
        )
    heard = [row for _, row in read_json_lines(finished.run.path("evaluation", "tone-after.jsonl"))]
    assert len(heard) == 80
    assert {row["level"] for row in heard} == {"easy", "hard", "invented", "private"}
    assert set(metrics["timings"]) == {"data", "tune", "evaluate"}
    assert [sample["prompt"] for sample in metrics["replies"]["after"]] == ["hello", "who?"]


def test_the_watched_loss_ends_where_the_evaluation_begins(finished: ChatRun) -> None:
    """Both are the same quantity, in training and by conversation afterwards, in bfloat16."""
    events = [row for _, row in read_json_lines(finished.run.path("events.jsonl"))]
    watched = [row["validation_loss"] for row in events if row["event"] == "validation"]
    loss = read_json(finished.run.path("metrics.json"))["loss"]
    assert watched[0] == pytest.approx(loss["before"]["value"], rel=0.02)
    assert watched[-1] == pytest.approx(loss["after"]["value"], rel=0.02)


def test_all_that_was_written_is_read_by_others(finished: ChatRun) -> None:
    folder = finished.run.path("checkpoint")
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)
    ids = tokenizer.apply_chat_template(
        [{"role": "user", "content": "hello"}], add_generation_prompt=True, return_tensors="pt"
    )["input_ids"]
    made = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=6, do_sample=False)
    replies = read_json(finished.run.path("metrics.json"))["replies"]["after"]
    assert tokenizer.decode(made[0, ids.shape[1] :], skip_special_tokens=True) == replies[0]["greedy"]


def test_stages_that_are_done_are_not_done_again(finished: ChatRun) -> None:
    before = finished.run.path("checkpoint", "model.safetensors").stat().st_mtime_ns
    with running(finished.run.folder, finished.recipe) as again:
        again.up_to("evaluate")
    assert finished.run.path("checkpoint", "model.safetensors").stat().st_mtime_ns == before


def test_a_folder_of_another_recipe_is_refused_by_the_setting(finished: ChatRun, file: Path) -> None:
    other = recipe("elsewhere", file)
    with pytest.raises(CandorError, match="another recipe") as error:
        Run.start(finished.run.folder, other)
    assert "model.name" in str(error.value)


# --- killed and continued -----------------------------------------------------------------------------


class KilledError(BaseException):
    """Stands for the end of the process: nothing catches it."""


def _at_step(patch: pytest.MonkeyPatch) -> None:
    before, steps = Run.event, [0]

    def event(self: Run[ChatRecipe], kind: str, **fields: object) -> None:
        before(self, kind, **fields)
        steps[0] += kind == "step"
        if steps[0] == 3:
            raise KilledError

    patch.setattr(Run, "event", event)


def _calling(name: str, number: int, *, after: bool = False) -> Callable[[pytest.MonkeyPatch], None]:
    """Killed when a function of the stages is called for this time, before or after it did its work."""

    def arrange(patch: pytest.MonkeyPatch) -> None:
        real, calls = getattr(pipeline, name), [0]

        def killing(*given: Any, **options: Any) -> Any:
            calls[0] += 1
            if calls[0] < number:
                return real(*given, **options)
            if after:
                real(*given, **options)
            raise KilledError

        patch.setattr(pipeline, name, killing)

    return arrange


@pytest.mark.parametrize(
    "arrange",
    [
        pytest.param(_calling("write_jsonl", 1, after=True), id="between the two files of data"),
        pytest.param(_at_step, id="while training"),
        pytest.param(_calling("save_checkpoint", 1), id="before the checkpoint"),
        pytest.param(_calling("save_checkpoint", 1, after=True), id="after the checkpoint"),
        pytest.param(_calling("clear_state", 1), id="before the training state is removed"),
        pytest.param(_calling("replies", 2), id="while evaluating"),
    ],
)
def test_a_killed_run_ends_with_the_same_bytes(
    checkpoint: Path,
    file: Path,
    uninterrupted: ChatRun,
    tmp_path: Path,
    arrange: Callable[[pytest.MonkeyPatch], None],
) -> None:
    settings = recipe(checkpoint, file)
    with pytest.MonkeyPatch.context() as patch:
        arrange(patch)
        with running(tmp_path / "run", settings) as run, pytest.raises(KilledError):
            run.up_to("evaluate")
    with running(tmp_path / "run", settings) as run:
        run.up_to("evaluate")
    assert weights(run) == weights(uninterrupted)
    assert numbers(run) == numbers(uninterrupted)
    assert not run.run.path("training").exists()


# --- adapters -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["llama", "qwen2"])  # tied and untied embeddings
def test_lora_trains_and_saves_the_rows_of_new_tokens_and_no_others(
    kind: str, file: Path, tmp_path: Path
) -> None:
    _, chat = base_and_chat(tmp_path, kind)
    settings = recipe(chat, file, tune__lora_rank=2)
    with running(tmp_path / "run", settings) as run:
        run.up_to("tune")
    fresh = sorted(new_rows(chat))
    assert len(fresh) == 2
    assert read_json(run.run.path("tune.json"))["trained_rows"] == fresh
    before = AutoModelForCausalLM.from_pretrained(chat)
    after = AutoModelForCausalLM.from_pretrained(run.run.path("checkpoint"))
    for matrix in ("get_input_embeddings", "get_output_embeddings"):
        old, new = (getattr(model, matrix)().weight for model in (before, after))
        changed = (old != new).any(dim=1).nonzero().flatten().tolist()
        assert changed == fresh
    layers = [
        name for name, value in before.state_dict().items() if "layers.0.mlp" in name and value.ndim == 2
    ]
    assert all(not torch.equal(before.state_dict()[name], after.state_dict()[name]) for name in layers)
    saved = load_file(run.run.path("checkpoint", "model.safetensors"))
    assert not [name for name in saved if "lora" in name or "delta" in name]


def test_tokens_that_were_just_added_count_as_untrained_when_more_are_added(
    checkpoint: Path, tmp_path: Path
) -> None:
    done = add_chat_tokens(str(checkpoint), tmp_path / "again", extra=("<|tool|>",))
    assert new_rows(checkpoint) < new_rows(tmp_path / "again")
    assert new_rows(tmp_path / "again") == set(done.added.present.values()) | set(done.added.fresh.values())
    assert not done.replaced  # it is the same template


# --- the data -----------------------------------------------------------------------------------------


def rows_of(run: ChatRun, side: str) -> list[dict[str, Any]]:
    return [row for _, row in read_json_lines(run.run.path("data", f"{side}.jsonl"))]


def test_the_same_conversation_is_never_on_both_sides(checkpoint: Path, tmp_path: Path) -> None:
    write_jsonl(tmp_path / "twice.jsonl", talks(30) * 2)
    with running(tmp_path / "run", recipe(checkpoint, tmp_path / "twice.jsonl")) as run:
        run.up_to("data")
    train, held_out = (
        {json.dumps(row["messages"]) for row in rows_of(run, side)} for side in ("train", "validation")
    )
    assert len(train) + len(held_out) == 30
    assert held_out
    assert train.isdisjoint(held_out)


def test_what_is_said_about_an_entity_is_on_one_side_across_sources(
    checkpoint: Path, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: dict[str, list[str]] = {"train": [], "validation": []}
    side = gather.side_of

    def noting(document: str, given: ChatRecipe) -> str:
        chosen = side(document, given)
        found[chosen].append(document)
        return chosen

    monkeypatch.setattr(gather, "side_of", noting)
    sources = [{"embedded": name, "conversations": 150} for name in ("facts", "facts_dialogue")]
    with running(tmp_path / "run", recipe(checkpoint, file, data__sources=sources)) as run:
        run.up_to("data")
    both = found["train"] + found["validation"]
    assert len(both) > len(set(both))  # entities do come up more than once
    assert all(document.count("/") == 1 for document in both)
    assert set(found["train"]).isdisjoint(found["validation"])
    assert len(found["validation"]) == len(rows_of(run, "validation"))


def test_rows_that_are_none_stop_the_run_or_are_counted(checkpoint: Path, tmp_path: Path) -> None:
    file = tmp_path / "talks.jsonl"
    bad = [{"messages": [{"role": "user", "content": ""}]}, {"messages": []}, {"messages": []}]
    write_jsonl(file, [*talks(20), *bad])
    with running(tmp_path / "strict", recipe(checkpoint, file)) as run:
        with pytest.raises(CandorError, match=r"talks\.jsonl:21"):
            run.up_to("data")
        assert run.run.discard_if_empty()
    with running(tmp_path / "run", recipe(checkpoint, file, data__skip_invalid=True)) as run:
        run.up_to("data")
    mix = read_json(run.run.path("data", "mix.json"))
    assert mix["left_out"] == 3
    assert sorted(problem["count"] for problem in mix["problems"].values()) == [1, 2]
    assert sum(mix["split"].values()) == 20


def test_a_row_that_the_template_refuses_is_named_or_counted(checkpoint: Path, tmp_path: Path) -> None:
    picky = tmp_path / "picky.jinja"
    no_system = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}"
    picky.write_text(no_system + CHATML_TEMPLATE)
    rows = talks(20)
    rows[4]["messages"] = [{"role": "system", "content": "be brief"}, *rows[4]["messages"]]
    write_jsonl(tmp_path / "talks.jsonl", rows)
    settings = recipe(checkpoint, tmp_path / "talks.jsonl", model__template=str(picky))
    told = pytest.raises(CandorError, match=r"talks\.jsonl:5: .*no system")
    with running(tmp_path / "strict", settings) as run, told:
        run.up_to("data")
    skipping = recipe(
        checkpoint, tmp_path / "talks.jsonl", model__template=str(picky), data__skip_invalid=True
    )
    with running(tmp_path / "run", skipping) as run:
        run.up_to("data")
    mix = read_json(run.run.path("data", "mix.json"))
    assert mix["problems"]["refused by the chat template"]["count"] == 1
    assert sum(mix["split"].values()) == 19


def test_a_source_of_no_weight_is_left_out_of_both_sides(
    checkpoint: Path, file: Path, tmp_path: Path
) -> None:
    write_jsonl(tmp_path / "other.jsonl", [{"messages": talks(1)[0]["messages"]}])
    sources = [{"path": str(file)}, {"path": str(tmp_path / "other.jsonl"), "weight": 0}]
    with running(tmp_path / "run", recipe(checkpoint, file, data__sources=sources)) as run:
        run.up_to("data")
    names = {row["source"] for side in ("train", "validation") for row in rows_of(run, side)}
    assert names == {str(file)}
    by_name = {row["name"]: row for row in read_json(run.run.path("data", "mix.json"))["sources"]}
    assert by_name[str(tmp_path / "other.jsonl")]["conversations"] == 0


@pytest.mark.parametrize(
    ("count", "changes", "told"),
    [
        (8, {"data__validation": 1e-9}, ("none of 8 conversations was held out", "data.validation=0.2")),
        (8, {"data__validation": 1 - 1e-9}, ("all 8 conversations were held out", "lower data.validation")),
        (8, {"data__max_tokens": 16}, ("8 have more than 16 tokens", "raise data.max_tokens")),
    ],
)
def test_too_few_conversations_are_told_with_their_cause(
    checkpoint: Path, tmp_path: Path, count: int, changes: dict[str, Any], told: tuple[str, ...]
) -> None:
    write_jsonl(tmp_path / "talks.jsonl", talks(count))
    settings = recipe(checkpoint, tmp_path / "talks.jsonl", **changes)
    with running(tmp_path / "run", settings) as run, pytest.raises(CandorError) as error:
        run.up_to("data")
    for part in told:
        assert part in str(error.value)


@pytest.mark.parametrize("model", [48, 2048])
def test_long_conversations_are_learned_from_whole_in_pieces_that_the_model_can_read(
    tmp_path: Path, model: int
) -> None:
    folder = tmp_path / "model"
    save_checkpoint(byte_model(context=model).to(torch.bfloat16), byte_tokenizer(), folder)
    write_jsonl(tmp_path / "talks.jsonl", [long_talk(number) for number in range(16)])
    limit = {} if model == 48 else {"data__max_tokens": 48}
    with running(tmp_path / "run", recipe(folder, tmp_path / "talks.jsonl", **limit)) as run:
        run.up_to("evaluate")
    mix = read_json(run.run.path("data", "mix.json"))
    total = mix["total"]
    assert mix["max_tokens"] == 48
    assert (total["split"], total["too_long"], total["lost_turns"]) == (16, 0, 16)
    for side in ("train", "validation"):
        encoded = read_encoded(run.run.path("data", f"{side}.safetensors"))
        rows = rows_of(run, side)
        assert sorted(set(encoded.rows)) == list(range(len(rows)))
        assert max(len(example.token_ids) for example in encoded.examples) <= 48
        for number, row in enumerate(rows):
            said = [turn["content"] for turn in row["messages"] if turn["role"] == "assistant"]
            assert learned_of(encoded, number) == [text for text in said if len(text) < 48]
    loss = read_json(run.run.path("metrics.json"))["loss"]["before"]
    assert loss["n"] == mix["split"]["validation"]  # intervals go by conversation, not by piece


def long_talk(number: int) -> dict[str, Any]:
    turns = []
    for turn in range(6):
        word = f"{WORDS[turn]} {number}"
        reply = "x" * 60 if turn == 3 else f"{word} y{turn}"
        turns += [{"role": "user", "content": word}, {"role": "assistant", "content": reply}]
    return {"messages": turns}


def learned_of(encoded: Encoded, conversation: int) -> list[str]:
    tokenizer = byte_tokenizer()
    found = []
    for example, row in zip(encoded.examples, encoded.rows, strict=True):
        pairs = zip(example.token_ids, example.supervised, strict=True)
        if row == conversation:
            text = tokenizer.decode([token for token, learn in pairs if learn])
            found += text.split("<|end|>")[:-1]
    return found


def test_what_is_too_long_is_dropped_or_refused_if_asked(checkpoint: Path, tmp_path: Path) -> None:
    write_jsonl(tmp_path / "talks.jsonl", [*talks(20), long_talk(1)])
    file = tmp_path / "talks.jsonl"
    dropping = recipe(checkpoint, file, data__max_tokens=120, data__long="drop")
    with running(tmp_path / "drop", dropping) as run:
        run.up_to("data")
    mix = read_json(run.run.path("data", "mix.json"))
    assert (mix["total"]["too_long"], mix["total"]["split"], sum(mix["split"].values())) == (1, 0, 20)
    refusing = recipe(checkpoint, file, data__max_tokens=120, data__long="refuse", data__skip_invalid=True)
    told = pytest.raises(CandorError, match=r"talks\.jsonl:21: has \d+ tokens, more than the 120 allowed")
    with running(tmp_path / "refuse", refusing) as run, told:
        run.up_to("data")


def test_every_conversation_is_tokenised_once_whatever_the_stages(
    checkpoint: Path, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, seen = gather.encode_pieces, []

    def counted(conversation: Any, *given: Any, **options: Any) -> Any:
        seen.append(conversation)
        return real(conversation, *given, **options)

    monkeypatch.setattr(gather, "encode_pieces", counted)
    with running(tmp_path / "run", recipe(checkpoint, file)) as run:
        run.up_to("data")
        train = read_encoded(run.run.path("data", "train.safetensors"))
        tokenizer = run.load_tokenizer()
        rows = [Conversation.model_validate({"messages": row["messages"]}) for row in rows_of(run, "train")]
        assert train.examples == [encode(row, tokenizer) for row in rows]
        run.up_to("evaluate")
    assert len(seen) == 28


def test_without_the_packages_of_facts_tone_is_left_out_and_told(
    checkpoint: Path, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> None:
        raise CandorError("the embedded documents need the package 'x'", fix="pip install x")

    said: list[str] = []
    monkeypatch.setattr(pipeline, "tone_questions", missing)
    monkeypatch.setattr(Reporter, "say", lambda self, text, **fields: said.append(text))
    with running(tmp_path / "run", recipe(checkpoint, file, evaluate__tone=True)) as run:
        run.up_to("evaluate")
    assert "tone" not in read_json(run.run.path("metrics.json"))
    assert any("how sure it sounds is not measured" in text for text in said)


# --- templates ----------------------------------------------------------------------------------------


def test_replies_are_scored_behind_what_the_template_leaves_to_them() -> None:
    tokenizer = byte_tokenizer(None)
    assert lead_of(tokenizer, PLAIN_TEMPLATE) == " "
    assert lead_of(tokenizer, CHATML_TEMPLATE) == ""


def test_a_base_model_is_tuned_with_the_plain_template(tmp_path: Path, file: Path) -> None:
    base, _ = base_and_chat(tmp_path, "llama")
    asked = pytest.raises(CandorError, match="candor chat add-tokens")
    with running(tmp_path / "none", recipe(base, file)) as run, asked:
        run.up_to("data")
    settings = recipe(base, file, model__template="plain")
    with running(tmp_path / "run", settings) as run:
        run.up_to("evaluate")
    assert read_json(run.run.path("metrics.json"))["loss"]["change"]["high"] < 0
    spec = str(run.run.path("checkpoint"))
    assert load_tokenizer(spec).chat_template == load_tokenizer(str(run.run.folder)).chat_template
    assert load_model(spec).get_input_embeddings().weight.shape == (
        load_model(str(base)).get_input_embeddings().weight.shape
    )


def test_the_results_of_a_runs_tools_are_not_learned(checkpoint: Path, tmp_path: Path) -> None:
    turns = [
        {"role": "user", "content": "2 * 3?"},
        {"role": "assistant", "content": "<calc>2*3</calc><result>6</result>"},
    ]
    numbered = [[{**turns[0], "content": f"{i}: 2 * 3?"}, turns[1]] for i in range(12)]
    write_jsonl(tmp_path / "calls.jsonl", [{"messages": messages} for messages in numbered])
    learned = {}
    for tools in ((), ("calculator",)):
        settings = recipe(checkpoint, tmp_path / "calls.jsonl", data__tools=tools)
        with running(tmp_path / f"run{len(tools)}", settings) as run:
            run.up_to("data")
            tokenizer = run.load_tokenizer()
            example = read_encoded(run.run.path("data", "train.safetensors")).examples[0]
            pairs = zip(example.token_ids, example.supervised, strict=True)
            learned[tools] = tokenizer.decode([token for token, learn in pairs if learn])
            counted = read_json(run.run.path("data", "mix.json"))["total"]["supervised"]
            assert counted % sum(example.supervised) == 0
    assert learned == {
        (): "<calc>2*3</calc><result>6</result><|im_end|>",
        ("calculator",): "<calc>2*3</calc><|im_end|>",
    }
