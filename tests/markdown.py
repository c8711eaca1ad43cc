"""Read the documentation as data: its sections, tables, code blocks and links."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]


class Block(NamedTuple):
    place: str
    language: str
    text: str


def files() -> list[Path]:
    """Return every Markdown file of the project, hidden folders left out."""
    found = []
    for folder, names, entries in os.walk(ROOT):
        names[:] = [name for name in names if not name.startswith(".")]
        found += [Path(folder, entry) for entry in entries if entry.endswith(".md")]
    return sorted(found)


def page(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(*languages: str) -> list[Block]:
    """Return the fenced blocks in these languages, with the file and line where each begins."""
    found = []
    for path in files():
        text = path.read_text(encoding="utf-8")
        for match in re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
            place = f"{path.relative_to(ROOT)}:{text.count(chr(10), 0, match.start()) + 1}"
            found.append(Block(place, match[1], match[2]))
    return [block for block in found if block.language in languages]


def prose(text: str) -> str:
    """Return the text without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def headings(text: str) -> list[tuple[int, str]]:
    return [(len(match[1]), match[2]) for match in re.finditer(r"^(#+) (.+)$", prose(text), re.MULTILINE)]


def section(text: str, heading: str) -> str:
    """Return what stands below a heading, up to the next one of its level or above."""
    begin = re.search(rf"^(#+) {re.escape(heading)}$", text, re.MULTILINE)
    assert begin is not None, f"there is no heading {heading!r}"
    end = re.search(rf"^#{{1,{len(begin[1])}}} ", text[begin.end() :], re.MULTILINE)
    return text[begin.end() : begin.end() + end.start()] if end else text[begin.end() :]


def rows(text: str, first_header: str) -> list[dict[str, str]]:
    """Return the rows of every table whose first column is called so, each by the headers of its columns."""
    found: list[dict[str, str]] = []
    headers: list[str] = []
    for line in prose(text).splitlines():
        if not line.startswith("|"):
            headers = []
            continue
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not headers:
            headers = cells
        elif headers[0] == first_header and set(line) - set("|- "):
            found.append(dict(zip(headers, cells, strict=True)))
    return found


def codes(cell: str) -> list[str]:
    """Return what stands between backticks."""
    return re.findall(r"`([^`]+)`", cell)


def code(cell: str) -> str:
    """Return the one code of a cell."""
    (found,) = codes(cell)
    return found


def slug(heading: str) -> str:
    """Return the anchor that a heading gets."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def links(text: str) -> Iterator[str]:
    """Yield the targets of the relative links."""
    for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`]*`", "", prose(text))):
        if not re.match(r"[a-z]+:", target):
            yield target
