"""Scoring given text with a remote model, as far as its server allows it.

vLLM tokenises for its clients, messages through the model's chat template, so both kinds of prompt are
scored as the local engine does: the completion is tokenised on its own. Other servers can at best echo a
raw prompt with its completion, tokenised as one text; a token that lies across the boundary counts as the
completion's. Nothing outside the server knows what its chat template makes of messages, so those can't be
scored there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from candor.core.errors import CandorError
from candor.engine.endpoint import Endpoint, RefusedError
from candor.engine.prompts import is_ids
from candor.engine.protocol import Message, Prompt
from candor.engine.wire import Choices, LogProbs, Tokens


class RemoteScorer:
    """Log-probabilities of given completions.

    Args:
        endpoint: the server.
        model: the model's name there.
        tokenizes: whether it has vLLM's /tokenize beside /v1.
        echoes_ids: whether it echoes a prompt of token ids, as Candor's own server does.
    """

    def __init__(self, endpoint: Endpoint, model: str, *, tokenizes: bool, echoes_ids: bool = False) -> None:
        self._endpoint = endpoint
        self._model = model
        self._tokenizes = tokenizes
        self._echoes_ids = echoes_ids

    def score(self, prompt: Prompt, completion: str) -> list[float]:
        """Log-probability of each token of `completion` after `prompt`; no end token is added.

        Raises:
            CandorError: the server can't do this.
        """
        if not completion:
            return []
        if self._tokenizes:
            try:
                head = self._tokens(prompt)
                tail = self._tokens(completion, add_special_tokens=False)
            except RefusedError as error:
                if error.status != 404:  # 404: a gateway that passes on nothing but /v1
                    raise
            else:
                return self._by_tokens(head, tail)
        if is_ids(prompt):
            raise self._can_not("it does not tell what text it makes of token ids")
        if not isinstance(prompt, str):
            raise self._can_not("it does not tell what text its chat template makes of the messages")
        return self._by_echo(prompt, completion)

    def _tokens(self, prompt: Prompt, *, add_special_tokens: bool = True) -> tuple[int, ...]:
        body: dict[str, object] = {"model": self._model}
        if is_ids(prompt):
            return tuple(prompt)
        if isinstance(prompt, str):
            body |= {"prompt": prompt, "add_special_tokens": add_special_tokens}
        else:
            messages = cast("Sequence[Message]", prompt)
            body |= {"messages": [dict(message) for message in messages], "add_generation_prompt": True}
        return self._endpoint.post(f"{self._endpoint.root}/tokenize", body, Tokens).tokens

    def _by_tokens(self, head: tuple[int, ...], tail: tuple[int, ...]) -> list[float]:
        if self._echoes_ids:
            return self._by_echoed_ids(head, tail)
        body: dict[str, object] = {
            "model": self._model,
            "prompt": [*head, *tail],
            "max_tokens": 1,
            "prompt_logprobs": 0,  # the prompt's own tokens, no alternatives
        }
        values = self._endpoint.post("/completions", body, Choices).choices[0].prompt_logprobs or ()
        if len(values) != len(head) + len(tail):
            raise self._can_not("it returned no log-probabilities of the prompt")
        scores = []
        for token, entry in zip(tail, values[len(head) :], strict=True):
            if entry is None or token not in entry:
                raise self._can_not("it gives no log-probability for a token of the completion")
            scores.append(entry[token].logprob)
        return scores

    def _by_echoed_ids(self, head: tuple[int, ...], tail: tuple[int, ...]) -> list[float]:
        body: dict[str, object] = {
            "model": self._model,
            "prompt": [*head, *tail],
            "max_tokens": 0,
            "echo": True,
            "logprobs": 0,
        }
        echoed = self._endpoint.post("/completions", body, Choices).choices[0].logprobs or LogProbs()
        values = (echoed.token_logprobs or ())[len(head) :]
        scores = [value for value in values if value is not None]
        if len(scores) != len(tail):
            raise self._can_not("it returned no log-probabilities of the prompt")
        return scores

    def _by_echo(self, prompt: str, completion: str) -> list[float]:
        body: dict[str, object] = {
            "model": self._model,
            "prompt": prompt + completion,
            "max_tokens": 0,
            "echo": True,
            "logprobs": 1,
            "temperature": 0.0,
        }
        try:
            choice = self._endpoint.post("/completions", body, Choices).choices[0]
        except RefusedError as error:
            raise self._can_not(f"it refuses to echo a prompt. {error.message}") from error
        return self._completion_part(choice.logprobs or LogProbs(), prompt, completion)

    def _completion_part(self, echoed: LogProbs, prompt: str, completion: str) -> list[float]:
        """Cut the completion's log-probabilities out of an echoed text, counting characters from its end.

        From the end, because a text may be echoed with a start token in front, which has a length too.
        """
        tokens, values = echoed.tokens or (), echoed.token_logprobs or ()
        if not "".join(tokens).endswith(prompt + completion):
            raise self._can_not("the tokens that it echoes don't add up to the text that it was sent")
        scores: list[float] = []
        left = len(completion)
        for token, value in zip(reversed(tokens), reversed(values), strict=True):
            if left <= 0:
                break
            if value is None:
                raise self._can_not("it gives no log-probability for a token of the completion")
            scores.append(value)
            left -= len(token)
        return scores[::-1]

    def _can_not(self, why: str) -> CandorError:
        return CandorError(
            f"{self._endpoint.url} can't score given text: {why}",
            fix="score with the local engine (--engine local), or serve the model with vLLM",
        )
