from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from candor.core.errors import CandorError
from candor.data.conversations import Example
from candor.model.batches import collate
from candor.train.adapters import merged
from candor.train.loop import StepMetrics, fit, learning_rate
from candor.train.loss import Objective
from candor.train.plan import plan
from candor.train.settings import TrainSettings
from candor.train.state import clear_state
from processes import in_two
from tiny_models import tiny_examples, tiny_model

FAST = {
    "learning_rate": 1e-2,
    "epochs": 4,
    "batch_tokens": 80,
    "micro_batch_tokens": 80,
    "dtype": "float32",
}


def weights_of(model) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def share_changed(left, right) -> float:
    pairs = zip(left.parameters(), right.parameters(), strict=True)
    return float(torch.cat([(a != b).flatten() for a, b in pairs]).float().mean())


def assert_same(left, right, **tolerance):
    assert left.keys() == right.keys()
    for name in left:
        torch.testing.assert_close(left[name], right[name], **(tolerance or {"rtol": 0, "atol": 0}), msg=name)


def test_eight_examples_are_learned_by_heart():
    examples, seen = tiny_examples(8), []
    settings = TrainSettings(learning_rate=1e-2, epochs=60, batch_tokens=400, grad_clip=0)
    result = fit(tiny_model(dtype=torch.bfloat16), examples, settings, pad_id=0, on_step=seen.append)
    assert seen[0].loss > 2 and seen[-1].loss < 0.05
    assert [metrics.step for metrics in seen] == list(range(1, result.steps + 1))
    assert all(isinstance(m, StepMetrics) and m.supervised_tokens > 0 and m.grad_norm > 0 for m in seen)


def test_small_updates_survive_in_masters_and_vanish_in_bf16():
    examples = tiny_examples(4)
    settings = TrainSettings(learning_rate=2e-5, epochs=50, batch_tokens=400, schedule="constant", warmup=0)
    start = tiny_model(dtype=torch.bfloat16)
    tuned = fit(tiny_model(dtype=torch.bfloat16), examples, settings, pad_id=0).model
    moved = share_changed(start, tuned)

    pure = tiny_model(dtype=torch.bfloat16)
    optimizer = torch.optim.AdamW(pure.parameters(), lr=2e-5, weight_decay=0, betas=settings.betas)
    objective, batch = Objective(pure, examples[0].token_ids), collate(examples, pad_id=0)
    for _ in range(50):
        optimizer.zero_grad()
        objective.backward(batch, float(batch.weights.sum()))
        optimizer.step()
    stuck = share_changed(start, pure)
    # 50 steps of 2e-5 are 1e-3 in all, about 1/256 of a typical weight of 0.2: visible once added up.
    assert moved > 0.5
    assert stuck < 0.1


def test_an_update_does_not_depend_on_how_it_is_cut():
    seen, gradients, cuts = [], [], set()
    for micro in (10_000, 60, 1):
        settings = TrainSettings(**{**FAST, "batch_tokens": 200, "micro_batch_tokens": micro, "max_steps": 1})
        fit(tiny_model(), tiny_examples(), settings, pad_id=0, on_step=seen.append)
        # Gradients, not weights: Adam's first step is the gradient's sign, whose rounding would hide nothing.
        model, examples = tiny_model(), tiny_examples()
        objective = Objective(model, examples[0].token_ids)
        (step,) = plan(examples, settings, packs=True)
        parts = [collate([examples[i] for i in part], pad_id=0, packs=True) for part in step]
        weight = sum(float(part.weights.sum()) for part in parts)
        for part in parts:
            objective.backward(part, weight)
        gradients.append({name: parameter.grad for name, parameter in model.named_parameters()})
        cuts.add(len(step))
    assert len(cuts) == 3, "the three cuts differ"
    for other in (1, 2):
        assert_same(gradients[0], gradients[other], rtol=1e-5, atol=1e-6)
        assert seen[other].loss == pytest.approx(seen[0].loss, rel=1e-6)
        assert seen[other].grad_norm == pytest.approx(seen[0].grad_norm, rel=1e-5)
        assert seen[other].supervised_tokens == seen[0].supervised_tokens


