"""Find a provider's token: in the environment, in a file that it names, in .env. Shows it nowhere, sets no variable."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from io import StringIO
from pathlib import Path
from typing import Final

from dotenv import dotenv_values

from exporter.models import Secret

_MAX_BYTES: Final = 64 * 1024
_Stamp = tuple[int, int, int, int]


class CredentialError(Exception):
    """A token is configured but cannot be used. The message names its source, never its value."""


class Keyring:
    """The tokens by the name of their environment variable; what they hold now is kept out of the log."""

    def __init__(self, environ: Mapping[str, str], dotenv: Path | None) -> None:
        self._environ = environ
        self._dotenv = dotenv
        self._tokens: dict[str, Token] = {}

    def token(self, name: str) -> Token:
        """Return the look-up of one token."""
        if name not in self._tokens:
            self._tokens[name] = Token(name, self._environ, self._dotenv)
        return self._tokens[name]

    def secrets(self) -> Iterator[Secret]:
        """Return every token that is set now."""
        for token in list(self._tokens.values()):
            try:
                secret = token.get()
            except CredentialError:
                continue
            if secret is not None:
                yield secret


class Token:
    """The token of one provider. A file is read again when it has changed, so that a rotated token is taken up.

    Looked for in this order, and what is empty counts as not there: the variable `env_name` of `environ`, the file
    that its variable `env_name`_FILE names, then both again as written in the file `dotenv`.
    """

    def __init__(self, env_name: str, environ: Mapping[str, str], dotenv: Path | None = None) -> None:
        self._env_name = env_name
        self._environ = environ
        self._dotenv = dotenv
        self._files: dict[Path, tuple[_Stamp, Secret]] = {}
        self._source = ""

    @property
    def source(self) -> str:
        """Where the last `get` found the token: `environment HF_TOKEN`, `file /run/token`, `.env`; empty if nowhere."""
        return self._source

    def get(self) -> Secret | None:
        """Return the token, or None where none is configured.

        Raises CredentialError when a file that is named cannot be read or is empty, or the token could not be sent.
        """
        self._source = ""
        return self._look(self._environ, f"environment {self._env_name}") or self._from_dotenv()

    def __repr__(self) -> str:
        return f"Token({self._env_name}, source={self._source!r})"

    def _from_dotenv(self) -> Secret | None:
        if self._dotenv is None or not os.path.isfile(self._dotenv):
            return None
        text = self._read(self._dotenv)
        values = {name: value or "" for name, value in dotenv_values(stream=StringIO(text), interpolate=False).items()}
        return self._look(values, self._dotenv.name)

    def _look(self, values: Mapping[str, str], source: str) -> Secret | None:
        if token := values.get(self._env_name, "").strip():
            return self._accept(token, source)
        if name := values.get(f"{self._env_name}_FILE", "").strip():
            token = self._read(Path(name)).strip()
            if not token:
                raise CredentialError(f"file {name} is empty")
            return self._accept(token, f"file {name}")
        return None

    def _accept(self, token: str, source: str) -> Secret:
        if not all("!" <= character <= "~" for character in token):
            raise CredentialError(f"the token from {source} holds a space, a control or a non-ASCII character")
        self._source = source
        return Secret(token)

    def _read(self, path: Path) -> str:
        known = self._files.get(path)
        try:
            if known and known[0] == _stamp(path.stat()):
                return known[1].reveal()
            # Not blocking: the open of a pipe that nobody writes to would never return.
            with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
                status = os.fstat(file.fileno())
                if not stat.S_ISREG(status.st_mode):
                    raise CredentialError(f"{path} is not a file")
                raw = file.read(_MAX_BYTES + 1)
            text = raw.decode("utf-8-sig")
        except OSError as error:
            raise CredentialError(f"file {path} cannot be read ({error.strerror})") from None
        except ValueError:  # bytes that are not UTF-8, a path with a NUL; `from None`, for the error holds the bytes
            raise CredentialError(f"file {path} holds no token") from None
        if len(raw) > _MAX_BYTES:
            raise CredentialError(f"file {path} is larger than {_MAX_BYTES // 1024} KiB")
        self._files[path] = (_stamp(status), Secret(text))
        return text


def _stamp(status: os.stat_result) -> _Stamp:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
