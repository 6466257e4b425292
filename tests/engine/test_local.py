"""The local engine computes what transformers computes, however the batch is put together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from tiny_engine import (
    ENDS,
    KINDS,
    PROMPTS,
    SHARED,
    VOCABULARY,
    eager,
    greedy_by_transformers,
    ids_of,
    logprobs_by_forward,
    tiny_engine,
    tiny_model,
    tiny_tokenizer,
    words,
)

from candor.core.errors import CandorError
from candor.engine.flow import Flow
from candor.engine.local import LocalEngine
from candor.engine.protocol import Completion, Sampling

MAX_TOKENS = 14
SAMPLED = Sampling(max_tokens=MAX_TOKENS, temperature=1.0, n=3, seed=5)


def counting_calls(engine: LocalEngine) -> list[tuple[int, int, int]]:
    """(rows, columns, real tokens) of each forward pass from now on."""
    calls: list[tuple[int, int, int]] = []

    def note(_module: Any, _arguments: Any, keywords: dict[str, Any]) -> None:
        rows, columns = keywords["input_ids"].shape
        calls.append((rows, columns, int(keywords["attention_mask"][:, -columns:].sum())))

    engine.model.register_forward_pre_hook(note, with_kwargs=True)
    if engine._decoder is not None:
        step = engine._decoder.step

        def noted(tokens: torch.Tensor, slots: Any) -> torch.Tensor:
            calls.append((len(tokens), 1, len(tokens)))
            return step(tokens, slots)

        engine._decoder.step = noted  # type: ignore[method-assign]
    return calls


def drawn(engine: LocalEngine, prompts: list[str], sampling: Sampling) -> list[list[tuple[int, ...]]]:
    return [
        [c.token_ids for c in generation.completions] for generation in engine.generate(prompts, sampling)
    ]


# --- the same numbers as transformers -------------------------------------------------------------------


@pytest.mark.parametrize("max_rows", [3, 64])
@pytest.mark.parametrize("prompts", ["apart", "shared"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("compiled", [True, False])
def test_greedy_tokens_and_logprobs_equal_transformers_generate(
    compiled: bool, kind: str, prompts: str, max_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = tiny_engine(kind, max_rows=max_rows)
    assert (engine._decoder is not None) == (kind != "gpt2"), "which models the compiled step is for"
    if not compiled:
        engine._decoder = None
    groups = []
    chosen = Flow._next_group
    monkeypatch.setattr(Flow, "_next_group", lambda flow: groups.append(1) or chosen(flow))
    lengths = set()
    for prompt, generation in zip(
        PROMPTS[prompts],
        engine.generate(PROMPTS[prompts], Sampling(max_tokens=MAX_TOKENS)),
        strict=True,
    ):
        tokens, logprobs = greedy_by_transformers(kind, prompt, MAX_TOKENS)
        (completion,) = generation.completions
        assert list(completion.token_ids) == tokens
        assert completion.logprobs == pytest.approx(logprobs, abs=1e-4)
        assert completion.finish_reason == ("stop" if tokens[-1] in ENDS else "length")
        assert generation.prompt_tokens == len(ids_of(prompt))
        lengths.add(len(tokens))
    assert len(lengths) > 2, "rows finish at different times, or this shows little"
    assert (len(groups) > 1) == (max_rows == 3), "a small batch has to be joined by waiting prompts"


@pytest.mark.parametrize("kind", KINDS)
def test_sampled_logprobs_equal_those_of_a_full_forward_pass(kind: str) -> None:
    engine = tiny_engine(kind, max_rows=8)
    sampling = Sampling(max_tokens=40, temperature=1.3, top_p=0.9, top_k=50, n=3)
    for prompt, generation in zip(
        PROMPTS["shared"], engine.generate(PROMPTS["shared"], sampling), strict=True
    ):
        for completion in generation.completions:
            expected = logprobs_by_forward(kind, prompt, list(completion.token_ids))
            assert completion.logprobs == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_scores_equal_those_of_a_plain_forward_pass(kind: str) -> None:
    engine = tiny_engine(kind, prefill_tokens=64)  # several groups
    prompts = PROMPTS["apart"]
    tails = [words(length, seed=3) for length in (5, 1, 12, 3, 0, 8, 30, 2, 2, 9)]
    scores = engine.score(prompts, tails)
    for prompt, tail, found in zip(prompts, tails, scores, strict=True):
        assert found == pytest.approx(logprobs_by_forward(kind, prompt, ids_of(tail)), abs=1e-4)
    assert [len(found) for found in scores] == [len(ids_of(tail)) for tail in tails]


@pytest.mark.parametrize("longest", [512, 12])  # at 12 most go another way
@pytest.mark.parametrize("kind", KINDS)
def test_scores_of_several_texts_after_one_prompt_share_its_pass(
    kind: str, longest: int, monkeypatch
) -> None:
    monkeypatch.setattr("candor.model.packing.LONGEST", longest)
    engine = tiny_engine(kind, prefill_tokens=48)
    start = words(4, seed=1)
    stems = [
        start,
        f"{start} {words(3, seed=2)}",
        f"{start} {words(9, seed=3)}",
    ]
    pairs = [(stem, words(length, seed=length)) for stem in stems for length in (1, 2, 6, 11)]
    scores = engine.score(*zip(*pairs, strict=True))
    for (stem, tail), found in zip(pairs, scores, strict=True):
        assert found == pytest.approx(logprobs_by_forward(kind, stem, ids_of(tail)), abs=1e-4)


@pytest.mark.parametrize("prompts", ["apart", "shared"])
@pytest.mark.parametrize("kind", KINDS)
def test_hidden_states_equal_transformers_output_hidden_states(kind: str, prompts: str) -> None:
    engine = tiny_engine(kind, max_rows=3)
    layers = [0, 2, 1, 3]
    generations = engine.generate(PROMPTS[prompts], Sampling(max_tokens=2), hidden_layers=layers)
    model: Any = eager(kind)
    norm = model.transformer.ln_f if kind == "gpt2" else model.model.norm
    for prompt, generation in zip(PROMPTS[prompts], generations, strict=True):
        with torch.no_grad():
            out = model(torch.tensor([ids_of(prompt)]), output_hidden_states=True)
        found = torch.from_numpy(generation.hidden)
        assert found.shape == (4, 32)
        for place, layer in enumerate(layers):
            expected = out.hidden_states[layer][0, -1]
            # transformers' last state has the final norm behind it; the residual stream has not.
            state = norm(found[place]) if layer == engine.layers else found[place]
            torch.testing.assert_close(state, expected, atol=1e-4, rtol=1e-4)


def test_switching_a_model_to_the_engines_attention_changes_no_logits() -> None:
    model = tiny_model("llama")
    engine = LocalEngine(model, tiny_tokenizer())
    ids = torch.tensor([ids_of(PROMPTS["apart"][2])])
    assert model.config._attn_implementation == "candor"
    with torch.no_grad():
        torch.testing.assert_close(engine.model(ids).logits, eager("llama")(ids).logits, atol=1e-4, rtol=1e-4)


# --- nothing depends on the batch ----------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["llama", "gemma3"])
def test_a_completion_does_not_depend_on_its_batch_neighbours(kind: str) -> None:
    together = drawn(tiny_engine(kind, max_rows=64), PROMPTS["shared"], SAMPLED)
    assert drawn(tiny_engine(kind, max_rows=4), PROMPTS["shared"], SAMPLED) == together
    assert drawn(tiny_engine(kind, prefill_tokens=20), PROMPTS["shared"], SAMPLED) == together
    assert drawn(tiny_engine(kind), PROMPTS["shared"][:1], SAMPLED) == together[:1]
    other = [PROMPTS["shared"][0], *PROMPTS["apart"]]
    assert drawn(tiny_engine(kind), other, SAMPLED)[0] == together[0]


def test_the_same_seed_repeats_and_another_seed_or_sample_or_prompt_differs() -> None:
    engine = tiny_engine(ends=[])
    prompts = [PROMPTS["apart"][0]] * 2
    first = drawn(engine, prompts, SAMPLED)
    assert drawn(engine, prompts, SAMPLED) == first
    other = drawn(engine, prompts, Sampling(max_tokens=MAX_TOKENS, temperature=1.0, n=3, seed=6))
    # Two equal prompts, three samples, two seeds: twelve different texts.
    assert len({tokens for half in (first, other) for group in half for tokens in group}) == 12


def test_several_settings_come_back_in_their_order_and_share_one_prefill() -> None:
    engine = tiny_engine()
    plan = [Sampling(max_tokens=3), SAMPLED, Sampling(max_tokens=MAX_TOKENS)]
    for prompt, generation in zip(PROMPTS["apart"], engine.generate(PROMPTS["apart"], plan), strict=True):
        tokens, _ = greedy_by_transformers("llama", prompt, MAX_TOKENS)
        short, *samples, long = [list(completion.token_ids) for completion in generation.completions]
        assert (short, long) == (tokens[:3], tokens)
        assert len(samples) == 3
        assert all(len(sample) <= MAX_TOKENS for sample in samples)


def test_one_prefill_serves_all_completions_of_a_prompt_and_shared_text_is_computed_once() -> None:
    engine = tiny_engine()
    calls = counting_calls(engine)
    engine.generate(PROMPTS["shared"], SAMPLED)
    prefills = [call for call in calls if call[1] > 1]
    shared, total = len(ids_of(SHARED)), sum(len(ids_of(prompt)) for prompt in PROMPTS["shared"])
    assert [rows for rows, _, _ in prefills] == [1, 10]
    assert sum(real for _, _, real in prefills) == shared + total - 10 * shared


def test_rows_that_are_done_leave_the_batch() -> None:
    engine = tiny_engine()
    calls = counting_calls(engine)
    generations = engine.generate(PROMPTS["apart"], Sampling(max_tokens=60, temperature=1.0, n=4))
    lengths = [len(c.token_ids) for generation in generations for c in generation.completions]
    steps = [rows for rows, columns, _ in calls if columns == 1]
    assert len(steps) == max(lengths) - 1
    # Up to an eighth of the rows may be done and still run along.
    assert sum(steps) <= sum(lengths) * 8 / 7
    assert steps == sorted(steps, reverse=True)


def test_a_batch_never_has_more_rows_than_allowed_unless_one_prompt_asks_for_more() -> None:
    engine = tiny_engine(max_rows=7)
    calls = counting_calls(engine)
    engine.generate(PROMPTS["apart"], Sampling(max_tokens=MAX_TOKENS, temperature=1.0, n=2))
    assert max(rows for rows, _, _ in calls) <= 7
    (generation,) = engine.generate(["w20 w21"], Sampling(max_tokens=3, temperature=1.0, n=9))
    assert len(generation.completions) == 9


def test_progress_adds_up_to_the_number_of_prompts() -> None:
    seen: list[int] = []
    tiny_engine(max_rows=4).generate(PROMPTS["apart"], SAMPLED, on_progress=seen.append)
    assert len(seen) > 1
    assert sum(seen) == len(PROMPTS["apart"])


def test_sampled_tokens_are_as_frequent_as_the_model_says() -> None:
    (generation,) = tiny_engine(max_rows=4000).generate(
        ["w30 w31"], Sampling(max_tokens=1, temperature=1.0, n=4000)
    )
    tokens = [completion.token_ids[0] for completion in generation.completions]
    counts = np.bincount(tokens, minlength=VOCABULARY)
    for token in set(tokens):
        (logprob,) = logprobs_by_forward("llama", "w30 w31", [token])
        expected = 4000 * np.exp(logprob)
        assert abs(counts[token] - expected) < 4.5 * np.sqrt(expected) + 1


# --- where a completion ends ---------------------------------------------------------------------------


def greedy(engine: LocalEngine, prompt: str, **settings: Any) -> Completion:
    return engine.generate([prompt], Sampling(**settings))[0].completions[0]


def test_a_stop_string_cuts_the_text_and_ends_the_row() -> None:
    engine, prompt = tiny_engine(ends=[]), PROMPTS["apart"][0]
    whole = greedy(engine, prompt, max_tokens=12)
    assert (whole.finish_reason, len(whole.token_ids)) == ("length", 12)
    words_out = whole.text.split()
    later, earlier = f"{words_out[7]} ", f" {words_out[5]}"  # the first found in the text counts
    first = min(whole.text.find(later), whole.text.find(earlier))
    cut = greedy(engine, prompt, max_tokens=12, stop=(later, earlier, "nowhere"))
    assert cut.text == whole.text[:first]
    assert cut.finish_reason == "stop"
    assert cut.token_ids == whole.token_ids[: len(cut.token_ids)]
    assert len(cut.token_ids) == len(cut.logprobs) < 12
    assert len(cut.text) < len(engine.tokenizer.decode(cut.token_ids)), "the stop string's tokens are there"


def test_an_end_token_is_counted_but_not_shown() -> None:
    engine = tiny_engine()
    for prompt in PROMPTS["apart"]:
        completion = greedy(engine, prompt, max_tokens=MAX_TOKENS)
        shown = [t for t in completion.token_ids if t not in ENDS]
        assert completion.text == engine.tokenizer.decode(shown, skip_special_tokens=True)
        assert len(completion.logprobs) == len(completion.token_ids)
        assert (completion.finish_reason == "stop") == (len(shown) < len(completion.token_ids))


def test_top_logprobs_are_the_most_probable_tokens_of_each_step() -> None:
    engine, prompt = tiny_engine(), PROMPTS["apart"][0]
    completion = greedy(engine, prompt, max_tokens=6, top_logprobs=4)
    assert len(completion.top_logprobs) == len(completion.token_ids)
    done: list[int] = []
    for token, logprob, top in zip(
        completion.token_ids, completion.logprobs, completion.top_logprobs, strict=True
    ):
        alone = {t: logprobs_by_forward("llama", prompt, [*done, t])[-1] for t in range(VOCABULARY)}
        best = sorted(alone, key=alone.__getitem__, reverse=True)[:4]
        assert list(top) == [f"w{t}" for t in best]
        assert list(top.values()) == pytest.approx([alone[t] for t in best], abs=1e-4)
        assert next(iter(top.items())) == (f"w{token}", pytest.approx(logprob, abs=1e-5))
        done.append(token)
    whole = greedy(engine, prompt, max_tokens=1, top_logprobs=VOCABULARY + 5)
    assert len(whole.top_logprobs[0]) == VOCABULARY


def test_finished_rows_that_run_along_stay_inside_a_learned_position_table() -> None:
    """gpt2 has no row for position 96: a full row beside unfinished ones must not ask for it."""
    sampling = Sampling(max_tokens=8)
    prompts = [words(88, seed=index) for index in range(250)]
    lengths = [len(g.completions[0].token_ids) for g in tiny_engine("gpt2").generate(prompts, sampling)]
    full = [prompt for prompt, length in zip(prompts, lengths, strict=True) if length == 8]
    brief = [prompt for prompt, length in zip(prompts, lengths, strict=True) if length == 2]
    # 15 of 16 rows end together; 15 that are prefilled then go on after the first row has filled its context.
    engine = tiny_engine("gpt2", max_rows=16)
    calls = counting_calls(engine)
    generations = engine.generate([full[0], *brief[:15], *full[1:16]], sampling)
    assert [len(g.completions[0].token_ids) for g in generations[-15:]] == [8] * 15
    assert [rows for rows, columns, _ in calls if columns == 1].count(16) > 7, "the full row runs along"


# --- errors --------------------------------------------------------------------------------------------


def test_a_prompt_that_does_not_fit_the_context_is_an_error_that_names_it() -> None:
    engine = tiny_engine()
    prompts = [words(4), words(90)]
    assert len(engine.generate(prompts, Sampling(max_tokens=6))) == 2
    with pytest.raises(CandorError, match=r"prompt 1 has 90 tokens.* context of 96"):
        engine.generate(prompts, Sampling(max_tokens=7))
    with pytest.raises(CandorError, match="97 tokens does not fit"):
        engine.score([words(90)], [words(7)])


def wrong_layer(engine: LocalEngine) -> None:
    engine.generate(["w20"], Sampling(max_tokens=1), hidden_layers=[0, 4])


def empty_prompt(engine: LocalEngine) -> None:
    engine.generate(["w20", ""], Sampling(max_tokens=1))


def messages_without_template(engine: LocalEngine) -> None:
    engine.generate([[{"role": "user", "content": "w20"}]], Sampling(max_tokens=1))


def score_after_nothing(engine: LocalEngine) -> None:
    engine.score_tokens([([], [20, 21])])


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (wrong_layer, "layer 4 does not exist.*has 3 layers"),
        (empty_prompt, "an empty prompt"),
        (messages_without_template, "no chat template(.|\n)*--template plain"),
        (score_after_nothing, "nothing before a text to score"),
    ],
)
def test_what_can_not_be_done_is_an_error_with_a_way_out(
    ask: Callable[[LocalEngine], None], message: str
) -> None:
    engine = tiny_engine()
    with pytest.raises(CandorError, match=message) as caught:
        ask(engine)
    assert caught.value.fix
    # Nothing is left behind that would disturb the next call.
    assert not any(block._forward_hooks or block._forward_pre_hooks for block in engine._blocks)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_tokens", 0),
        ("temperature", -0.1),
        ("temperature", float("nan")),
        ("top_p", 0.0),
        ("top_p", 1.1),
        ("top_k", -1),
        ("n", 0),
        ("stop", ("a", "")),
        ("top_logprobs", -1),
    ],
)
def test_sampling_settings_outside_their_range_are_errors_that_name_them(name: str, value: Any) -> None:
    with pytest.raises(CandorError, match=name):
        Sampling(**{name: value})


def test_a_recurrent_model_is_refused_before_it_computes_nonsense() -> None:
    model = tiny_model("llama")
    model.config.layer_types = ["linear_attention", "full_attention", "full_attention"]
    with pytest.raises(CandorError, match="can't run layers of linear_attention"):
        LocalEngine(model, tiny_tokenizer())


def test_no_prompts_give_no_generations() -> None:
    assert tiny_engine().generate([], Sampling()) == []
