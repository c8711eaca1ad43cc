"""One file as a tree, and the addresses in it: a path of keys and indexes -> line, readable path, Problem.

Whatever becomes a Problem goes through here, and nothing that looks like a secret comes out.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from exporter.config.shape import MAX_MODEL_ID
from exporter.config.values import Problem
from exporter.config.yaml_nodes import NULL, Malformed, Node, compose

MAX_BYTES: Final = 32 * 1024 * 1024
_MAX_SHOWN: Final = 60
_TOKEN: Final = re.compile(r"(?<![A-Za-z0-9])hf_[A-Za-z0-9]{20,}")
_SECRET_KEY: Final = re.compile(r"(?i)token|secret|passw|api_?key|authorization|bearer|credential")

Loc = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """A file that could be read to its end."""

    file: str
    root: Node

    def problem(self, loc: Loc, message: str, hint: str = "") -> Problem:
        """Return a Problem at the line of `loc`, or of the nearest thing around it that is there."""
        return problem(self.file, self.line(loc), self.path(loc), message, hint)

    def has(self, *loc: str | int) -> bool:
        """Tell whether something is written at `loc`."""
        return len(list(self._walk(loc))) == len(loc)

    def line(self, loc: Loc) -> int:
        """Return the line of the key or of the list's item at `loc`."""
        return [self.root.line, *(line for line, _ in self._walk(loc))][-1]

    def path(self, loc: Loc) -> str:
        """Return `models.gpt2.timeout`, with the index in place of an id that there is not."""
        text = ""
        nodes = [node for _, node in self._walk(loc)]
        for depth, part in enumerate(loc):
            if isinstance(part, str):
                text += f".{_printable(part)}"
            elif loc[:depth] == ("models",) and depth < len(nodes) and (model_id := id_of(nodes[depth])):
                text += f".{model_id}"
            else:
                text += f"[{part}]"
        return text.removeprefix(".")

    def _walk(self, loc: Loc) -> Iterable[tuple[int, Node]]:
        node = self.root
        for part in loc:
            if node.keys is not None and part in node.keys:
                line, node = node.keys[str(part)]
            elif node.items is not None and isinstance(part, int) and part < len(node.items):
                node = node.items[part]
                line = node.line
            else:
                return
            yield line, node


def read_document(file: str, raw: bytes, problems: list[Problem]) -> Document | None:
    """Return the file's tree, or None; what is wrong with it is added to `problems`."""
    if len(raw) > MAX_BYTES:
        problems.append(problem(file, 0, "", f"larger than {MAX_BYTES // 2**20} MiB", "is this the right file?"))
        return None
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        problems.append(problem(file, line, "", "not UTF-8", "save the file as UTF-8"))
        return None
    problems += [
        problem(
            file,
            text.count("\n", 0, found.start()) + 1,
            "",
            "a token is written here",
            "take it out and revoke it; name an environment variable with token_env",
        )
        for found in _TOKEN.finditer(text)
    ]
    try:
        root, faults = compose(text)
    except Malformed as error:
        fault = error.fault
        problems.append(problem(file, fault.line, "", fault.message, fault.hint))
        return None
    document = Document(file, root)
    problems += [problem(file, fault.line, document.path(fault.loc), fault.message, fault.hint) for fault in faults]
    if root.keys is None:
        what = "a list at the top of the file" if root.items is not None else "not a mapping of keys and values"
        what = "the file is empty" if root.data is NULL else what
        problems.append(document.problem((), what, "begin with `models:`"))
        return None
    return document


def problem(file: str, line: int, path: str, message: str, hint: str = "") -> Problem:
    """Return a Problem with every text that looks like a token masked."""
    path, message, hint = (_TOKEN.sub("***", text) for text in (path, message, hint))
    return Problem(file=file, line=line, path=path, message=message, hint=hint)


def quoted(value: Any) -> str:
    """Return ` 'value'` to stand after a word, or nothing when the value is long, a URL or no plain text."""
    if not isinstance(value, str) or len(value) > _MAX_SHOWN or not value.isprintable() or "://" in value:
        return ""
    return f" '{value}'"


def looks_secret(key: str) -> bool:
    """Tell whether a key is of the kind that people put secrets under."""
    return bool(_SECRET_KEY.search(key))


@lru_cache(maxsize=256)
def suggestion(value: Any, choices: tuple[str, ...]) -> str:
    """Return a hint: the choice that was probably meant, else all of them."""
    if isinstance(value, str) and len(value) <= _MAX_SHOWN:
        folded = {choice.lower(): choice for choice in reversed(choices)}
        if close := difflib.get_close_matches(value.lower(), list(folded), n=1):
            return f"did you mean '{folded[close[0]]}'?"
    return f"write {', '.join(choices)}" if len(choices) == 1 else f"one of: {', '.join(choices)}"


def id_of(node: Node) -> str:
    """Return the id that stands in a model's node, or nothing when it could not be shown as one."""
    found = node.keys.get("model_id") if node.keys else None
    value = found[1].data if found else None
    return value if isinstance(value, str) and value.isprintable() and len(value) <= MAX_MODEL_ID else ""


def _printable(key: str) -> str:
    if len(key) > _MAX_SHOWN:
        key = key[:20] + "…"
    return key if key.isprintable() else ascii(key)[1:-1]
