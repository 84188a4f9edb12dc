"""What a client reads where a request is refused, in OpenAI's form."""

from __future__ import annotations

from typing import Any

from starlette.responses import JSONResponse

from bakery.errors import BakeryError

_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


class RequestError(Exception):
    """A request that is not answered, and why; `retry_s`: when it may be tried again."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        retry_s: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.param = status, message, code, param
        self.retry_s = retry_s

    def as_data(self) -> dict[str, Any]:
        """Return the body of the answer."""
        kind = "server_error" if self.status >= 500 else "invalid_request_error"
        return {
            "error": {
                "message": self.message,
                "type": _TYPES.get(self.status, kind),
                "param": self.param,
                "code": self.code,
            }
        }

    def answer(self) -> JSONResponse:
        """Return the answer to the request."""
        headers = {} if self.retry_s is None else {"Retry-After": str(self.retry_s)}
        if self.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        return JSONResponse(self.as_data(), self.status, headers)


def told(error: BakeryError) -> str:
    """Return what an error says, and what to do next, in a line."""
    return f"{error.message}. {error.hint}" if error.hint else error.message
