"""Basic authentication against bcrypt hashes: slow for the wrong password, free for a scrape that repeats itself."""

from __future__ import annotations

import asyncio
import base64
import hmac
import secrets
from collections.abc import Mapping
from typing import Final

import bcrypt

_BCRYPT_MOST_BYTES: Final = 72
_AT_ONCE: Final = 2
_SALT_AND_DIGEST: Final = "a" * 21 + "." * 32


class Authenticator:
    """The users of basic_auth_users. No repr shows a hash or a password."""

    def __init__(self, hashes: Mapping[str, str]) -> None:
        self._hashes = {user: value.encode() for user, value in hashes.items()}
        # An unknown user costs as much time as a known one, so that names cannot be found out.
        cost = max((value.split("$")[2] for value in hashes.values()), default="10")
        self._nobody = f"$2b${cost}${_SALT_AND_DIGEST}".encode()
        self._key = secrets.token_bytes(32)
        self._accepted: dict[str, bytes] = {}
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def allows(self, authorization: str | None) -> bool:
        """Return True when the Authorization header holds a user and the password of that user."""
        credentials = _parse(authorization)
        if credentials is None:
            return False
        user, password = credentials
        # Only what was right is remembered, one password a user: nobody can fill this, or push another out.
        digest = hmac.digest(self._key, password, "sha256")
        if hmac.compare_digest(self._accepted.get(user, b""), digest):
            return True
        expected = self._hashes.get(user)
        async with self._slots:
            matches = await asyncio.to_thread(bcrypt.checkpw, password[:_BCRYPT_MOST_BYTES], expected or self._nobody)
        if expected is None or not matches:
            return False
        self._accepted[user] = digest
        return True


def _parse(authorization: str | None) -> tuple[str, bytes] | None:
    scheme, _, encoded = (authorization or "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
        return (user.decode(), password) if colon else None
    except ValueError:  # binascii.Error and UnicodeDecodeError are ones
        return None
