from __future__ import annotations

import pytest
import torch
from tiny_models import tiny_examples, tiny_model

from candor.data.conversations import Example
from candor.train.attention import fast_attention
from candor.train.batches import collate
from candor.train.loss import Objective


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


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("share", [False, True])
@pytest.mark.parametrize("kind", ["llama", "qwen3", "gemma3"])
def test_loss_and_gradients_equal_the_plain_ones(kind: str, share: bool, fast: bool, monkeypatch):
    monkeypatch.setattr("candor.train.loss.CHUNK_BYTES", 97 * 4 * 7)  # several chunks, the last one short
    model, examples = tiny_model(kind), tiny_examples()
    expected = huggingface_loss(model, examples)
    (expected / 10).backward()
    expected = float(expected.detach())
    gradients = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()
    with fast_attention(model) if fast else torch.enable_grad():
        objective = Objective(model, examples[0].token_ids)
        assert objective.composed
        assert objective.shares_prefix == (kind != "gemma3"), "a sliding window can't share a prefix"
        batch = collate(examples, pad_id=0, share_prefix=share and objective.shares_prefix)
        assert (batch.prefix is not None) == (share and kind != "gemma3")
        assert objective.backward(batch, 10.0) == pytest.approx(expected, rel=1e-5)
        assert objective.loss(batch) == pytest.approx(expected, rel=1e-5)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, gradients[name], rtol=1e-4, atol=1e-5, msg=name)


def test_a_model_whose_head_does_not_compose_uses_its_own_forward():
    model, examples = tiny_model(), tiny_examples()
    inner = model.forward

    def scaled(**inputs):
        result = inner(**inputs)
        result.logits = result.logits * 0.1
        return result

    model.forward = scaled
    objective = Objective(model, examples[0].token_ids)
    assert not objective.composed and not objective.shares_prefix
    expected = float(huggingface_loss(model, examples).detach())
    assert objective.loss(collate(examples, pad_id=0)) == pytest.approx(expected, rel=1e-5)


def test_only_supervised_positions_send_gradient_back():
    model, examples = tiny_model("qwen3"), tiny_examples(4, prefix=0)
    objective, batch = Objective(model, examples[0].token_ids), collate(examples, pad_id=0)
    seen = []
    model.model.norm.register_full_backward_hook(lambda _, into, out: seen.append(out[0]))
    objective.backward(batch, 1.0)
    active = seen[0].abs().sum(-1) > 0  # [batch, time]: where the loss reaches the last hidden states
    expected = torch.zeros_like(active)
    expected[batch.rows, batch.columns] = True
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
