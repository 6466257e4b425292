from __future__ import annotations

import pytest
import torch

from candor.data.conversations import Example
from candor.model.batches import collate, input_length, supervised_places
from candor.train.loss import Objective
from tiny_models import tiny_examples, tiny_model


def huggingface_loss(model, examples):
    """Summed weighted loss the plain way: padded rows, an attention mask, full logits."""
    longest = max(len(e.token_ids) for e in examples)
    ids = torch.zeros(len(examples), longest, dtype=torch.long)
    mask, weights = torch.zeros_like(ids), torch.zeros(len(examples), longest)
    for row, e in enumerate(examples):
        ids[row, : len(e.token_ids)] = torch.tensor(e.token_ids)
        mask[row, : len(e.token_ids)] = 1
        weights[row, : len(e.token_ids)] = torch.tensor(e.supervised) * e.weight
    logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits[:, :-1]
    losses = torch.nn.functional.cross_entropy(logits.transpose(1, 2), ids[:, 1:], reduction="none")
    return (losses * weights[:, 1:]).sum()


@pytest.mark.parametrize("longest", [512, 24, 1])
@pytest.mark.parametrize("packs", [False, True])
@pytest.mark.parametrize("prefix", [0, 10])
@pytest.mark.parametrize("kind", ["llama", "mistral", "qwen2", "qwen3", "gemma3"])
@pytest.mark.parametrize("own", [True, False])  # our kernels, or transformers' modules
def test_loss_and_gradients_equal_the_plain_ones(own, kind, prefix, packs, longest, monkeypatch):
    if not own:
        monkeypatch.setattr("candor.model.forward.stack_of", lambda model: None)
    monkeypatch.setattr("candor.model.packing.LONGEST", longest)  # 24: some are long; 1: all are
    monkeypatch.setattr("candor.model.forward.CHUNK_BYTES", 97 * 4 * 7)  # several chunks, the last one short
    others = tiny_examples(3, seed=1, prefix=0)  # that don't start with the prefix
    model, examples = tiny_model(kind), tiny_examples(prefix=prefix) + others
    expected = huggingface_loss(model, examples)
    (expected / 10).backward()
    expected = float(expected.detach())
    gradients = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()
    objective = Objective(model, examples[0].token_ids)
    assert objective.forward.composed and objective.packs
    assert objective.forward.branches == own
    batch = collate(examples, pad_id=0, packs=packs)
    if packs:
        assert batch.input_ids.shape == (
            1,
            sum(map(input_length, examples)) - prefix * (len(examples) - len(others) - 1),
        )
    assert objective.backward(batch, 10.0) == pytest.approx(expected, rel=1e-5)
    assert objective.loss(batch) == pytest.approx(expected, rel=1e-5)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, gradients[name], rtol=1e-4, atol=1e-5, msg=name)


@pytest.mark.parametrize("chunk", [97 * 4 * 7, None])  # several chunks, the last one short, or one
@pytest.mark.parametrize("packs", [False, True])
def test_what_is_kept_pulls_nowhere_at_first_and_back_afterwards(packs, chunk, monkeypatch):
    if chunk is not None:
        monkeypatch.setattr("candor.model.forward.CHUNK_BYTES", chunk)
    model, examples = tiny_model(), tiny_examples(6)
    kept = [Example(e.token_ids, e.supervised, e.weight, keep=True) for e in examples]
    objective = Objective(model, examples[0].token_ids)
    references = objective.references(kept, pad_id=0)
    with torch.no_grad():
        whole = model(input_ids=torch.tensor([examples[0].token_ids])).logits[0].log_softmax(-1)
    places = [place - 1 for place in supervised_places(examples[0])]
    top = whole[places].topk(64)
    torch.testing.assert_close(references[kept[0]].logprobs, top.values, rtol=1e-4, atol=1e-5)
    rest = (1 - top.values.exp().sum(-1)).log()
    torch.testing.assert_close(references[kept[0]].rest, rest, rtol=1e-3, atol=1e-4)

    batch = collate([*kept, *examples[:2]], pad_id=0, packs=packs, references=references)
    only = collate(kept, pad_id=0, packs=packs, references=references)
    assert objective.backward(only, 1.0) == pytest.approx(0, abs=1e-4)
    assert all(p.grad is None or p.grad.abs().max() < 1e-4 for p in model.parameters())
    hard = float(huggingface_loss(model, examples[:2]).detach())
    assert objective.loss(batch) == pytest.approx(hard, rel=1e-4)

    with torch.no_grad():
        model.lm_head.weight += torch.randn_like(model.lm_head.weight) * 0.05
        now = model(input_ids=torch.tensor([examples[0].token_ids])).logits[0].log_softmax(-1)
    exact = float((whole.exp() * (whole - now)).sum(-1)[places].sum()) * examples[0].weight
    first = collate(kept[:1], pad_id=0, packs=packs, references=references)
    assert 0.5 * exact < objective.loss(first) <= exact


def test_a_model_whose_head_does_not_compose_uses_its_own_forward():
    model, examples = tiny_model(), tiny_examples()
    inner = model.forward

    def scaled(**inputs):
        result = inner(**inputs)
        result.logits = result.logits * 0.1
        return result

    model.forward = scaled
    objective = Objective(model, examples[0].token_ids)
    assert not objective.forward.composed and not objective.packs
    expected = float(huggingface_loss(model, examples).detach())
    assert objective.loss(collate(examples, pad_id=0)) == pytest.approx(expected, rel=1e-5)


def test_only_supervised_positions_send_gradient_back():
    model, examples = tiny_model("qwen3"), tiny_examples(4, prefix=0)
    objective, batch = Objective(model, examples[0].token_ids), collate(examples, pad_id=0)
    seen = []
    model.model.norm.register_full_backward_hook(lambda _, into, out: seen.append(out[0]))
    objective.backward(batch, 1.0)
    active = (seen[0].abs().sum(-1) > 0).flatten()  # where the loss reaches the last hidden states
    expected = torch.zeros_like(active)
    expected[batch.places] = True
    assert torch.equal(active, expected)
    supervised = sum(sum(example.supervised) for example in examples)
    assert int(active.sum()) == supervised < active.numel()


def test_an_example_of_weight_zero_changes_nothing():
    model, examples = tiny_model(), tiny_examples(4)
    zero = collate([Example(e.token_ids, e.supervised, 0.0) for e in examples], pad_id=0)
    assert Objective(model, examples[0].token_ids).backward(zero, 1.0) == 0.0
    assert all(p.grad is None or not p.grad.any() for p in model.parameters())


def test_padding_tokens_do_not_matter():
    model, examples = tiny_model(), tiny_examples()
    objective = Objective(model, examples[0].token_ids)
    losses = {objective.loss(collate(examples, pad_id=pad)) for pad in (0, 50)}
    assert len(losses) == 1
