"""Compress an answer with gzip for those who accept it."""

from __future__ import annotations

import asyncio
import gzip
import re
from dataclasses import replace
from typing import Final

from exporter.web.http import Response

_LEAST_BYTES: Final = 1024
_THREAD_BYTES: Final = 65_536
_LEVEL: Final = 1
_QUALITY: Final = re.compile(r"q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)", re.ASCII | re.IGNORECASE)


async def compressed(response: Response, accept_encoding: str) -> Response:
    """Return `response`, compressed where it is worth it and `accept_encoding` allows gzip."""
    if len(response.body) < _LEAST_BYTES:
        return response
    vary = ", ".join(filter(None, (response.headers.get("Vary"), "Accept-Encoding")))
    headers = {**response.headers, "Vary": vary}
    if not accepts_gzip(accept_encoding):
        return replace(response, headers=headers)
    if len(response.body) < _THREAD_BYTES:
        body = _gzip(response.body)
    else:
        body = await asyncio.to_thread(_gzip, response.body)
    return replace(response, body=body, headers={**headers, "Content-Encoding": "gzip"})


def accepts_gzip(accept_encoding: str) -> bool:
    """Return True when an Accept-Encoding header gives gzip, or else `*`, a quality above zero (RFC 9110, 12.5.3)."""
    qualities: dict[str, float] = {}
    for part in accept_encoding.split(","):
        coding, _, weight = part.partition(";")
        quality = _QUALITY.fullmatch(weight.strip())
        qualities[coding.strip().lower()] = float(quality[1]) if quality else 0.0 if weight.strip() else 1.0
    return qualities.get("gzip", qualities.get("x-gzip", qualities.get("*", 0.0))) > 0


def _gzip(body: bytes) -> bytes:
    return gzip.compress(body, _LEVEL, mtime=0)
