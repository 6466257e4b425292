"""The page of a base model's run says what was measured, with intervals, and shows texts as text."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from candor.report import render_report

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>"


def estimate(value: float, n: int = 40) -> dict[str, float]:
    return {
        "value": value,
        "low": value * 0.9,
        "high": min(1.0, value * 1.1) if value <= 1 else value * 1.1,
        "n": n,
    }


def write_base_run(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "recipe.toml").write_text('kind = "base"\nseed = 3\n')
    (folder / "manifest.json").write_text(
        json.dumps({"candor": "0.1", "versions": {"torch": "2"}, "machine": {"cores": 2}})
    )
    sample = {"prompt": HOSTILE, "greedy": "a greedy ending", "drawn": HOSTILE}
    metrics = {
        "compression": [
            {"name": "this model", "bits_per_byte": {**estimate(1.61), "bytes": 9}, "weights_bytes": 9 << 20},
            {"name": "xz -9e", "bytes": 3000, "bits_per_byte": 2.7},
            {"name": "brotli -11", "note": "needs the package 'brotli'"},
        ],
        "corpus": {
            "sources": {HOSTILE: {"read": 12, "kept": 9, "kept_bytes": 12345}},
            "removed": {
                "rules": {
                    "documents": 3, "bytes": 99, "reasons": {"symbols": 2, "adult": 1},
                    "samples": [{"id": "x", "text": HOSTILE, "reason": "symbols"}, {"id": "y", "text": ""}],
                }
            },
            "splits": {"train": {"documents": 8, "bytes": 9_000_000}},
        },
        "tokenizer": {"compared": [{"name": "ours", "vocabulary": 400, "bytes_per_token": 2.5}]},
        "pretrain": {
            "weights": 4_200_000, "tokens": 3_000_000, "layers": 4, "width": 256, "batch_tokens": 1000,
            "tokens_per_second": 15_000.0, "mfu": 0.41,
        },
        "recall": {
            "words": 32,
            "passages": [
                {"times": times, "exact": estimate(share), "share_of_words": estimate(share)}
                for times, share in ((0, 0.0), (100, 0.9))
            ],
            "facts": [
                {"times": times, "right": estimate(share), "chosen": estimate(share)}
                for times, share in ((0, 0.02), (1, 0.1), (300, 0.95))
            ],
        },
        "samples": [sample],
        "timings": {"corpus": 12.0, "pretrain": 170.0},
        "commands": {"run": "candor pretrain r.toml --out RUN"},
    }  # fmt: skip
    (folder / "metrics.json").write_text(json.dumps(metrics))
    events = [
        {
            "event": "validation",
            "step": step,
            "bits_per_byte": 4.0 - step / 1000,
            "samples": [sample] if step else [],
        }
        for step in (0, 500, 1000, 1500, 2000, 2400)
    ]
    (folder / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    return folder


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    return render_report(write_base_run(tmp_path_factory.mktemp("base") / "run")).read_text(encoding="utf-8")


def test_headline_and_tiles_state_the_numbers(page: str) -> None:
    assert "A byte of held-out text costs this model 1.61 bits, and xz 2.70." in page
    for text in ("15,000", "41%", "95%", "(300 times)", "1.449 to 1.771", "n = 40"):
        assert text in page, text


def test_every_group_of_repetitions_has_a_row_with_its_n(page: str) -> None:
    for text in ("never (n = 40)", "once (n = 40)", "300 times (n = 40)", "100 times (n = 40)"):
        assert text in page, text


def test_what_a_corpus_or_a_model_wrote_is_shown_as_text_and_no_script_is_allowed(page: str) -> None:
    assert "<script" not in page
    assert "script-src 'none'" in page
    assert "<img" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_continuations_are_shown_at_a_few_times_of_the_training(page: str) -> None:
    for step in ("500", "2,400"):
        assert f"After {step} updates" in page
    assert page.count("After ") <= 5


@pytest.mark.parametrize("name", ["metrics.json", "events.jsonl", "manifest.json"])
def test_an_unfinished_run_has_a_page(tmp_path: Path, name: str) -> None:
    run = write_base_run(tmp_path / "run")
    (run / name).unlink()
    text = render_report(run).read_text(encoding="utf-8")
    assert "Candor base model report" in text
    if name == "metrics.json":
        assert "This run has no results yet." in text


def test_any_missing_part_is_left_out_without_an_error(tmp_path: Path) -> None:
    run = write_base_run(tmp_path / "run")
    whole = json.loads((run / "metrics.json").read_text())
    for key in whole:
        for value in (None, {}, [], "x", 3):
            (run / "metrics.json").write_text(json.dumps({**whole, key: value}))
            render_report(run)
