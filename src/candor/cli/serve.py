"""`candor serve`: models behind an OpenAI-compatible URL."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from candor.cli.options import ApiKey, Host, Json, Port, Template

if TYPE_CHECKING:
    import socket

    from candor.core.progress import Reporter
    from candor.serve.runs.browser import Browser
    from candor.serve.server import Choice
    from candor.serve.settings import Settings


def serve(
    models: Annotated[
        list[str],
        typer.Argument(
            help="Checkpoint folders, run folders, hub ids, .gguf files or `smollm2`; NAME=MODEL gives one a "
            "name of its own."
        ),
    ],
    host: Host = "127.0.0.1",
    port: Port = 8000,
    api_key: ApiKey = None,
    abstain_below: Annotated[
        str | None,
        typer.Option(
            "--abstain-below",
            metavar="CONFIDENCE|auto",
            help='Say "I don\'t know." where a tuned checkpoint is less sure than this; `auto`: its own '
            "threshold.",
        ),
    ] = None,
    template: Template = None,
    dtype: Annotated[str, typer.Option("--dtype", help="bfloat16, float32 or float16.")] = "bfloat16",
    max_rows: Annotated[
        int, typer.Option("--max-rows", min=1, help="Completions that each model decodes at once.")
    ] = 64,
    runs: Annotated[
        Path | None,
        typer.Option(
            "--runs",
            metavar="FOLDER",
            help="Show the runs of this folder at /runs, too; `candor runs FOLDER` does it without a model.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Serve models over HTTP, raw completions (/v1/completions) beside chat (/v1/chat/completions).

    Example: candor serve smollm2 --port 8000
    """
    from candor.serve.server import bind, check_key, choices, hosts_for, is_loopback  # noqa: PLC0415

    chosen, key = choices(models), check_key(api_key)
    browser = None
    if runs is not None:
        from candor.serve.runs.browser import Browser  # noqa: PLC0415

        browser = Browser(runs)
    with bind(host, port) as listener:
        from candor.core.progress import Reporter  # noqa: PLC0415
        from candor.serve.settings import Settings  # noqa: PLC0415

        reporter = Reporter("json" if as_json else "auto")
        if key is None and not is_loopback(host):
            reporter.say(
                f"warning: anybody who reaches {host} can use this server; give it a key with CANDOR_API_KEY"
            )
        settings = Settings(api_key=key, hosts=hosts_for(host), max_rows=max_rows)
        _serve(chosen, listener, settings, reporter, template, dtype, abstain_below, browser)
    reporter.say("stopped")


def _serve(
    chosen: list[Choice],
    listener: socket.socket,
    settings: Settings,
    reporter: Reporter,
    template: str | None,
    dtype: str,
    abstain_below: str | None,
    browser: Browser | None,
) -> None:
    from candor.engine.prompts import template_text  # noqa: PLC0415
    from candor.serve.app import create_app  # noqa: PLC0415
    from candor.serve.load import gates_of, load  # noqa: PLC0415
    from candor.serve.machine import Machine  # noqa: PLC0415
    from candor.serve.metrics import Metrics  # noqa: PLC0415
    from candor.serve.server import run  # noqa: PLC0415

    text, gates, metrics = template_text(template), gates_of(chosen, abstain_below), Metrics()
    machine = Machine()
    served = []
    for choice in chosen:
        reporter.say(f"loading {choice.spec}")
        served.append(
            load(
                choice,
                gates[choice.name],
                machine,
                settings=settings,
                metrics=metrics,
                template=text,
                dtype=dtype,
            )
        )

    def ready(url: str) -> None:
        names = ", ".join(choice.name for choice in chosen)
        if browser is not None:
            reporter.say(f"showing runs of {browser.folder.root} at {url}/runs")
        reporter.say(f"serving {names} at {url}/v1 (Ctrl-C stops)", url=url)

    run(create_app(served, machine, settings, metrics, browser), listener, settings.grace_seconds, ready)
