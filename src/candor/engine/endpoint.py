"""One OpenAI-compatible URL: requests that outlast rate limits and restarts, and errors in plain words.

The `openai` client does the HTTP; nothing that a server sends is used before it fits a declared shape.
"""

from __future__ import annotations

import os
import re
import time
from typing import Literal, TypeVar
from urllib.parse import urlsplit

import openai
from pydantic import BaseModel, ValidationError

from candor.core.errors import CandorError

Answer = TypeVar("Answer", bound=BaseModel)

# Seconds between our own attempts: doubled from the first to the last. The client's own retries are spent
# within about two seconds, which a limit per minute or a restarting server outlasts.
_FIRST_PAUSE, _LAST_PAUSE = 1.0, 20.0
_ENDINGS = ("/chat/completions", "/completions", "/models")


class RefusedError(CandorError):
    """The server read the request and will not do it (HTTP 4xx); `status` says how."""

    def __init__(self, message: str, *, fix: str | None = None, status: int) -> None:
        super().__init__(message, fix=fix)
        self.status = status


class Endpoint:
    """An OpenAI-compatible server.

    Args:
        url: its address, with or without `/v1` (`http://127.0.0.1:8000`, `https://api.openai.com/v1`).
        api_key: default: the environment's OPENAI_API_KEY, else none (most local servers want none).
        timeout: seconds to wait for one answer.
        patience: seconds over which rate limits, HTTP 5xx and lost connections are tried again.

    Raises:
        CandorError: the URL is not one.
    """

    def __init__(
        self, url: str, api_key: str | None = None, *, timeout: float = 300.0, patience: float = 120.0
    ) -> None:
        self.url = api_url(url)
        self.timeout = timeout
        self.patience = patience
        key = (api_key or os.environ.get("OPENAI_API_KEY") or "").strip()
        self._has_key = bool(key)
        # The client insists on some key; servers that want none ignore it.
        self._client = openai.OpenAI(base_url=self.url, api_key=key or "none", timeout=timeout, max_retries=2)

    @property
    def root(self) -> str:
        """The server's address without the API's version, where servers keep their own extensions."""
        return re.sub(r"/v\d[^/]*$", "", self.url)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def get(self, path: str, shape: type[Answer], *, patience: float | None = None) -> Answer:
        """GET `path` (below the URL, or absolute) and validate the answer; raises as `post`."""
        return self._send("GET", path, None, shape, patience)

    def post(
        self, path: str, body: dict[str, object], shape: type[Answer], *, patience: float | None = None
    ) -> Answer:
        """POST a JSON body and validate the answer.

        Raises:
            RefusedError: the server will not do what was asked.
            CandorError: the server can't be reached, keeps failing, wants another key, or answers with
                something that is not of the shape.
        """
        return self._send("POST", path, body, shape, patience)

    def _send(
        self,
        method: Literal["GET", "POST"],
        path: str,
        body: dict[str, object] | None,
        shape: type[Answer],
        patience: float | None,
    ) -> Answer:
        deadline = time.monotonic() + (self.patience if patience is None else patience)
        pause, garbled, text = _FIRST_PAUSE, 0, ""
        while True:
            try:
                if method == "GET":
                    text = self._client.get(path, cast_to=str)
                else:
                    text = self._client.post(path, body=body, cast_to=str)
                return shape.model_validate_json(text)
            except ValidationError as error:
                garbled += 1  # once can be a proxy's hiccup; twice is what the server says
                if garbled > 1:
                    raise self._misshapen(path, text, error) from error
            except openai.APITimeoutError as error:  # the client has already tried three times
                raise CandorError(
                    f"{self.url} did not answer within {self.timeout:g} s",
                    fix="lower the concurrency, raise the timeout, or look whether the server hangs",
                ) from error
            except (openai.APIConnectionError, openai.RateLimitError, openai.InternalServerError) as error:
                if time.monotonic() + pause > deadline:
                    raise self._failed(error) from error
            except openai.APIStatusError as error:
                raise self._refused(error) from error
            time.sleep(pause)
            pause = min(2 * pause, _LAST_PAUSE)

    def _failed(self, error: openai.APIError) -> CandorError:
        if isinstance(error, openai.RateLimitError):
            return CandorError(
                f"{self.url} keeps saying that there are too many requests (HTTP 429): {_said(error)}",
                fix="lower the concurrency, or wait and run the same command again",
            )
        if isinstance(error, openai.APIStatusError):
            return CandorError(
                f"{self.url} keeps failing (HTTP {error.status_code}): {_said(error)}",
                fix="the server's own log says why; run the same command again when it is mended",
            )
        cause = error.__cause__ or error
        return CandorError(
            f"can't reach {self.url} ({type(cause).__name__}: {cause})",
            fix="start the server, or correct the URL (scheme, host and port), then run the command again",
        )

    def _refused(self, error: openai.APIStatusError) -> CandorError:
        status, said = error.status_code, _said(error)
        if status in (401, 403):
            return CandorError(
                f"{self.url} {'does not accept the API key' if self._has_key else 'wants an API key'} "
                f"(HTTP {status}): {said}",
                fix="set the environment variable OPENAI_API_KEY, or pass --api-key",
            )
        fix = None
        if status == 404:
            fix = "check that the URL is the one that ends in /v1 and that the server has this model"
        return RefusedError(f"{self.url} refused the request (HTTP {status}): {said}", fix=fix, status=status)

    def _misshapen(self, path: str, text: str, error: ValidationError) -> CandorError:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        return CandorError(
            f"{self.url}: the answer to {path} is not what an OpenAI-compatible server sends "
            f"({place + ': ' if place else ''}{first['msg']}); it begins {text[:120]!r}",
            fix="check that the URL is the one that ends in /v1",
        )


def api_url(url: str) -> str:
    """The base URL of the API: `/v1` is added unless a version is there, a pasted method path removed.

    Raises:
        CandorError: not an http or https URL.
    """
    plain = url.strip().rstrip("/")
    parts = urlsplit(plain)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise CandorError(
            f"{url!r} is not the URL of a server", fix="write it like http://127.0.0.1:8000/v1 (with http://)"
        )
    for ending in _ENDINGS:
        plain = plain.removesuffix(ending)
    versioned = any(re.fullmatch(r"v\d\w*", part) for part in urlsplit(plain).path.split("/"))
    return plain if versioned else f"{plain}/v1"


def _said(error: openai.APIStatusError) -> str:
    """What the server itself said, on one line."""
    body = error.body
    said = body.get("message") or body if isinstance(body, dict) else body
    return " ".join(str(said or error.message).split())[:400]
