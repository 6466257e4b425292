"""One model, asked in process and through a socket: the two engines agree."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from openai_server import OpenAIServer
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from candor.engine.local import LocalEngine
from candor.engine.protocol import Completion, Message, Sampling
from candor.engine.remote import RemoteEngine

CHARACTERS = "abcdefghijklmnopqrstuvwxyz <>"
TEMPLATE = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}<assistant>"
PROMPTS = ["the cat sat", "on a mat", [Message(role="user", content="who sat")]]


@pytest.fixture(scope="module")
def local() -> LocalEngine:
    """A random two-layer Llama over single characters; weights large enough that its logits differ."""
    torch.manual_seed(0)
    vocabulary = {character: index for index, character in enumerate(CHARACTERS)} | {"[end]": len(CHARACTERS)}
    core = Tokenizer(models.WordLevel(vocabulary, unk_token="[end]"))
    core.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")  # type: ignore[assignment]
    core.decoder = decoders.Fuse()  # type: ignore[assignment]
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, eos_token="[end]", pad_token="[end]")
    tokenizer.chat_template = TEMPLATE
    config = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        initializer_range=0.5,
        eos_token_id=vocabulary["[end]"],
        pad_token_id=vocabulary["[end]"],
        tie_word_embeddings=False,
    )
    return LocalEngine(LlamaForCausalLM(config).eval(), tokenizer, name="tiny")


@pytest.fixture(scope="module")
def remote(local: LocalEngine) -> Iterator[RemoteEngine]:
    with OpenAIServer() as server:
        server.answer = Backend(local)
        yield RemoteEngine(server.url, concurrency=4)


class Backend:
    """Answers requests in OpenAI's terms with a local engine."""

    def __init__(self, engine: LocalEngine) -> None:
        self.engine = engine
        self.lock = threading.Lock()

    def __call__(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        with self.lock:
            if body.get("echo"):
                return {"choices": [self.echo(body["prompt"])]}
            sampling = Sampling(
                max_tokens=body["max_tokens"],
                temperature=body["temperature"],
                top_p=body["top_p"],
                n=body.get("n", 1),
                seed=body["seed"],
                stop=tuple(body.get("stop", ())),
                top_logprobs=body.get("top_logprobs", body["logprobs"]),
            )
            (generation,) = self.engine.generate([body.get("messages") or body["prompt"]], sampling)
        choose = self.chat_choice if path.endswith("/chat/completions") else self.text_choice
        choices = [choose(index, c) for index, c in enumerate(generation.completions)]
        return {"choices": choices, "usage": {"prompt_tokens": generation.prompt_tokens}}

    def tokens(self, completion: Completion) -> list[str]:
        return [str(self.engine.tokenizer.decode([token])) for token in completion.token_ids]

    def chat_choice(self, index: int, completion: Completion) -> dict[str, Any]:
        content = [
            {
                "token": token,
                "logprob": logprob,
                "top_logprobs": [{"token": t, "logprob": p} for t, p in top.items()],
            }
            for token, logprob, top in zip(
                self.tokens(completion), completion.logprobs, completion.top_logprobs, strict=True
            )
        ]
        return {
            "index": index,
            "message": {"role": "assistant", "content": completion.text},
            "finish_reason": completion.finish_reason,
            "logprobs": {"content": content},
        }

    def text_choice(self, index: int, completion: Completion) -> dict[str, Any]:
        return {
            "index": index,
            "text": completion.text,
            "finish_reason": completion.finish_reason,
            "logprobs": {
                "tokens": self.tokens(completion),
                "token_logprobs": completion.logprobs,
                "top_logprobs": completion.top_logprobs,
            },
        }

    def echo(self, text: str) -> dict[str, Any]:
        (scores,) = self.engine.score([text[0]], [text[1:]])
        return {"text": text, "logprobs": {"tokens": list(text), "token_logprobs": [None, *scores]}}


def test_greedy_text_and_logprobs_agree(local: LocalEngine, remote: RemoteEngine) -> None:
    sampling = Sampling(max_tokens=12, top_logprobs=3, stop=("q",))
    for here, there in zip(
        local.generate(PROMPTS, sampling), remote.generate(PROMPTS, sampling), strict=True
    ):
        (mine,), (theirs,) = here.completions, there.completions
        assert (theirs.text, theirs.finish_reason) == (mine.text, mine.finish_reason)
        assert theirs.logprobs == pytest.approx(mine.logprobs, abs=1e-4)
        assert [list(top) for top in theirs.top_logprobs] == [list(top) for top in mine.top_logprobs]
        assert there.prompt_tokens == here.prompt_tokens


def test_samples_carry_the_models_own_logprobs(local: LocalEngine, remote: RemoteEngine) -> None:
    """Whatever the temperature: scoring a sampled text in process gives what the server returned with it."""
    sampling = Sampling(max_tokens=8, temperature=0.5, n=3, seed=1)
    raw = [prompt for prompt in PROMPTS if isinstance(prompt, str)]
    for prompt, generation in zip(raw, remote.generate(raw, sampling), strict=True):
        assert len({completion.text for completion in generation.completions}) > 1
        for completion in generation.completions:
            (scores,) = local.score([prompt], [completion.text])
            assert list(completion.logprobs[: len(scores)]) == pytest.approx(scores, abs=1e-4)


def test_scores_agree(local: LocalEngine, remote: RemoteEngine) -> None:
    prompts, completions = ["the cat", "a mat"], [" sat on", ""]
    here, there = local.score(prompts, completions), remote.score(prompts, completions)
    assert [len(scores) for scores in there] == [7, 0]
    assert there[0] == pytest.approx(here[0], abs=1e-4)
