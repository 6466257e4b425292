"""From the names of models to a server that runs until it is told to stop.

What can be wrong is looked at in the order of its price: names, then the port, then whether the models are
there, and only then are weights loaded.
"""

from __future__ import annotations

import contextlib
import ipaddress
import re
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from candor.core.errors import CandorError

_NAMED = re.compile(r"([\w.:/-]+)=(.+)", re.DOTALL)
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True)
class Choice:
    """A model to serve: what it is called, and where it is."""

    name: str
    spec: str


def choices(words: Sequence[str]) -> list[Choice]:
    """What the user named, as SPEC or NAME=SPEC.

    Raises:
        CandorError: two have the same name.
    """
    found = [_choice(word) for word in words]
    for place, one in enumerate(found):
        if other := next((earlier for earlier in found[:place] if earlier.name == one.name), None):
            raise CandorError(
                f"two models would be called {one.name}: {other.spec} and {one.spec}",
                fix=f"give one of them another name, such as second={one.spec}",
            )
    return found


def _choice(word: str) -> Choice:
    named = _NAMED.fullmatch(word)
    if named and not Path(word).exists():
        return Choice(named[1], named[2])
    path = Path(word).expanduser()
    if path.suffix.lower() == ".gguf":
        return Choice(path.stem, word)
    if path.exists():
        full = path.resolve()
        # A run's folder says what its checkpoint is.
        return Choice(full.parent.name if full.name == "checkpoint" else full.name, word)
    return Choice(word, word)


def bind(host: str, port: int) -> socket.socket:
    """A socket that listens there; with port 0 the system chooses one.

    Raises:
        CandorError: that can't be had.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:
        raise CandorError(
            f"{host}: no address of this machine ({error})",
            fix="give an address with --host, such as 127.0.0.1",
        ) from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(1024)  # now, so that a second server sees at once that the port is taken
    except OSError as error:
        listener.close()
        raise CandorError(
            f"can't listen at {host}, port {port} ({error.strerror or error})",
            fix="stop what listens there, or give another --port (0: any that is free)",
        ) from error
    return listener


def hosts_for(host: str) -> frozenset[str] | None:
    """Names by which a server bound to this address may be asked; None: any."""
    return _LOOPBACK | {host.lower()} if is_loopback(host) else None


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that is bound there."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def check_key(key: str | None) -> str | None:
    """The key, if it is one that a header can carry.

    Raises:
        CandorError: it is empty, or has other characters than visible ASCII.
    """
    if key is not None and not (key and all("!" <= character <= "~" for character in key)):
        raise CandorError(
            "the API key is empty or has characters that a header can't carry",
            fix="give letters, digits and punctuation with --api-key or CANDOR_API_KEY; unset it for no key",
        )
    return key


def run(app: FastAPI, listener: socket.socket, grace_seconds: float, ready: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM, then let running requests end for so many seconds.

    Args:
        app: see `app.create_app`.
        listener: see `bind`.
        grace_seconds: after which requests that still run are broken off.
        ready: called with the server's URL when it answers.
    """
    config = _config(app, grace_seconds, log_level="warning")
    _Server(config, lambda: ready(url_of(listener))).run([listener])


@contextlib.contextmanager
def serving(app: FastAPI, listener: socket.socket, grace_seconds: float = 5.0) -> Iterator[str]:
    """Serve in a thread of this process while the block runs; yields the URL when it answers.

    Args:
        app: see `app.create_app`.
        listener: see `bind`; closed by whoever made it.
        grace_seconds: after which requests that still run at the end are broken off.

    Raises:
        CandorError: the server did not come up.
    """
    config = _config(app, grace_seconds, log_level="error")
    ready = threading.Event()
    server = _Server(config, ready.set)
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    try:
        while not ready.wait(0.1):
            if not thread.is_alive():
                raise CandorError(
                    f"the server at {url_of(listener)} ended before it answered",
                    fix="`candor serve` with the same model says why",
                )
        yield url_of(listener)
    finally:
        server.should_exit = True
        thread.join()


def _config(app: FastAPI, grace_seconds: float, *, log_level: str) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        log_level=log_level,
        access_log=False,  # no request is written down
        server_header=False,
        ws="none",
        timeout_graceful_shutdown=max(1, round(grace_seconds)),
    )


def url_of(listener: socket.socket) -> str:
    """Where a socket listens."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class _Server(uvicorn.Server):
    """Says when it is ready, and returns when it was told to stop, where uvicorn raises the signal again."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        with super().capture_signals():
            yield
            self._captured_signals.clear()
