"""A request and a response as plain values, and the JSON and URL rules of every answer. Knows no framework."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import unquote_to_bytes

_BAD_ESCAPE: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_MAX_DEPTH: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request. `path` and `query_string` are as sent, still percent-encoded; `prefix` is cut off the path.

    Header names are lower case, repeated headers are joined with a comma. `remote` is the peer's address, never
    what a header says. `params` (from the path) and `query` (the last of a repeated name) are filled by the dispatcher.
    """

    method: str
    path: str
    query_string: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    remote: str | None = None
    prefix: str = ""
    params: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """One answer; `headers` names its content type. A binding leaves the body out for HEAD, but not its length."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


class ApiError(Exception):
    """An answer that is not what was asked for: `{"error": {"code", "message"}}`, and what `body` adds to it."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        headers: Mapping[str, str] | None = None,
        *,
        body: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = dict(headers or {})
        self.body = dict(body or {})


def json_response(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return `value` as strict JSON in UTF-8: a number that is not finite becomes null."""
    content = {"Content-Type": "application/json; charset=utf-8", **(headers or {})}
    return Response(status=status, body=_encode(value), headers=content)


def error_response(error: ApiError) -> Response:
    """Return the answer for an ApiError."""
    told = {"code": error.code, "message": error.message}
    return json_response({**error.body, "error": told}, error.status, error.headers)


def text_response(text: str, status: int = 200, content_type: str = "text/plain") -> Response:
    """Return `text` in UTF-8."""
    return Response(
        status=status,
        body=text.encode("utf-8", "replace"),
        headers={"Content-Type": f"{content_type}; charset=utf-8"},
    )


def decode(text: str, what: str) -> str:
    """Undo percent-encoding strictly. Raises ApiError 400 where `text` is not percent-encoded UTF-8."""
    raw = text.encode("utf-8", "surrogateescape")
    if _BAD_ESCAPE.search(raw):
        raise ApiError(400, "bad_url", f"the {what} holds a % that is not followed by two hexadecimal digits")
    try:
        return unquote_to_bytes(raw).decode("utf-8")
    except UnicodeDecodeError:
        raise ApiError(400, "bad_url", f"the {what} is not UTF-8") from None


def parse_query(query_string: str) -> dict[str, str]:
    """Return the query by name, the last of a repeated name. Raises ApiError 400 where it is not UTF-8."""
    pairs = (part.partition("=") for part in query_string.replace("+", " ").split("&") if part)
    return {decode(name, "query"): decode(value, "query") for name, _, value in pairs}


def _encode(value: Any) -> bytes:
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (ValueError, RecursionError):
        # What a model answered is stored and shown as it came: one odd row must not spoil the page it is on.
        text = json.dumps(_plain(value, 0), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode("utf-8", "replace")


def _plain(value: Any, depth: int) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _plain(item, depth + 1) for key, item in value.items()} if depth < _MAX_DEPTH else None
    if isinstance(value, list | tuple):
        return [_plain(item, depth + 1) for item in value] if depth < _MAX_DEPTH else None
    return value
