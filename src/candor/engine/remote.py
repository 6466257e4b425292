"""An engine over HTTP: any OpenAI-compatible server (vLLM, llama.cpp, Ollama, OpenAI …).

    RemoteEngine("http://127.0.0.1:8000").generate(["The capital of France is"], Sampling(max_tokens=5))

Messages go to /v1/chat/completions and raw text to /v1/completions. What a server can't do is found out by
asking: samples it does not return are asked for again, options it refuses are left out.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import cached_property, partial
from typing import TypeVar, cast

from candor.core.errors import CandorError
from candor.engine.endpoint import Endpoint, RefusedError
from candor.engine.prompts import is_ids
from candor.engine.protocol import (
    Completion,
    Generation,
    Message,
    Prompt,
    Sampling,
    refuse_tools,
    settings_of,
)
from candor.engine.remote_scoring import RemoteScorer
from candor.engine.wire import Cards, Choices

Result = TypeVar("Result")
Body = dict[str, object]

_log = logging.getLogger(__name__)

# Servers fill in what a request leaves open from the model's generation_config.json (vLLM) or from defaults
# of their own (llama.cpp: top_k 40, min_p 0.05). Either changes what is sampled, so it is switched off where
# the server says what it is; others might refuse these fields, which OpenAI's API does not have.
_NEUTRAL: dict[str, Body] = {
    "vllm": {"top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0, "return_token_ids": True},
    "llamacpp": {"top_k": 0, "min_p": 0.0, "repeat_penalty": 1.0},
    "candor": {"return_token_ids": True},
}
# Servers that can be told to go on behind an end token.
_GOES_ON = ("vllm", "llamacpp", "candor")
# Servers with vLLM's /tokenize.
_TOKENIZES = ("vllm", "candor")
# Statuses that say "not with these options": bad request, unprocessable, not implemented.
_OPTION_REFUSED = (400, 422, 501)


class RemoteEngine:
    """Generates and scores text with the model behind a URL.

    Log-probabilities are the server's own. vLLM and llama.cpp give the model's at temperature 1, as
    `Completion` promises; another server may give them after its sampling settings, or none at all.

    vLLM 0.32 on a CPU ends itself ("CPU Generator does not use offset") when a request with a seed, which
    is every sampled one here, is prefilled in parts: serve it there with `--no-enable-chunked-prefill`.

    Args:
        url: the server's address, with or without `/v1`.
        model: the model's name there; default: the only one that the server lists.
        api_key: default: the environment's OPENAI_API_KEY, else none.
        concurrency: requests in flight at once.
        timeout: seconds to wait for one answer.
        patience: seconds over which rate limits, HTTP 5xx and lost connections are tried again.

    Raises:
        CandorError: the server can't be reached, wants another key, or lists no or several models.
    """

    def __init__(
        self,
        url: str,
        model: str | None = None,
        *,
        api_key: str | None = None,
        concurrency: int = 16,
        timeout: float = 300.0,
        patience: float = 120.0,
    ) -> None:
        self._endpoint = Endpoint(url, api_key, timeout=timeout, patience=patience)
        self._concurrency = max(1, concurrency)
        self._without: frozenset[str] = frozenset()  # options that this server has refused
        self._model, self._server = self._find_model(model)

    def _find_model(self, wanted: str | None) -> tuple[str, str]:
        """The model's name and the kind of server, as /v1/models tells them."""
        try:
            # No patience: at the start a wrong address is likelier than a restarting server.
            cards = self._endpoint.get("/models", Cards, patience=0.0).data
        except RefusedError:  # some gateways have no such list
            if wanted is None:
                raise
            return wanted, ""
        names = [card.id for card in cards]
        if wanted is None:
            if len(names) != 1:
                listed = ", ".join(names[:20]) + (" …" if len(names) > 20 else "")
                raise CandorError(
                    f"{self._endpoint.url} offers {len(names) or 'no'} models{': ' if names else ''}{listed}",
                    fix="name one of them with --model" if names else "load a model into the server",
                )
            wanted = names[0]
        # A name that is not listed may still be served (aliases, models loaded on demand).
        card = next((card for card in cards if card.id == wanted), cards[0] if cards else None)
        return wanted, (card.owned_by or "").lower() if card else ""

    @property
    def model_name(self) -> str:
        """The model's name at the server."""
        return self._model

    @property
    def layers(self) -> int:
        """0: hidden states don't travel over this API."""
        return 0

    @property
    def chat(self) -> bool:
        """Whether the server answers messages; found out once, by asking for one token."""
        return self._answers_messages

    @cached_property
    def _answers_messages(self) -> bool:
        body = self._body([{"role": "user", "content": "Hello"}], Sampling(max_tokens=1), 1, 0)
        try:
            self._ask("/chat/completions", body, keep_logprobs=False)
        except RefusedError as error:
            if error.status == 404 and self._model in error.message:  # the model is unknown there
                raise
            return False
        return True

    def close(self) -> None:
        """Close the connections."""
        self._endpoint.close()

    # --- generation ---------------------------------------------------------------------------------

    def generate(
        self,
        prompts: Sequence[Prompt],
        sampling: Sampling | Sequence[Sampling],
        *,
        hidden_layers: Sequence[int] = (),
        on_progress: Callable[[int], None] | None = None,
    ) -> list[Generation]:
        """Complete each prompt under each of the sampling settings.

        Args:
            prompts: raw texts or messages.
            sampling: one or several settings; each is a request of its own (servers with a prefix cache,
                such as vLLM, still compute the prompt once).
            hidden_layers: ignored, see `layers`.
            on_progress: called with the number of prompts finished since the last call.

        Raises:
            CandorError: the server fails, or refuses a request; it says what the server said.
        """
        settings = settings_of(sampling)
        refuse_tools(settings, "a server")
        starts = [sum(s.n for s in settings[:place]) for place in range(len(settings))]
        jobs = [
            partial(self._complete, index, prompt, setting, start)
            for index, prompt in enumerate(prompts)
            for setting, start in zip(settings, starts, strict=True)
        ]
        finished = 0

        def count() -> None:
            nonlocal finished
            finished += 1
            if on_progress and finished % len(settings) == 0:
                on_progress(1)

        parts = self._in_parallel(jobs, count)
        return [
            Generation(
                completions=tuple(completion for found, _ in group for completion in found),
                prompt_tokens=group[0][1],
            )
            for group in _grouped(parts, len(settings))
        ]

    def _complete(
        self, index: int, prompt: Prompt, sampling: Sampling, start: int
    ) -> tuple[list[Completion], int]:
        """The n completions of one prompt under one setting, and the prompt's length in tokens.

        Args:
            index: the prompt's place in the call.
            prompt: the prompt.
            sampling: the setting.
            start: the first completion's place among all of this prompt.
        """
        path = "/completions" if isinstance(prompt, str) or is_ids(prompt) else "/chat/completions"
        # Greedy copies are all the same, and vLLM refuses n > 1 for them.
        wanted = sampling.n if sampling.temperature > 0 else min(1, sampling.n)
        found: list[Completion] = []
        prompt_tokens = 0
        while len(found) < wanted:
            seed = _seed(sampling.seed, index, start + len(found))
            body = self._body(prompt, sampling, wanted - len(found), seed)
            try:
                answer = self._ask(path, body, keep_logprobs=sampling.top_logprobs > 0)
            except RefusedError as error:
                raise CandorError(f"prompt {index}: {error.message}", fix=error.fix) from error
            found += answer.completions(sampling.top_logprobs)
            prompt_tokens = answer.usage.prompt_tokens if answer.usage else 0
        found = found[:wanted] if wanted == sampling.n else found[:1] * sampling.n
        return found, prompt_tokens

    def _body(self, prompt: Prompt, sampling: Sampling, n: int, seed: int) -> Body:
        if sampling.forbid_first:
            raise CandorError(
                "a server can't be told to leave out tokens at the first place only",
                fix="use the local engine for this",
            )
        if sampling.ignore_end and self._server not in _GOES_ON:
            raise CandorError(
                f"{self._endpoint.url} can't be told to go on behind an end token",
                fix="use the local engine, or a server of Candor's, vLLM's or llama.cpp's",
            )
        body: Body = {
            "model": self._model,
            "max_tokens": sampling.max_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "seed": seed,
            **_NEUTRAL.get(self._server, {}),
        }
        if isinstance(prompt, str):
            # llama.cpp reads 0 as "none", so at least one alternative is asked for.
            body |= {"prompt": prompt, "logprobs": max(1, sampling.top_logprobs)}
        elif is_ids(prompt):
            body |= {"prompt": list(prompt), "logprobs": max(1, sampling.top_logprobs)}
        else:
            messages = cast("Sequence[Message]", prompt)
            body |= {"messages": [dict(message) for message in messages], "logprobs": True}
            if sampling.top_logprobs:
                body["top_logprobs"] = sampling.top_logprobs
        if n > 1:
            body["n"] = n
        return body | _asked(sampling)

    def _ask(self, path: str, body: Body, *, keep_logprobs: bool) -> Choices:
        """Ask; when the server refuses, try without the options that can be done without, and remember.

        Those are n (asked for one by one instead) and, unless the caller needs alternatives,
        log-probabilities. Newer OpenAI models want `max_completion_tokens` for `max_tokens`.
        """
        ladder = [frozenset[str](), frozenset({"n"})]
        if not keep_logprobs:
            ladder += [frozenset({"logprobs"}), frozenset({"n", "logprobs"})]
        refusal: RefusedError | None = None
        tried: list[Body] = []
        while ladder:
            without = ladder.pop(0)
            known = self._without - {"logprobs"} if keep_logprobs else self._without
            attempt = _leave_out(body, known | without)
            if attempt in tried:
                continue
            tried.append(attempt)
            try:
                answer = self._endpoint.post(path, attempt, Choices)
            except RefusedError as error:
                if error.status not in _OPTION_REFUSED:
                    raise
                if "max_completion_tokens" in error.message and "max_tokens" in attempt:
                    self._without |= {"max_tokens"}
                    ladder.insert(0, without)
                    continue
                refusal = refusal or error
            else:
                if without - self._without:
                    _log.warning("%s does without: %s", self._endpoint.url, ", ".join(sorted(without)))
                    self._without |= without
                return answer
        assert refusal is not None
        raise refusal

    def score(self, prompts: Sequence[Prompt], completions: Sequence[str]) -> list[list[float]]:
        """Log-probability of each token of `completions[i]` after `prompts[i]`; no end token is added.

        Raises:
            CandorError: the server can't do this (see `candor.engine.remote_scoring`).
        """
        scorer = RemoteScorer(
            self._endpoint,
            self._model,
            tokenizes=self._server in _TOKENIZES,
            echoes_ids=self._server == "candor",
        )
        pairs = zip(prompts, completions, strict=True)
        return self._in_parallel([partial(scorer.score, prompt, completion) for prompt, completion in pairs])

    # --- many requests at once ----------------------------------------------------------------------

    def _in_parallel(
        self, jobs: Sequence[Callable[[], Result]], done: Callable[[], None] | None = None
    ) -> list[Result]:
        """Run jobs on a pool of threads; results in the order of the jobs. The first error stops the rest."""
        with ThreadPoolExecutor(self._concurrency, thread_name_prefix="remote-engine") as pool:
            futures = [pool.submit(job) for job in jobs]
            try:
                for future in as_completed(futures):
                    future.result()
                    if done:
                        done()
                return [future.result() for future in futures]
            finally:
                pool.shutdown(wait=False, cancel_futures=True)


def _asked(sampling: Sampling) -> Body:
    """What a server may not know is sent only where it is asked for."""
    options: Body = {
        "stop": list(sampling.stop),
        "top_k": sampling.top_k,
        "min_p": sampling.min_p,
        "frequency_penalty": sampling.frequency_penalty,
        "presence_penalty": sampling.presence_penalty,
        "logit_bias": {str(token): value for token, value in sampling.logit_bias},
        "ignore_eos": sampling.ignore_end,
    }
    return {name: value for name, value in options.items() if value}


def _leave_out(body: Body, options: frozenset[str]) -> Body:
    kept = dict(body)
    if "n" in options:
        kept.pop("n", None)
    if "logprobs" in options:
        kept.pop("logprobs", None)
        kept.pop("top_logprobs", None)
    if "max_tokens" in options and "max_tokens" in kept:
        kept["max_completion_tokens"] = kept.pop("max_tokens")
    return kept


def _seed(seed: int, prompt: int, place: int) -> int:
    """A request's seed, 31 bits wide because some servers keep it in a signed 32-bit integer."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{prompt}:{place}".encode()).digest()[:4], "big") >> 1


def _grouped(items: Sequence[Result], size: int) -> Iterator[Sequence[Result]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