def test_clipping_scales_the_gradient_to_the_limit():
    from candor.train.masters import Masters

    after = []
    for clip, scale in ((0.0, 0.25), (1.0, 1.0)):
        model = torch.nn.Linear(4, 1, bias=False)
        model.weight.data.fill_(1.0)
        masters = Masters(model, TrainSettings(grad_clip=clip))
        model.weight.grad = torch.full((1, 4), 2.0 * scale)  # norm 4, or 1
        assert masters.step(0.1) == pytest.approx(4 * scale)
        after.append(dict(masters.tensors())["exp_avg.weight"].clone())
    torch.testing.assert_close(after[0], after[1])


def test_lora_leaves_the_base_frozen_and_merges_into_an_ordinary_model():
    base, examples = weights_of(tiny_model()), tiny_examples(8)
    settings = TrainSettings(**{**FAST, "epochs": 30, "lora_rank": 4, "lora_alpha": 8.0})
    seen: list[StepMetrics] = []
    result = fit(tiny_model(), examples, settings, pad_id=0, on_step=seen.append)
    frozen = {
        name.removeprefix("base_model.model.").replace(".base_layer", ""): value
        for name, value in result.model.state_dict().items()
        if "lora_" not in name
    }
    assert_same(frozen, base)
    assert seen[-1].loss < seen[0].loss / 2
    ids = torch.tensor([examples[0].token_ids])
    before = result.model(input_ids=ids).logits
    plain = merged(result.model)
    assert plain.state_dict().keys() == base.keys()
    torch.testing.assert_close(plain(input_ids=ids).logits, before, rtol=1e-4, atol=1e-4)


def test_same_seed_same_weights_and_another_seed_others():
    def run(seed):
        settings = TrainSettings(**FAST, seed=seed)
        return weights_of(fit(tiny_model(), tiny_examples(), settings, pad_id=0).model)

    assert_same(run(1), run(1))
    with pytest.raises(AssertionError):
        assert_same(run(1), run(2))


def test_muon_steps_inner_matrices_and_adamw_the_rest():
    """Against torch's optimisers by hand: a first step of both, gradients clipped."""
    settings = TrainSettings(
        **{**FAST, "optimizer": "muon", "max_steps": 1, "batch_tokens": 400, "warmup": 0}
    )
    settings = settings.model_copy(update={"weight_decay": 0.1, "grad_clip": 0.5})
    seen: list[StepMetrics] = []
    ours = fit(tiny_model(), tiny_examples(), settings, pad_id=0, on_step=seen.append).model
    assert seen[0].grad_norm > 0.5, "or nothing is clipped"

    plain, examples = tiny_model(), tiny_examples()
    batch = collate(examples, pad_id=0)
    Objective(plain, examples[0].token_ids).backward(batch, float(batch.weights.sum()))
    torch.nn.utils.clip_grad_norm_(plain.parameters(), 0.5)
    inner = [p for name, p in plain.named_parameters() if "_proj" in name]
    outer = [p for name, p in plain.named_parameters() if "_proj" not in name]
    rate = seen[0].learning_rate
    torch.optim.Muon(inner, lr=rate, weight_decay=0.1, adjust_lr_fn="match_rms_adamw").step()
    decayed = [{"params": [p], "weight_decay": 0.1 if p.ndim > 1 else 0.0} for p in outer]
    torch.optim.AdamW(decayed, lr=rate, betas=settings.betas).step()
    # Muon orthogonalises in bfloat16, so a gradient's last bit may show in a step of .01 · .2 · √48.
    assert_same(weights_of(ours), weights_of(plain), rtol=0, atol=5e-4)


class KilledError(Exception):
    pass


