"""lm-eval gets the same numbers through the server as without it; `make test-slow` installs it.

Four tasks from local files: choices with a question before them, last words, whole texts, and answers that
are generated. lm-eval asks through its `local-completions`; the same engine in this process is asked through
lm-eval's own interface; and lm-eval's transformers backend is the third.
"""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from live import Live

from candor.engine.local import LocalEngine
from candor.engine.protocol import Sampling

pytestmark = pytest.mark.slow
COUNT = 60
TEXTS = [
    "The water cycle is how water moves from the sea to the sky, over the land, and back to the sea again.",
    "A bridge carries a road over a river. The oldest bridges were trees that had fallen across a stream.",
    "In the morning the baker opens the shop, lights the oven, and puts the first loaves on the shelf.",
]


@pytest.fixture(scope="module", autouse=True)
def _installed() -> None:
    if importlib.util.find_spec("lm_eval") is None:
        pytest.fail("lm-eval is not installed; `make test-slow` does that first", pytrace=False)


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Task files and their data."""
    from candor.data.facts import embedded_questions

    folder = tmp_path_factory.mktemp("tasks")
    facts = [row for row in embedded_questions() if len(row.answers[0]) < 30]
    facts = facts[:: max(1, len(facts) // COUNT)][:COUNT]
    answers = [row.answers[0] for row in facts]
    rows = {
        "choice": [
            {
                "text": f"Question: {row.question}\nAnswer:",
                "choices": [row.answers[0], *(answers[(i + step) % COUNT] for step in (7, 19, 31))],
                "gold": 0,
            }
            for i, row in enumerate(facts)
        ],
        "last": [{"text": f"{t.rsplit(' ', 1)[0]}", "target": t.rsplit(" ", 1)[1]} for t in _sentences()],
        "whole": [{"text": text} for text in TEXTS],
        "written": [
            {"text": f"Question: {row.question}\nAnswer:", "target": row.answers[0]} for row in facts[:20]
        ],
    }
    shapes = {
        "choice": "output_type: multiple_choice\ndoc_to_text: text\ndoc_to_choice: choices\n"
        "doc_to_target: gold\n"
        "metric_list:\n  - metric: acc\n  - metric: acc_norm\n",
        "last": 'output_type: loglikelihood\ndoc_to_text: "{{text}}"\ndoc_to_target: " {{target}}"\n'
        "metric_list:\n  - metric: perplexity\n  - metric: acc\n",
        "whole": 'output_type: loglikelihood_rolling\ndoc_to_text: ""\ndoc_to_target: "{{text}}"\n'
        "metric_list:\n  - metric: word_perplexity\n",
        "written": 'output_type: generate_until\ndoc_to_text: "{{text}}"\ndoc_to_target: " {{target}}"\n'
        'generation_kwargs:\n  until: ["\\n", "."]\n  max_gen_toks: 16\n  temperature: 0\n'
        "metric_list:\n  - metric: exact_match\n    ignore_case: true\n    ignore_punctuation: true\n",
    }
    for name, found in rows.items():
        (folder / f"{name}.jsonl").write_text("\n".join(json.dumps(row) for row in found), encoding="utf-8")
        (folder / f"{name}.yaml").write_text(
            f"task: candor_{name}\ndataset_path: json\ndataset_kwargs:\n  data_files:\n"
            f"    test: {folder / name}.jsonl\ntest_split: test\n{shapes[name]}",
            encoding="utf-8",
        )
    return folder


def _sentences() -> list[str]:
    return [
        "The opposite of hot is cold",
        "The capital of France is Paris",
        "The sun rises in the east and sets in the west",
        "Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday",
        "A baby cat is called a kitten",
        "He opened the door with his key",
        "The quick brown fox jumps over the lazy dog",
        "Water is made of hydrogen and oxygen",
        "She wrote the letter with a pen",
        "One, two, three, four, five, six, seven",
    ]


@pytest.fixture(scope="module")
def engine(smollm2: str) -> LocalEngine:
    return LocalEngine.load(smollm2, dtype="float32")


@pytest.fixture(scope="module")
def results(engine: LocalEngine, tasks: Path, smollm2: str) -> Iterator[dict[str, dict[str, float]]]:
    """Metrics of each way to ask, and the words that were generated."""
    from candor.model.load import resolve

    os.environ.setdefault("HF_DATASETS_CACHE", str(tasks / "cache"))
    os.environ["OPENAI_API_KEY"] = "none"
    folder = str(resolve(smollm2))
    found = {"in process": evaluated(in_process(engine), tasks)}
    with Live({"smollm2": engine}) as live:
        for name, options in {
            "server": {"num_concurrent": 16},
            "server, one by one": {"num_concurrent": 1, "tokenized_requests": False},
            "server, lists": {"num_concurrent": 2, "batch_size": 16},
        }.items():
            from lm_eval.models.openai_completions import LocalCompletionsAPI

            model = LocalCompletionsAPI(
                base_url=f"{live.url}/v1/completions", model="smollm2", tokenizer=folder,
                tokenizer_backend="huggingface", max_length=2048, **options,
            )  # fmt: skip
            found[name] = evaluated(model, tasks)
    from lm_eval.models.huggingface import HFLM

    found["transformers"] = evaluated(
        HFLM(pretrained=folder, dtype="float32", device="cpu", batch_size=8), tasks
    )
    yield found
    print(json.dumps(found, indent=1))


def evaluated(model: Any, tasks: Path) -> dict[str, float]:
    """lm-eval's metrics of a model, and log-likelihoods and texts of each request."""
    import lm_eval
    from lm_eval.tasks import TaskManager

    names = [f"candor_{path.stem}" for path in sorted(tasks.glob("*.yaml"))]
    manager = TaskManager(include_path=str(tasks), include_defaults=False)
    found = lm_eval.simple_evaluate(
        model, tasks=names, task_manager=manager, bootstrap_iters=0, log_samples=False
    )
    return {
        f"{task} {metric}": value
        for task, metrics in found["results"].items()
        for metric, value in metrics.items()
        if isinstance(value, float) and "stderr" not in metric
    }


