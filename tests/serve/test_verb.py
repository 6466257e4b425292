"""`candor serve` as a user runs it: wrong input is told before anything is loaded, Ctrl-C ends it well."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from byte_models import byte_engine, byte_model, byte_tokenizer
from candor.cli import app as app_module
from candor.serve.load import room_for
from candor.serve.server import choices


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model on disk; it has no gate."""
    folder = tmp_path_factory.mktemp("runs") / "mine" / "checkpoint"
    byte_model().save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    return folder


def told(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: object) -> str:
    """The error that these words end with."""
    monkeypatch.setattr(sys, "argv", ["candor", "serve", *map(str, words)])
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(
        "candor.engine.local.LocalEngine.load", lambda *_, **__: pytest.fail("a model was loaded")
    )
    with pytest.raises(SystemExit) as stop:
        app_module.main()
    assert stop.value.code == 2
    err = capsys.readouterr().err
    assert "Traceback" not in err
    return err


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (("nothing",), ("nothing: no model by that name", "fix:")),
        (("none.gguf",), ("none.gguf: no such GGUF file",)),
        (("{model}", "{model}"), ("two models would be called mine", "second=")),
        (("a={model}", "a=nothing"), ("two models would be called a",)),
        (("{model}", "--host", "nowhere.invalid"), ("nowhere.invalid: no address of this machine",)),
        (("{model}", "--host", "192.0.2.1"), ("can't listen at 192.0.2.1",)),
        (("{model}", "--port", "{taken}"), ("can't listen at 127.0.0.1, port", "give another --port")),
        (("{model}", "--port", "70000"), ("less than or equal to 65535",)),
        (("{model}", "--api-key", ""), ("API key is empty",)),
        (("{model}", "--api-key", "clé"), ("characters that a header can't carry",)),
        (("{model}", "--abstain-below", "0.5"), ("none of these has a gate",)),
        (("{model}", "--abstain-below", "2"), ("--abstain-below is '2'", "between 0 and 1")),
        (("{model}", "--template", "none.jinja"), ("none.jinja: no such chat template file",)),
        ((), ("Missing argument",)),
    ],
    ids=str,
)
def test_wrong_input_is_told_with_its_fix_before_anything_is_loaded(
    checkpoint: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    parts: tuple[str, ...],
) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        fields = {"model": str(checkpoint), "taken": str(other.getsockname()[1])}
        own = () if "--port" in words or not words else ("--port", "0")
        err = told(capsys, monkeypatch, *(word.format(**fields) for word in words), *own)
    for part in parts:
        assert part in err


def test_models_are_called_by_their_folder_or_as_the_user_says(checkpoint: Path) -> None:
    words = [str(checkpoint), str(checkpoint.parent), "smollm2", "org/name", f"x={checkpoint}", "dir/m.gguf"]
    names = [choices([word])[0].name for word in words]
    assert names == ["mine", "mine", "smollm2", "org/name", "x", "m"]


def test_keys_and_values_get_a_quarter_of_the_free_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    # Two layers, keys and values of two heads of eight float32 numbers: 256 bytes a token.
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=4 * 100 * 256))
    assert room_for(byte_engine()) == 100


@pytest.fixture
def started(checkpoint: Path) -> Iterator[Any]:
    """Start the verb in a process of its own; gives its URL and the process."""
    processes: list[subprocess.Popen[str]] = []

    def start(*words: str, **environment: str) -> tuple[str, subprocess.Popen[str]]:
        command = [sys.executable, "-m", "candor", "serve", str(checkpoint), "--port", "0", "--json", *words]
        # A background shell hands down an ignored interrupt; a terminal does not.
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
        )
        processes.append(process)
        assert process.stdout is not None
        for line in process.stdout:
            if "url" in (row := json.loads(line)):
                return row["url"], process
        raise AssertionError(process.stderr and process.stderr.read())

    yield start
    for process in processes:
        process.kill()
        process.wait()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_it_is_told_to_stop_and_lets_go_of_its_port(started: Any, number: int) -> None:
    url, process = started("--dtype", "float32", CANDOR_API_KEY="k3y")
    body = {"prompt": "x", "max_tokens": 3}
    assert httpx.post(f"{url}/v1/completions", json=body).status_code == 401
    found = httpx.post(
        f"{url}/v1/completions", json=body, headers={"authorization": "Bearer k3y"}, timeout=60
    )
    assert found.json()["model"] == "mine"
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0
    assert json.loads(out.splitlines()[-1]) == {"message": "stopped"}
    assert err == ""
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", int(url.rsplit(":", 1)[1])))


def test_a_server_for_a_network_without_a_key_is_warned_about(started: Any) -> None:
    command = [sys.executable, "-m", "candor", "serve", "nothing", "--port", "0", "--host", "0.0.0.0"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "warning: anybody who reaches 0.0.0.0 can use this server" in " ".join(found.stderr.split())
    assert found.returncode == 2