@pytest.mark.parametrize("settings", [{}, {"dtype": "bf16"}, {"lora_rank": 2}, {"optimizer": "muon"}])
def test_interrupted_and_continued_equals_uninterrupted(tmp_path: Path, settings):
    chosen = TrainSettings(**{**FAST, "checkpoint_seconds": 0, **settings})
    held_out = tiny_examples(3, seed=9)
    whole = fit(tiny_model(), tiny_examples(), chosen, pad_id=0, evaluate=held_out)

    def stop(metrics: StepMetrics) -> None:
        if metrics.step == 5:
            raise KilledError

    folder = tmp_path / "state"
    with pytest.raises(KilledError):
        fit(tiny_model(), tiny_examples(), chosen, pad_id=0, folder=folder, on_step=stop, evaluate=held_out)
    assert [path.name for path in folder.iterdir()] == ["step-00000004"], "the latest whole state only"
    result = fit(tiny_model(), tiny_examples(), chosen, pad_id=0, folder=folder, evaluate=held_out)
    assert result.resumed_from == 4
    assert_same(weights_of(result.model), weights_of(whole.model))
    assert (result.validation, result.loss, result.steps) == (whole.validation, whole.loss, whole.steps)
    assert folder.exists(), "the state is there until the result is safe"
    clear_state(folder)
    assert not folder.exists()


CHILD = """
import sys, time
from pathlib import Path
import torch
from tiny_models import tiny_examples, tiny_model
from candor.train.loop import fit
from candor.train.settings import TrainSettings

torch.set_num_threads(1)

def slow(metrics):
    print(metrics.step, flush=True)
    time.sleep(0.2)

settings = TrainSettings.model_validate_json(sys.argv[2])
fit(tiny_model(), tiny_examples(), settings, pad_id=0, folder=Path(sys.argv[1]), on_step=slow)
"""


def test_sigkill_and_the_same_call_again_give_bitwise_the_same_weights(tmp_path: Path):
    settings = TrainSettings(**{**FAST, "dtype": "bf16", "checkpoint_seconds": 0})
    command = [sys.executable, "-c", CHILD, str(tmp_path / "state"), settings.model_dump_json()]
    here = Path(__file__).parents[1]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=here) as killed:
        assert killed.stdout is not None
        for line in killed.stdout:
            if line.strip() == "6":
                killed.send_signal(signal.SIGKILL)
                break
    assert killed.returncode == -signal.SIGKILL
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        whole = fit(tiny_model(), tiny_examples(), settings, pad_id=0)
        again = fit(tiny_model(), tiny_examples(), settings, pad_id=0, folder=tmp_path / "state")
    finally:
        torch.set_num_threads(threads)
    assert (whole.resumed_from, again.resumed_from) == (0, 5)
    assert_same(weights_of(again.model), weights_of(whole.model))


def test_a_state_of_other_settings_is_refused(tmp_path: Path):
    def stop(metrics: StepMetrics) -> None:
        if metrics.step == 2:
            raise KilledError

    chosen = TrainSettings(**FAST, checkpoint_seconds=0)
    with pytest.raises(KilledError):
        fit(tiny_model(), tiny_examples(), chosen, pad_id=0, folder=tmp_path, on_step=stop)
    with pytest.raises(CandorError, match="other examples, settings or model"):
        fit(tiny_model(), tiny_examples(11), chosen, pad_id=0, folder=tmp_path)
    with pytest.raises(CandorError, match="other examples, settings or model"):
        fit(tiny_model(seed=1), tiny_examples(), chosen, pad_id=0, folder=tmp_path)


def test_a_full_disk_keeps_the_older_state_and_says_so(tmp_path: Path, monkeypatch):
    from candor.train import state

    tensors = [("a", torch.ones(3)), ("b", torch.zeros(()))]
    state.save_state(tmp_path, 1, tensors, {"fingerprint": "x"})
    real = Path.write_bytes

    def full(path: Path, data: bytes) -> int:
        real(path, data[:4])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(CandorError, match="disk is full"):
        state.save_state(tmp_path, 2, tensors, {"fingerprint": "x"})
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001"]
    into = [("a", torch.zeros(3)), ("b", torch.ones(()))]
    state.load_state(tmp_path, into)
    assert into[0][1].tolist() == [1, 1, 1] and float(into[1][1]) == 0


