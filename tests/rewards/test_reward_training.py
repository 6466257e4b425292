"""The training of a reward model: its gradient, its passes, and going on after a kill."""

from __future__ import annotations

import json
import random
import runpy
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from candor.core.errors import CandorError
from candor.rewards.model.objective import Compared, PreferenceObjective, Scored, branched
from candor.rewards.model.settings import RewardSettings
from candor.rewards.model.training import RewardStep, passes, train_reward, updates
from counting_rewards import TINY, counting_pairs, tiny
from tiny_models import tiny_model
from torchrun import program


def comparisons(prompts: int = 3, each: int = 2, seed: int = 0, labelled: bool = False) -> list[Compared]:
    """Texts of a few prompts that start alike."""
    draw, found = random.Random(seed), []
    start = tuple(draw.randrange(3, 97) for _ in range(9))
    for _ in range(prompts):
        head = (*start, *(draw.randrange(3, 97) for _ in range(draw.randint(2, 4))))
        for number in range(each):
            texts = [(*head, *(draw.randrange(3, 97) for _ in range(draw.randint(2, 9)))) for _ in "ab"]
            if labelled:
                found.append(Compared((texts[0],), len(head), 1.0 + number, good=number % 2 == 0))
            else:
                found.append(Compared(tuple(texts), len(head), 1.0 + number, 0.3 * number))
    return found


def by_autograd(scored: Scored, given: list[Compared], centre: float) -> torch.Tensor:
    """The formula, one text at a time through transformers."""

    def reward(text: tuple[int, ...]) -> torch.Tensor:
        hidden = scored.model.get_decoder()(input_ids=torch.tensor([text]), use_cache=False)  # type: ignore[operator]
        return hidden.last_hidden_state[0, -1].float() @ scored.head

    loss = torch.zeros(())
    for one in given:
        rewards = [reward(text) for text in one.texts]
        if len(rewards) == 2:
            chosen, rejected = rewards
            term = -F.logsigmoid(chosen - rejected - one.margin) + centre * (chosen + rejected) ** 2
        else:
            term = -F.logsigmoid(rewards[0] if one.good else -rewards[0])
        loss = loss + one.weight * term
    return loss


@pytest.mark.parametrize("by", ["branches", "sequences", "modules"])
@pytest.mark.parametrize("labelled", [False, True])
@pytest.mark.parametrize("kind", ["llama", "qwen3", "gemma3"])
def test_the_gradient_is_autograds(kind, labelled, by, monkeypatch):
    if by == "modules":  # transformers' own
        monkeypatch.setattr("candor.model.forward.stack_of", lambda model: None)
    if by == "sequences":  # with our kernels, but each text by itself
        monkeypatch.setattr("candor.rewards.model.objective.LONGEST", 0)
    model, given = tiny_model(kind), comparisons(labelled=labelled)
    head = 0.1 * torch.randn(32, generator=torch.Generator().manual_seed(0))
    scored = Scored(model, head)
    total = sum(one.weight for one in given)
    (by_autograd(scored, given, 0.02) / total).backward()
    wanted = {name: p.grad.clone() for name, p in scored.named_parameters() if p.grad is not None}
    truth = float(by_autograd(scored, given, 0.02).detach())
    scored.zero_grad()
    objective = PreferenceObjective(scored, given[0].texts[0], centre=0.02, pad_id=0)
    found = objective.backward(given[:2], total) + objective.backward(given[2:], total)
    assert found.loss == pytest.approx(truth, rel=1e-4) and found.count == len(given)
    assert "head" in wanted and "model.model.layers.0.self_attn.q_proj.weight" in wanted
    for name, parameter in scored.named_parameters():
        if name in wanted:
            assert parameter.grad is not None, name
            assert torch.allclose(parameter.grad, wanted[name], atol=2e-5, rtol=1e-3), name
    assert objective.loss(given).loss == pytest.approx(truth, rel=1e-4)


def test_the_penalty_is_the_only_thing_that_sees_the_level() -> None:
    given = comparisons(1, 1)
    scored = Scored(tiny_model(), torch.zeros(32))
    for centre, wanted in ((0.0, 0.6931), (0.5, 0.6931)):
        found = PreferenceObjective(scored, given[0].texts[0], centre=centre, pad_id=0).loss(given)
        assert found.loss == pytest.approx(wanted, abs=1e-3)  # rewards of 0: log 2, and centred


def test_updates_take_every_comparison_once_a_pass() -> None:
    plan = updates(100, RewardSettings(batch=16, epochs=2))
    assert len(plan) == 14 and {len(part) for part in plan} == {14, 15}
    assert sorted(i for part in plan[:7] for i in part) == list(range(100))
    assert plan != updates(100, RewardSettings(batch=16, epochs=2, seed=1))
    assert len(updates(100, RewardSettings(batch=16, epochs=0.5))) == 4
    assert len(updates(100, RewardSettings(batch=16, max_steps=3))) == 3


def test_a_pass_keeps_to_its_budget_and_loses_nothing() -> None:
    given = comparisons(8, 3)
    for packs, branches in ((True, True), (True, False), (False, False)):
        parts = passes(given, 64, packs=packs, branches=branches)
        assert sorted(i for part in parts for i in part) == list(range(len(given)))
        for part in parts:
            row = branched([given[i] for i in part]).input_ids.shape[1]
            assert len(part) == 1 or row <= 64 + 9, part  # what all begin with comes before
    assert len(passes(given, 64, packs=True, branches=True)) < len(
        passes(given, 64, packs=True, branches=False)
    )


