"""`candor runs`: look at run folders in a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from candor.cli.options import ApiKey, Host, Json, Port


def runs(
    folder: Annotated[Path, typer.Argument(help="The folder that holds the runs.", metavar="FOLDER")],
    host: Host = "127.0.0.1",
    port: Port = 8010,
    api_key: ApiKey = None,
    as_json: Json = False,
) -> None:
    """Show the runs under a folder: list them, open their reports, compare two, watch one that is under way.

    Example: candor runs runs

    Nothing in the folder is run or changed. `candor serve MODEL --runs FOLDER` shows the same beside models.
    """
    from candor.serve.runs.browser import Browser  # noqa: PLC0415
    from candor.serve.server import bind, check_key, hosts_for, is_loopback, run  # noqa: PLC0415

    browser, key = Browser(folder), check_key(api_key)
    with bind(host, port) as listener:
        from candor.core.progress import Reporter  # noqa: PLC0415
        from candor.serve.runs.app import create_app  # noqa: PLC0415
        from candor.serve.settings import Settings  # noqa: PLC0415

        reporter = Reporter("json" if as_json else "auto")
        if key is None and not is_loopback(host):
            reporter.say(
                f"warning: anybody who reaches {host} can read these runs; set a key with CANDOR_API_KEY"
            )
        settings = Settings(api_key=key, hosts=hosts_for(host))
        run(
            create_app(browser, settings),
            listener,
            settings.grace_seconds,
            lambda url: reporter.say(f"runs of {folder} at {url}/runs (Ctrl-C stops)", url=f"{url}/runs"),
        )
    reporter.say("stopped")