def test_a_loss_that_is_no_number_stops_the_run():
    model = tiny_model()
    model.model.norm.weight.data.fill_(math.nan)
    with pytest.raises(CandorError, match="no longer a number"):
        fit(model, tiny_examples(), TrainSettings(**FAST), pad_id=0)


def test_nothing_to_learn_is_refused():
    with pytest.raises(CandorError, match="nothing to train on"):
        fit(tiny_model(), [], TrainSettings(), pad_id=0)


@pytest.mark.parametrize("rank", [0, 2])
def test_the_lower_layers_and_the_embeddings_can_be_left_alone(rank: int):
    before, settings = weights_of(tiny_model()), TrainSettings(**FAST, frozen=0.5, lora_rank=rank)
    after = weights_of(merged(fit(tiny_model(), tiny_examples(), settings, pad_id=0).model))
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert any(name.startswith("model.layers.1.") for name in changed)
    assert not any(".layers.0." in name or "embed" in name or "lm_head" in name for name in changed)


@pytest.mark.parametrize("schedule", ["cosine", "linear", "constant"])
def test_the_rate_rises_then_falls_to_a_tenth(schedule):
    settings = TrainSettings(learning_rate=1.0, warmup=0.1, schedule=schedule)
    rates = [learning_rate(step, 100, settings) for step in range(100)]
    assert rates[:10] == pytest.approx([(i + 1) / 11 for i in range(10)])
    assert rates[10] == pytest.approx(1.0) and max(rates) == rates[10]
    assert rates[99] == pytest.approx(1.0 if schedule == "constant" else 0.1, abs=0.01)
    assert rates[10:] == sorted(rates[10:], reverse=True)


def test_attention_and_mode_of_the_model_are_left_as_they_were():
    model = tiny_model()
    before = model.config._attn_implementation
    settings = TrainSettings(**FAST, max_steps=1, frozen=0.5)
    result = fit(model, tiny_examples(), settings, pad_id=0)
    assert model.config._attn_implementation == before and not result.model.training
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("kind", ["llama", "gemma3"])
def test_computing_activations_again_changes_nothing(kind: str):
    plain = fit(tiny_model(kind), tiny_examples(), TrainSettings(**FAST), pad_id=0)
    settings = TrainSettings(**FAST, gradient_checkpointing=True)
    again = fit(tiny_model(kind), tiny_examples(), settings, pad_id=0)
    assert_same(weights_of(again.model), weights_of(plain.model))
    assert not again.model.is_gradient_checkpointing


def trained(settings: dict[str, Any], folder: str, last: int = 0) -> dict[str, Any]:
    """What a training gives, in this process alone or as one of two; at step `last` it is killed."""
    examples, losses = tiny_examples(24), []

    def note(metrics: StepMetrics) -> None:
        losses.append(metrics.loss)
        if metrics.step == last:
            raise SystemExit("killed here")

    arguments: dict[str, Any] = {"pad_id": 0, "on_step": note, "evaluate": examples[:4]}
    try:
        chosen = TrainSettings(**settings)
        result = fit(tiny_model(), examples[4:], chosen, folder=Path(folder), **arguments)
    except CandorError as error:
        return {"refused": str(error)}
    if not losses:
        return {}  # the second process
    return {
        "losses": losses,
        "validation": [value for _, value in result.validation],
        "norm": sum(float(p.detach().double().norm()) for p in result.model.parameters()),
        "resumed_from": result.resumed_from,
    }


def train_all(cases: str, into: str) -> None:
    """In one of two processes: train so, one after the other; the first one writes what came of it."""
    torch.set_num_threads(1)
    found = [trained(*case) for case in json.loads(cases)]
    if os.environ["RANK"] == "0":
        Path(into).write_text(json.dumps(found))