def test_a_prompt_is_in_a_row_once() -> None:
    given = comparisons(3, 2)
    batch = branched(given)
    assert batch.layout is not None and batch.layout.prefix == 9
    own = sum(len(text) - one.prompt for one in given for text in one.texts)
    prompts = {one.texts[0][: one.prompt] for one in given}
    assert batch.input_ids.shape == (1, 9 + sum(len(prompt) - 9 for prompt in prompts) + own)
    read = batch.input_ids[0][batch.places].tolist()
    assert read == [text[-1] for one in given for text in one.texts]


def test_memory_does_not_change_the_result() -> None:
    pairs = counting_pairs(64)
    rewards = []
    for budget in (4096, 60):
        settings = TINY.model_copy(update={"micro_batch_tokens": budget, "epochs": 1.0})
        rewards.append(train_reward(*tiny(), pairs, settings).score(["a:"], ["aab"])[0])
    assert rewards[0] == pytest.approx(rewards[1], abs=1e-3)


@pytest.mark.parametrize("how", [{"frozen": 0.5}, {"lora_rank": 4, "learning_rate": 3e-3}])
def test_parts_of_a_model_can_be_trained(how) -> None:
    model, tokenizer = tiny()
    before = {name: p.clone() for name, p in model.named_parameters()}
    reward = train_reward(model, tokenizer, counting_pairs(400), TINY.model_copy(update=how))
    moved = {n for n, p in reward.model.named_parameters() if not torch.equal(p, before[n])}
    assert any(".layers.1." in name for name in moved)
    assert "model.embed_tokens.weight" not in moved
    assert any(".layers.0." in name for name in moved) == ("lora_rank" in how)
    assert all(p.requires_grad for p in model.parameters()) or "lora_rank" in how


class KilledError(Exception):
    pass


def test_a_killed_training_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    pairs = counting_pairs(96)
    settings = TINY.model_copy(update={"checkpoint_seconds": 0.0, "epochs": 1.0})
    steps: list[int] = []

    def kill(step: RewardStep) -> None:
        steps.append(step.step)
        if step.step == 4:
            raise KilledError

    straight = train_reward(*tiny(), pairs, settings)
    with pytest.raises(KilledError):
        train_reward(*tiny(), pairs, settings, folder=tmp_path, on_step=kill)
    resumed = train_reward(
        *tiny(), pairs, settings, folder=tmp_path, on_step=lambda one: steps.append(one.step)
    )
    assert steps == [1, 2, 3, 4, 4, *range(5, 13)]  # the fourth was not saved yet
    for (name, a), (_, b) in zip(
        straight.model.named_parameters(), resumed.model.named_parameters(), strict=True
    ):
        assert torch.equal(a, b), name
    assert torch.equal(straight.head, resumed.head)
    with pytest.raises(CandorError, match="other data, settings or model"):
        train_reward(*tiny(), pairs[:-1], settings, folder=tmp_path)


CHANGED = """
import json, sys
from pathlib import Path
import torch
from counting_rewards import TINY, counting_pairs, tiny
from safetensors.torch import save_file
from candor.rewards.model import training

torch.set_num_threads(1)
update = training._Training._update

class KilledError(Exception):
    pass

def train(changes, folder, last):
    '''Train; all processes end before the update `last`.'''
    def updating(self):
        if self.step == last:
            raise KilledError
        return update(self)

    training._Training._update = updating
    model, tokenizer = tiny()
    settings = TINY.model_copy(update={"checkpoint_seconds": 0, **changes})
    losses = []
    try:
        reward = training.train_reward(
            model, tokenizer, counting_pairs(60), settings, folder=folder,
            on_step=lambda step: losses.append((step.loss, step.accuracy)),
        )
    except KilledError:
        return None
    finally:
        training._Training._update = update
    return {**reward.model.state_dict(), "head": reward.head.detach()}, losses

if __name__ == "__main__":
    job, root, last = json.loads(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    for name, changes in job.items():
        found = train(changes, root / name, last)
        if found is not None and torch.distributed.get_rank() == 0:
            weights, losses = found
            save_file({key: value.clone() for key, value in weights.items()}, root / f"{name}.safetensors")
            (root / f"{name}.json").write_text(json.dumps(losses))
        assert found is None or bool(found[1]) == (torch.distributed.get_rank() == 0)
"""


@pytest.mark.slow
def test_what_two_processes_began_is_gone_on_with_by_one_and_by_two_again(tmp_path: Path) -> None:
    script = tmp_path / "reward_program.py"
    script.write_text(CHANGED)
    # An update of one micro-batch, cut so that both have something to do; many; and adapters.
    job = {"whole": {}, "cut": {"micro_batch_tokens": 32}, "adapters": {"lora_rank": 2}}
    train = runpy.run_path(str(script))["train"]
    program(script, json.dumps(job), tmp_path, 4, processes=2)
    for name, changes in job.items():
        assert [path.name for path in (tmp_path / name).iterdir()] == ["step-00000004"]
        assert train(changes, tmp_path / name, 8) is None
    program(script, json.dumps(job), tmp_path, -1, processes=2)
    for name, changes in job.items():
        alone, losses = train(changes, None, -1)
        found, last = (
            load_file(tmp_path / f"{name}.safetensors"),
            json.loads((tmp_path / f"{name}.json").read_text()),
        )
        assert len(losses) > 12 and len(last) == len(losses) - 8
        for one, other in zip(last, losses[8:], strict=True):
            assert one == pytest.approx(other, rel=1e-4), name
        gaps = {key: float((alone[key] - value).abs().max()) for key, value in found.items()}
        assert max(gaps.values()) < 1e-4, (name, gaps)