def in_process(engine: LocalEngine) -> Any:
    """The engine behind lm-eval's own interface."""
    from lm_eval.api.model import TemplateLM
    from lm_eval.models.utils import handle_stop_sequences

    class InProcess(TemplateLM):
        tokenizer_name = "smollm2"

        @property
        def eot_token_id(self) -> int:
            return int(engine.tokenizer.eos_token_id)  # type: ignore[arg-type]

        @property
        def prefix_token_id(self) -> int:
            return int(engine.tokenizer.bos_token_id)  # type: ignore[arg-type]

        def tok_encode(self, string: str, add_special_tokens: bool | None = None, **_: Any) -> list[int]:
            return engine.tokenizer(string, add_special_tokens=False)["input_ids"]  # type: ignore[return-value]

        def _loglikelihood_tokens(self, requests: Any, **_: Any) -> list[tuple[float, bool]]:
            pairs = [(context, tail) for _, context, tail in requests]
            return [
                (
                    sum(reading.logprobs),
                    all(own == top[1][0] for own, top in zip(reading.logprobs, reading.top, strict=True)),
                )
                for reading in engine.read(pairs, top=1)
            ]

        def loglikelihood_rolling(self, requests: Any, disable_tqdm: bool = False) -> list[float]:
            texts = [self.tok_encode(request.args[0]) for request in requests]
            return [
                sum(scores) for scores in engine.score_tokens([([self.prefix_token_id], t) for t in texts])
            ]

        def generate_until(self, requests: Any, disable_tqdm: bool = False) -> list[str]:
            texts = []
            for request in requests:
                text, options = request.args
                stop = handle_stop_sequences(options["until"], engine.tokenizer.eos_token)
                sampling = Sampling(max_tokens=options["max_gen_toks"], stop=tuple(stop))
                texts.append(engine.generate([text], sampling)[0].completions[0].text)
            return texts

    return InProcess()


@pytest.mark.parametrize("way", ["server", "server, one by one", "server, lists"])
def test_numbers_through_the_server_are_those_of_the_engine_in_process(
    results: dict[str, dict[str, float]], way: str
) -> None:
    expected = results["in process"]
    assert len(expected) == 6
    for name, value in results[way].items():
        # Shares are exact; a perplexity is a mean of rounded logarithms.
        assert value == (
            pytest.approx(expected[name], rel=1e-4) if "perplexity" in name else expected[name]
        ), name


def test_numbers_are_those_of_lm_evals_own_backend(results: dict[str, dict[str, float]]) -> None:
    for name, value in results["transformers"].items():
        allowed = 0.005 * value if "perplexity" in name else 0.005
        assert abs(results["server"][name] - value) <= allowed, name
