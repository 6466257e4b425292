"""The terminal side of `candor chat talk`: what is typed, what is shown, and the commands in between."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from rich.console import Console

from candor.core.errors import CandorError

if TYPE_CHECKING:
    from candor.chat.talk import Talk

_HELP = """  /tokens   what the model reads, token by token      /undo    take the last turn back
  /text     the same as one text                      /new     begin again
  /system   WORDS: set the first message              /quit    leave (also Ctrl-D)"""

# What a model writes could move the cursor or rename the window: pictures of such characters can't.
_CONTROL = {
    **{code: chr(0x2400 + code) for code in range(0x20) if chr(code) not in "\n\t"},
    0x7F: "␡",
    **{code: f"\\x{code:02x}" for code in range(0x80, 0xA0)},
}


def harmless(text: str) -> str:
    """Text in which what a terminal would take for a command shows instead."""
    return text.translate(_CONTROL)


def converse(talk: Talk) -> None:
    """Read lines and answer them until the user leaves."""
    console = Console(highlight=False, soft_wrap=True)
    console.print("[dim]/help lists commands; Ctrl-C stops a reply; Ctrl-D leaves[/]")
    while True:
        try:
            said = console.input("[bold]you:[/] ").strip()
        except (EOFError, KeyboardInterrupt):
            console.print()
            return
        if not sys.stdin.isatty():  # a terminal shows what is typed; from a pipe nothing would be seen of it
            console.print(harmless(said), markup=False)
        if not said:
            continue
        if said.startswith("/"):
            if not _command(talk, said, console):
                return
            continue
        _answer(talk, said, console)


def _answer(talk: Talk, said: str, console: Console) -> None:
    console.print("[bold]model:[/] ", end="")
    before, reply = len(talk.turns), talk.say(said)
    try:
        for piece in reply:
            console.print(harmless(piece), end="", markup=False)
    except KeyboardInterrupt:
        reply.close()
    except CandorError as error:
        console.print()  # so that it does not look like the model's words
        console.print(str(error), style="red", markup=False)
        return
    if len(talk.turns) == before:
        console.print("[dim](no reply; what you said is not kept)[/]")
    elif talk.full:
        console.print(" [dim](cut: the model can read no more; /undo a turn, or begin again with /new)[/]")
    else:
        console.print(" [dim](cut: --max-tokens)[/]" if talk.cut else "")


def _command(talk: Talk, said: str, console: Console) -> bool:
    """Do what a line with a slash asks for; False to leave."""
    name, _, rest = said.partition(" ")
    if name in ("/quit", "/exit", "/q"):
        return False
    if name == "/help":
        console.print(_HELP, markup=False)
    elif name == "/new":
        talk.turns.clear()
        console.print("[dim]begun again[/]")
    elif name == "/undo":
        console.print("[dim]taken back[/]" if talk.undo() else "[dim]nothing was said yet[/]")
    elif name == "/system":
        talk.system = rest.strip()
        done = "set" if talk.system else "taken away (/system WORDS sets one)"
        console.print(
            f"[dim]{done}; /new begins a conversation with it[/]"
            if talk.turns and talk.system
            else f"[dim]{done}[/]"
        )
    elif name in ("/tokens", "/text"):
        _show_read(talk, name == "/tokens", console)
    else:
        console.print(f"no command {name}; /help lists them", markup=False)
    return True


def _show_read(talk: Talk, by_token: bool, console: Console) -> None:
    if not talk.messages:  # which templates refuse, each in its own words
        console.print("[dim]nothing was said yet[/]")
        return
    try:
        text, tokens = talk.read()
    except CandorError as error:
        console.print(str(error), style="red", markup=False)
        return
    if not by_token:
        console.print(harmless(text), markup=False)
        return
    for place, (number, shown, special) in enumerate(tokens):
        written = shown.replace("\n", "⏎")
        console.print(f"{place:5} {number:7} ", end="", style="dim")
        console.print(
            written if special else repr(written)[1:-1], style="bold magenta" if special else "", markup=False
        )
    console.print(f"[dim]{len(tokens)} tokens; special ones are marked in colour[/]")
