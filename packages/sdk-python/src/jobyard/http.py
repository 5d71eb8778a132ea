"""Calls with retries, timeouts and one kind of error."""

from __future__ import annotations

import json
import random
import time
from http.client import HTTPException
from typing import Any, Callable, Mapping, Optional, Union
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlencode
from urllib.request import HTTPRedirectHandler, Request, build_opener

Token = Union[str, Callable[[], str]]

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 10.0
# Servers that ask for a longer pause are not asked again.
LONGEST_RETRY_AFTER_S = 30.0
# Nothing was done, or a gateway does not know.
TRANSIENT = frozenset((408, 429, 502, 503, 504))


class WellFlowError(Exception):
    """Every failure of a call.

    `code` is the server's, or `NETWORK_ERROR`, `TIMEOUT`, `INVALID_ANSWER`; `status` is 0 where there was no answer;
    `retry_after` is in seconds.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str,
        status: int = 0,
        details: Optional[Mapping[str, Any]] = None,
        retry_after: Optional[float] = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.status = status
        self.details: Mapping[str, Any] = details or {}
        self.retry_after = retry_after


class _NoRedirects(HTTPRedirectHandler):
    """A token never goes to another server."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


class Http:
    def __init__(self, base_url: str, token: Optional[Token], timeout: float, retries: int) -> None:
        if not base_url.startswith(("http://", "https://")):
            raise ValueError(f"base_url must begin with http:// or https://, not {base_url}")
        self._base = base_url.rstrip("/") + "/api/jobs"
        self._token = token
        self._timeout = timeout
        self._retries = retries
        self._opener = build_opener(_NoRedirects)

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Optional[Mapping[str, Any]] = None,
        body: Any = None,
        idempotency_key: Optional[str] = None,
    ) -> Any:
        """What the answer's `data` holds, or the answer itself where it has none."""
        url = self._base + path
        asked = {name: value for name, value in (query or {}).items() if value is not None}
        if asked:
            url += "?" + urlencode(asked)
        headers = {"Accept": "application/json"}
        if self._token is not None:
            token = self._token() if callable(self._token) else self._token
            headers["Authorization"] = f"Bearer {token}"
        content: Optional[bytes] = None
        if body is not None:
            content = json.dumps(body, allow_nan=False).encode()
            headers["Content-Type"] = "application/json"
        if idempotency_key is not None:
            headers["Idempotency-Key"] = idempotency_key
        repeatable = method == "GET" or idempotency_key is not None
        tries = 0
        while True:
            try:
                return self._once(Request(url, content, headers, method=method))
            except WellFlowError as error:
                pause = _pause_before(error, tries)
                if not repeatable or tries >= self._retries or pause is None:
                    raise
            time.sleep(pause)
            tries += 1

    def _once(self, request: Request) -> Any:
        try:
            with self._opener.open(request, timeout=self._timeout) as response:
                status, text = response.status, response.read()
        except HTTPError as error:
            with error:
                raise _refusal(error.code, error.headers, error.read()) from None
        except (OSError, HTTPException) as error:
            reason = error.reason if isinstance(error, URLError) else error
            late = isinstance(reason, TimeoutError)
            what = f"No answer within {self._timeout} s" if late else f"Cannot reach it: {reason}"
            code = "TIMEOUT" if late else "NETWORK_ERROR"
            raise WellFlowError(f"{request.full_url}: {what}", code=code) from error
        try:
            answer = json.loads(text)
        except ValueError as error:
            message = f"{request.full_url} did not answer with JSON: is base_url a Jobyard server?"
            raise WellFlowError(message, code="INVALID_ANSWER", status=status) from error
        return answer["data"] if isinstance(answer, dict) and "data" in answer else answer


def segment(value: object) -> str:
    """One step of a path."""
    text = str(value)
    if text in ("", ".", ".."):
        raise ValueError(f"{text!r} cannot stand in an address")
    return quote(text, safe="")


def _pause_before(error: WellFlowError, tries: int) -> Optional[float]:
    if error.code == "INVALID_ANSWER" or (error.status and error.status not in TRANSIENT):
        return None
    if error.retry_after is not None:
        return error.retry_after if error.retry_after <= LONGEST_RETRY_AFTER_S else None
    return min(FIRST_PAUSE_S * 2**tries, LONGEST_PAUSE_S) * random.uniform(0.5, 1)


def _refusal(status: int, headers: Mapping[str, str], text: bytes) -> WellFlowError:
    try:
        error = json.loads(text)["error"]
        code, message = str(error["code"]), str(error["message"])
        details = error.get("details")
    except (ValueError, KeyError, TypeError, AttributeError):
        code, message, details = f"HTTP_{status}", f"The server answered with status {status}", None
    try:
        retry_after: Optional[float] = float(headers.get("Retry-After") or "")
    except ValueError:
        retry_after = None
    return WellFlowError(
        message,
        code=code,
        status=status,
        details=details if isinstance(details, dict) else None,
        retry_after=retry_after,
    )
