"""The `candor` command: verbs only; what they do lives in the stages.

Heavy imports happen inside the verbs, so that `candor --help` answers at once.
"""

from __future__ import annotations

import sys
from typing import Annotated, NoReturn

import typer
from rich.console import Console

import candor
from candor.cli import (
    ask,
    audit,
    base,
    chat,
    compress,
    hacking,
    knowledge,
    life,
    recipe,
    report,
    reward,
    rewards,
    rl,
    rlhf,
    runs,
    serve,
    think,
)
from candor.cli.together import refuse_torchrun
from candor.core.errors import CandorError, out_of_memory, unwritable
from candor.core.processes import rank

_INTERRUPTED = 130  # 128 + SIGINT
# Verbs that keep nothing of what they have done.
_BEGIN_AGAIN = {"compress", "decompress", "serve", "runs", "bandit", "tomato", "enumerated"}

app = typer.Typer(
    name="candor",
    help="Language models that know what they don't know, measured at every step.\n\n"
    "Start with: candor knowledge run --model smollm2 --out runs/first",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
app.add_typer(knowledge.app, name="knowledge")
app.command("life")(life.life)
app.add_typer(recipe.app, name="recipe")
app.command("report")(report.report)
app.command("ask")(ask.ask)
app.add_typer(base.corpus_app, name="corpus")
app.add_typer(base.tokenizer_app, name="tokenizer")
app.command("pretrain")(base.pretrain)
app.command("recall")(base.recall)
app.add_typer(chat.app, name="chat")
app.add_typer(think.app, name="think")
app.command("rl")(rl.rl)
app.command("rlhf")(rlhf.rlhf)
app.command("audit")(audit.audit)
rewards.app.command("hacking")(hacking.hacking)
app.add_typer(rewards.app, name="rewards")
app.add_typer(reward.app, name="reward")
app.command("compress")(compress.compress)
app.command("decompress")(compress.decompress)
app.command("serve")(serve.serve)
app.command("runs")(runs.runs)


def _version(asked: bool) -> None:
    if asked:
        print(candor.__version__)
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        # Eager: else the missing verb would be complained about first.
        bool, typer.Option("--version", help="Print the version and exit.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command; what a user can mend is printed with its fix and ends with exit code 2."""
    try:
        refuse_torchrun(sys.argv[1:])
        app()
    except CandorError as error:
        _fail(error)
    except SystemExit as stop:
        if stop.code == _INTERRUPTED:  # typer has turned Ctrl-C into this
            again = "begins again" if _BEGIN_AGAIN & set(sys.argv[1:3]) else "continues from here"
            print(f"\nstopped; the same command {again}", file=sys.stderr)
        raise
    except Exception as error:
        # A full disk shows wherever something is written, and full memory wherever something is computed.
        if known := unwritable(error) or out_of_memory(error):
            _fail(known)
        raise


def _fail(error: CandorError) -> NoReturn:
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    where = f" in process {rank()}" if rank() else ""  # the first one is the one that users read
    console.print(f"[bold red]error{where}:[/] ", end="")
    console.print(str(error), markup=False)
    sys.exit(2)
