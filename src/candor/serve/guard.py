"""What stands before every request: who may ask, from where, and how much they may send.

- Host: a server on loopback answers only when it is called by a loopback name. A page in a browser could
  otherwise have its own name resolve to 127.0.0.1 and read the answers (DNS rebinding).
- Origin: a browser says where a request comes from. Other sites are refused: without that any page could have
  this machine work for it, even though it could not read the answers. (No CORS headers are ever sent.)
- Key: compared in constant time. The pages of the run browser take it as a password, too: a link can't carry
  a header of its own, and a browser asks for a password by itself.
- Body: limited in size and in the time in which it has to be here.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import time
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from candor.serve.errors import BodyError, RequestError
from candor.serve.metrics import Metrics
from candor.serve.page import PAGES
from candor.serve.settings import Settings

# These answer without a key: whether the server lives is no secret, nor is the page that asks for the key.
_OPEN = ("/health", *PAGES)
_RUNS = "/runs"  # and what is below
_KNOWN = ("/v1/completions", "/v1/chat/completions", "/v1/models", "/tokenize", "/detokenize", "/health")


class Guard:
    """ASGI middleware; also counts requests."""

    def __init__(self, app: ASGIApp, settings: Settings, metrics: Metrics) -> None:
        self._app, self._settings, self._metrics = app, settings, metrics
        self._key = None if settings.api_key is None else settings.api_key.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return  # no websockets here
        begun = time.monotonic()
        status = 499  # gone before anything was answered

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        path = scope["path"] if scope["path"] in _KNOWN else "other"
        try:
            self._look(scope)
            await self._app(scope, self._limited(scope, receive), noting)
        except RequestError as error:
            await error.response()(scope, receive, noting)
        except Exception:  # a bug: starlette answers it, further out
            status = 500
            raise
        finally:
            self._metrics.requests.labels(path, str(status)).inc()
            self._metrics.request_seconds.labels(path).observe(time.monotonic() - begun)

    def _look(self, scope: Scope) -> None:
        headers, settings = Headers(scope=scope), self._settings
        host = headers.get("host", "")
        if settings.hosts is not None and _name(host) not in settings.hosts:
            raise RequestError(
                403,
                "this server answers only under the names of its own machine; start it with --host to give "
                "it another",
                code="unknown_host",
            )
        origin = headers.get("origin")
        if origin is not None and origin.lower().partition("://")[2] != host.lower():
            raise RequestError(403, "requests from pages of other sites are refused", code="foreign_origin")
        # A browser sends a password that it knows with whatever a page of another site has it load. Following
        # a link is no such thing.
        if (
            _browses(scope["path"])
            and headers.get("sec-fetch-site", "none") not in ("none", "same-origin")
            and headers.get("sec-fetch-mode") != "navigate"
        ):
            raise RequestError(403, "requests from pages of other sites are refused", code="foreign_origin")
        if self._key is not None and scope["path"] not in _OPEN:
            scheme, _, given = headers.get("authorization", "").partition(" ")
            given = given.strip()
            browsed = _browses(scope["path"])
            if browsed and scheme.lower() == "basic":
                scheme, given = "bearer", _password(given)
            # Compared whatever the scheme, so that the time tells nothing.
            right = hmac.compare_digest(given.encode("utf-8", "replace"), self._key)
            if not right or scheme.lower() != "bearer":
                raise RequestError(
                    401,
                    "give the server's key as `Authorization: Bearer KEY`"
                    + (", or as the password" if browsed else ""),
                    kind="authentication_error",
                    code="invalid_api_key",
                    challenge='Basic realm="runs", charset="UTF-8"' if browsed else "Bearer",
                )
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length[:20]) > settings.max_body_bytes:
            raise self._too_large()

    def _limited(self, scope: Scope, receive: Receive) -> Receive:
        """The client's messages, until the body has been read no more and no later than is allowed."""
        deadline = time.monotonic() + self._settings.body_seconds
        got, more = 0, True

        async def limited() -> Message:
            nonlocal got, more
            if not more:
                return await receive()
            try:
                message = await asyncio.wait_for(receive(), max(0.0, deadline - time.monotonic()))
            except TimeoutError:
                raise BodyError(
                    RequestError(408, "the request's body did not arrive in time", code="timeout")
                ) from None
            got += len(message.get("body", b""))
            more = message.get("more_body", False)
            if got > self._settings.max_body_bytes:
                raise BodyError(self._too_large())
            return message

        return limited

    def _too_large(self) -> RequestError:
        return RequestError(
            413, f"the body has more than {self._settings.max_body_bytes} bytes", code="body_too_large"
        )


def _browses(path: str) -> bool:
    return path.startswith((f"{_RUNS}/", f"{_RUNS}.")) or path == _RUNS


def _password(credentials: str) -> str:
    """The password of a Basic header, "" if there is none."""
    try:
        return base64.b64decode(credentials, validate=True).decode("utf-8", "replace").partition(":")[2]
    except (binascii.Error, ValueError):
        return ""


def _name(host: str) -> str:
    """A Host header's name, without its port."""
    try:
        return (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return ""
