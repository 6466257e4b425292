"""A model served raw on this machine, asked by the openai client, and compared with itself in process.

completions.jsonl   ask        each prompt, the client's completion, the engine's, token by token
metrics.json        evaluate   whether they are the same, and by how much log-probabilities differ
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import openai

from candor.core.errors import CandorError
from candor.core.files import read_json_lines, write_json, write_jsonl
from candor.core.progress import Reporter
from candor.core.run import Run
from candor.core.statistics import proportion
from candor.engine.local import LocalEngine
from candor.engine.protocol import Completion, Sampling
from candor.life.recipe import ServeRecipe
from candor.serve.app import create_app
from candor.serve.load import load
from candor.serve.machine import Machine
from candor.serve.metrics import Metrics
from candor.serve.server import Choice, bind, hosts_for, serving
from candor.serve.settings import Settings

_HOST, _NAME = "127.0.0.1", "base"
_SECONDS = 120.0  # for one answer
_TEMPERATURE = 0.8


@contextmanager
def served(model: str, dtype: str) -> Iterator[str]:
    """Serve a model on a free port of this machine; yields the server's URL."""
    machine, metrics = Machine(), Metrics()
    settings = Settings(hosts=hosts_for(_HOST))
    with bind(_HOST, 0) as listener:
        try:
            choice = Choice(_NAME, model)
            one = load(choice, (None, None), machine, settings=settings, metrics=metrics, dtype=dtype)
        except BaseException:
            machine.stop()
            raise
        with serving(create_app([one], machine, settings, metrics), listener) as url:
            yield url


class ServeRun:
    """The run in its folder.

    Args:
        run: the folder; its recipe's model is one that can be loaded.
        reporter: where it says what it does.
    """

    def __init__(self, run: Run[ServeRecipe], reporter: Reporter) -> None:
        self.run, self.recipe, self.reporter = run, run.recipe, reporter

    def complete(self) -> None:
        """Every stage that is not done yet, in order."""
        self.run.go_through({"ask": self.ask, "evaluate": self.evaluate}, "evaluate", self.reporter.say)

    def ask(self) -> None:
        """Ask each prompt through the server and in process, one after the other."""
        recipe = self.recipe
        engine = LocalEngine.load(recipe.model, dtype=recipe.dtype)
        likeliest = Sampling(max_tokens=recipe.max_tokens)
        rows: list[dict[str, Any]] = []
        with served(recipe.model, recipe.dtype) as url:
            self.reporter.say(f"serving {recipe.model} at {url}/v1")
            # Not the environment's proxies: the server is on this machine.
            with (
                openai.DefaultHttpxClient(trust_env=False, timeout=_SECONDS) as http,
                openai.OpenAI(
                    base_url=f"{url}/v1", api_key="none", max_retries=0, http_client=http
                ) as client,
                self.reporter.bar("raw completions", len(recipe.prompts)) as bar,
            ):
                for prompt in recipe.prompts:
                    (inside,) = engine.generate([prompt], likeliest)[0].completions
                    rows.append({"prompt": prompt, **self._asked(client, prompt), **_told(inside)})
                    bar.advance()
        write_jsonl(self.run.path("completions.jsonl"), rows)

    def _asked(self, client: openai.OpenAI, prompt: str) -> dict[str, Any]:
        """What the client gets: the likeliest completion with log-probabilities, and one that is drawn."""
        recipe = self.recipe
        options: dict[str, Any] = {"model": _NAME, "prompt": prompt, "max_tokens": recipe.max_tokens}
        try:
            first = client.completions.create(**options, temperature=0, logprobs=recipe.alternatives)
            drawn = client.completions.create(**options, temperature=_TEMPERATURE, seed=recipe.seed)
        except openai.OpenAIError as error:
            raise CandorError(
                f"the openai client got no completion from the server on this machine: {error}",
                fix="look whether something keeps programs from connecting to 127.0.0.1, such as a firewall",
            ) from error
        choice = first.choices[0]
        found = choice.logprobs
        return {
            "text": choice.text,
            "tokens": list(found.tokens or ()) if found else [],
            "logprobs": list(found.token_logprobs or ()) if found else [],
            "alternatives": [dict(row) for row in (found.top_logprobs or ())] if found else [],
            "drawn": drawn.choices[0].text,
        }

    def evaluate(self) -> None:
        """Compare."""
        rows = [row for _, row in read_json_lines(self.run.path("completions.jsonl"))]
        same = [
            row["text"] == row["engine_text"] and len(row["logprobs"]) == len(row["engine_logprobs"])
            for row in rows
        ]
        gaps = [
            abs(here - there)
            for row, alike in zip(rows, same, strict=True)
            if alike
            for here, there in zip(row["logprobs"], row["engine_logprobs"], strict=True)
        ]
        metrics = {
            "model": self.recipe.model,
            "client": f"openai {openai.__version__}",
            "same": proportion(same).as_dict(),
            "tokens": len(gaps),
            "largest_difference": max(gaps, default=None),
            "completions": rows,
            "commands": {
                "serve": f"candor serve {_NAME}={self.recipe.model} --dtype {self.recipe.dtype}",
            },
        }
        write_json(self.run.path("metrics.json"), metrics)


def _told(inside: Completion) -> dict[str, Any]:
    return {"engine_text": inside.text, "engine_logprobs": list(inside.logprobs)}
