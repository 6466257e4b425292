"""Errors as OpenAI's API words them: `{"error": {"message", "type", "param", "code"}}`."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from candor.core.errors import CandorError

_LONGEST = 300  # characters of a message that may quote what the client sent


class RequestError(Exception):
    """A request that is answered with an error.

    Args:
        status: HTTP status.
        message: what is wrong, and what to do.
        kind: OpenAI's `type`.
        param: the field that is wrong.
        code: a word for programs.
        retry_after: seconds after which to try again.
        challenge: of a 401, how to say who asks.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = "invalid_request_error",
        param: str | None = None,
        code: str | None = None,
        retry_after: int | None = None,
        challenge: str = "Bearer",
    ) -> None:
        super().__init__(message)
        self.status = status
        self.challenge = challenge
        self.retry_after = retry_after
        # What can't be written as UTF-8 (half a surrogate pair) must not break the answer that quotes it.
        plain = message.encode("utf-8", "backslashreplace").decode()
        shown = plain if len(plain) <= _LONGEST else plain[:_LONGEST] + " …"
        self.body: dict[str, Any] = {
            "error": {"message": shown, "type": kind, "param": param, "code": code},
        }

    def response(self) -> JSONResponse:
        """The answer to the client."""
        headers = {} if self.retry_after is None else {"retry-after": str(self.retry_after)}
        if self.status == 401:
            headers["www-authenticate"] = self.challenge
        return JSONResponse(self.body, self.status, headers=headers)


class BodyError(HTTPException):
    """The same, where it shows while FastAPI reads the body, which would hide any other kind of exception."""

    def __init__(self, error: RequestError) -> None:
        super().__init__(error.status)
        self.error = error


def bad(message: str, param: str | None = None, *, code: str | None = None) -> RequestError:
    """A 400."""
    return RequestError(400, message, param=param, code=code)


def of_candor(error: CandorError, param: str | None = None) -> RequestError:
    """What an engine refuses, as a 400."""
    return bad(f"{error.message}; {error.fix}" if error.fix else error.message, param)


def internal() -> RequestError:
    """The answer to what is a bug or a failure here; the log has the rest."""
    return RequestError(500, "the server failed; its log says why", kind="server_error")


def install(app: FastAPI) -> None:
    """Answer every error in this shape."""

    @app.exception_handler(RequestError)
    async def _known(_: Request, error: RequestError) -> JSONResponse:
        return error.response()

    @app.exception_handler(RequestValidationError)
    async def _invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        return _of_validation(error).response()

    @app.exception_handler(HTTPException)
    async def _http(_: Request, error: HTTPException) -> JSONResponse:
        if isinstance(error, BodyError):
            return error.error.response()
        return RequestError(error.status_code, str(error.detail)).response()

    @app.exception_handler(Exception)
    async def _bug(_: Request, _error: Exception) -> JSONResponse:
        return internal().response()  # starlette logs the traceback


def _of_validation(error: RequestValidationError) -> RequestError:
    first = error.errors()[0]
    place = [part for part in first["loc"] if part != "body"]
    message = str(first["msg"]).removeprefix("Value error, ")
    if first["type"] == "value_error" and not place:  # about several fields; the message names one
        return bad(message, message.partition(":")[0])
    if first["type"] == "json_invalid" or not place:
        return bad(f"the body is not a JSON object, sent as application/json ({message})")
    return bad(f"{place[0]}: {message}", str(place[0]))