# At 4096 an update is one micro-batch, cut so that both processes have something to do; at 24 there are many,
# and not always equally many for both.
CUTS = [(24, False), (4096, False), (24, True)]
SHARDED = {**FAST, "sharded": True, "checkpoint_seconds": 0}
REFUSED = [("lora_rank", 2), ("optimizer", "muon")]


def cut(micro: int, sharded: bool) -> dict[str, Any]:
    return {**FAST, "batch_tokens": 96, "micro_batch_tokens": micro, "sharded": sharded}


@pytest.fixture(scope="module")
def by_two(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What two processes say of all of these: starting them takes longer than the trainings."""
    folder, into = tmp_path_factory.mktemp("two"), tmp_path_factory.mktemp("found") / "found.json"
    settings = [*(cut(*one) for one in CUTS), SHARDED, *({**SHARDED, name: value} for name, value in REFUSED)]
    cases = [(one, str(folder / str(place))) for place, one in enumerate(settings)]
    ended = in_two(train_all, json.dumps(cases), str(into))
    assert ended.well, ended.err
    return json.loads(into.read_text())


@pytest.mark.parametrize("case", range(len(CUTS)))
def test_two_processes_have_the_losses_of_one(tmp_path: Path, by_two: list[dict[str, Any]], case: int):
    one, two = trained(cut(*CUTS[case]), str(tmp_path / "state")), by_two[case]
    assert len(one["losses"]) >= 8
    assert two["losses"] == pytest.approx(one["losses"], rel=1e-5)
    assert two["validation"] == pytest.approx(one["validation"], rel=1e-5)
    assert two["norm"] == pytest.approx(one["norm"], rel=1e-6)


def test_sharded_training_goes_on_where_it_was_killed(tmp_path: Path, by_two: list[dict[str, Any]]):
    whole, state, into = by_two[len(CUTS)], str(tmp_path / "state"), tmp_path / "found.json"
    killed = in_two(train_all, json.dumps([(SHARDED, state, 5)]), str(into))
    assert not killed.well and "killed here" in killed.err
    assert not into.exists()
    ended = in_two(train_all, json.dumps([(SHARDED, state)]), str(into))
    assert ended.well, ended.err
    (found,) = json.loads(into.read_text())
    assert found == {**whole, "losses": whole["losses"][4:], "resumed_from": 4}


@pytest.mark.parametrize("place", range(len(REFUSED)))
def test_what_can_not_be_sharded_is_refused(by_two: list[dict[str, Any]], place: int):
    name, value = REFUSED[place]
    assert f"{name} = {value} don't go together" in by_two[len(CUTS) + 1 + place]["refused"]


@pytest.mark.parametrize("kind", ["llama", "qwen3"])  # tied and untied
def test_lora_trains_rows_of_new_tokens_and_keeps_all_others(kind: str) -> None:
    model = tiny_model(kind)
    before = [
        matrix.clone()
        for matrix in (model.get_input_embeddings().weight, model.get_output_embeddings().weight)
    ]
    settings = TrainSettings(learning_rate=1e-2, epochs=2, lora_rank=2, lora_tokens=(5, 7), dtype="float32")
    examples = [
        Example((*one.token_ids[:-1], 7, 5), (*one.supervised[:-1], True, True)) for one in tiny_examples(8)
    ]
    tuned = merged(fit(model, examples, settings, pad_id=0).model)
    assert type(tuned).__name__ == type(tiny_model(kind)).__name__
    others = [row for row in range(97) if row not in (5, 7)]
    for old, new in zip(
        before, (tuned.get_input_embeddings().weight, tuned.get_output_embeddings().weight), strict=True
    ):
        assert torch.equal(old[others], new[others])
        assert not torch.allclose(old[[5, 7]], new[[5, 7]], atol=1e-4)
