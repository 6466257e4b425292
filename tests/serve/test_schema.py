"""Whatever fits the OpenAPI schema or breaks it, nothing makes the server fail (schemathesis)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from live import Live
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

from byte_models import byte_engine

PATHS = [
    ("POST", "/v1/completions"),
    ("POST", "/v1/chat/completions"),
    ("POST", "/tokenize"),
    ("POST", "/detokenize"),
    ("GET", "/v1/models"),
    ("GET", "/v1/models/{name}"),
    ("GET", "/health"),
]
CHECKS = [not_a_server_error, content_type_conformance, response_schema_conformance]


@pytest.fixture(scope="module")
def small() -> Iterator[Live]:
    """A server whose answers are short, so that many requests take little time."""
    with Live({"tiny": byte_engine(context=64)}, max_completions=8, max_prompts=8) as live:
        yield live


def fuzz(live: Live, method: str, path: str, mode: GenerationMode, examples: int) -> None:
    schema = schemathesis.openapi.from_url(f"{live.url}/openapi.json")
    operation = schema[path][method]

    @settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=[*HealthCheck],
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: schemathesis.Case) -> None:
        response = case.call(base_url=live.url, timeout=60)
        case.validate_response(response, checks=CHECKS)
        assert response.status_code < 500

    ask()


@pytest.mark.parametrize(
    "mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["fitting", "breaking"]
)
@pytest.mark.parametrize(("method", "path"), PATHS[:4])
def test_no_request_makes_the_server_fail(small: Live, method: str, path: str, mode: GenerationMode) -> None:
    fuzz(small, method, path, mode, 25)


@pytest.mark.parametrize(("method", "path"), PATHS[4:])
def test_no_question_makes_the_server_fail(small: Live, method: str, path: str) -> None:
    fuzz(small, method, path, GenerationMode.POSITIVE, 10)


@pytest.mark.slow
@pytest.mark.parametrize(
    "mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["fitting", "breaking"]
)
@pytest.mark.parametrize(("method", "path"), PATHS[:4])
def test_thousands_of_requests_do_not_either(
    small: Live, method: str, path: str, mode: GenerationMode
) -> None:
    fuzz(small, method, path, mode, 1500)


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    data=st.fixed_dictionaries(
        {"prompt": st.one_of(st.text(max_size=9), st.lists(st.integers(0, 267), max_size=5))},
        optional={
            "max_tokens": st.integers(0, 9),
            "temperature": st.floats(0, 3),
            "top_p": st.floats(0, 1),
            "top_k": st.one_of(st.integers(-1, 300), st.integers()),
            "min_p": st.floats(0, 1),
            "n": st.integers(1, 4),
            "best_of": st.integers(1, 4),
            "logprobs": st.integers(0, 5),
            "echo": st.booleans(),
            "stream": st.booleans(),
            "seed": st.integers(-(2**63), 2**63 - 1),
            "stop": st.lists(st.text(max_size=2), max_size=2),
            "frequency_penalty": st.floats(-2, 2),
            "presence_penalty": st.floats(-2, 2),
            "logit_bias": st.dictionaries(st.integers(0, 267).map(str), st.floats(-100, 100), max_size=3),
            "ignore_eos": st.booleans(),
        },
    )
)
def test_any_mix_of_settings_is_answered_or_refused(small: Live, data: dict[str, object]) -> None:
    found = small.http.post("/v1/completions", json=data)
    assert found.status_code in (200, 400), found.text
