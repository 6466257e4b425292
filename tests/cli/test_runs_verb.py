"""`candor runs` as a user starts it: a folder that is none is told, Ctrl-C ends it well."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from candor.cli import app as app_module


def test_a_folder_that_is_not_there_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for words in (["runs"], ["serve", "nothing", "--runs"]):
        monkeypatch.setattr(sys, "argv", ["candor", *words, str(tmp_path / "none")])
        with pytest.raises(SystemExit) as stop:
            app_module.main()
        assert stop.value.code == 2
        err = " ".join(capsys.readouterr().err.split())
        assert "none: no such folder of runs" in err
        assert "fix: name a folder that holds runs" in err


def test_it_shows_runs_until_it_is_told_to_stop_without_loading_a_model_s_library(tmp_path: Path) -> None:
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "recipe.toml").write_text('kind = "rl"\n')
    code = (
        "import sys\nfrom candor.cli.app import main\n"
        "try:\n    main()\nfinally:\n    print('torch' in sys.modules, 'transformers' in sys.modules)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, "runs", str(tmp_path), "--port", "0", "--json"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "CANDOR_API_KEY": "k3y"},
        # A background shell hands down an ignored interrupt; a terminal does not.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
    )
    try:
        assert process.stdout is not None
        url = json.loads(process.stdout.readline())["url"]
        assert httpx.get(url).status_code == 401
        found = httpx.get(f"{url}.json", auth=("me", "k3y")).json()["runs"]
        assert [(run["name"], run["state"]["words"]) for run in found] == [("first", "not begun")]
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    assert json.loads(out.splitlines()[0]) == {"message": "stopped"}
    assert out.splitlines()[-1] == "False False"
