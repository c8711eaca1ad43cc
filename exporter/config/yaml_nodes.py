"""YAML text -> a tree of plain data that knows its lines. Knows no key of ours, resolves no tag to an object.

The tree is put together from the parser's events rather than by `yaml.compose`: the composer of libyaml's binding
recurses in C, so that a file of 100,000 `[` kills the process, and it keeps the last of two equal keys.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import yaml

LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
MAX_DEPTH: Final = 50
MAX_MERGED_KEYS: Final = 1_000_000
"""Over the whole file; `<<` copies, so that a short text could ask for quadratic work."""

_TAG: Final = "tag:yaml.org,2002:"
_TEXT_TAGS: Final = frozenset(_TAG + name for name in ("str", "timestamp", "merge", "value"))
_TRUE: Final = frozenset({"yes", "true", "on"})
_INT: Final = re.compile(r"[-+]?(?:0|[1-9][0-9_]*)")
_NOT_YAML: Final = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class _Null:
    """The value of a key that has none. Not None: no key of ours may be empty, and this fails every check of a type."""


NULL: Final = _Null()


@dataclass(slots=True)
class Node:
    """`data` is str, int, float, bool, NULL, list or dict; `keys` has the line and node of each key of a mapping."""

    data: Any
    line: int
    keys: Keys | None = None
    items: list[Node] | None = None


Keys = dict[str, tuple[int, Node]]


class Fault(NamedTuple):
    """Something wrong with the text itself; `loc` is the path of keys and indexes to it."""

    loc: tuple[str | int, ...]
    line: int
    message: str
    hint: str = ""


class Malformed(Exception):  # noqa: N818 -- it carries a fault, it is not told to anyone
    """The text cannot be read to its end."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


def compose(text: str) -> tuple[Node, list[Fault]]:
    """Return the root of the only document in `text`, and what is wrong with it that did not stop the reading.

    Time and memory are linear in the text: aliases share their node. Raises Malformed.
    """
    if found := _NOT_YAML.search(text):
        line = text.count("\n", 0, found.start()) + 1
        raise Malformed(Fault((), line, f"a control character (U+{ord(found[0]):04X}); is this a text file?"))
    composer: _Composer | None = None
    try:
        composer = _Composer(text)
        return composer.document(), composer.faults
    except yaml.YAMLError as error:
        raise Malformed(_syntax(error, text)) from None
    except (ValueError, OverflowError):  # the parser in Python, of an escape beyond Unicode such as "\UFFFFFFFF"
        raise Malformed(Fault((), composer.line if composer else 1, "an escape that is no character")) from None


def _syntax(error: yaml.YAMLError, text: str) -> Fault:
    mark = getattr(error, "problem_mark", None)
    index = mark.line if mark else 0
    problem = getattr(error, "problem", None) or "it cannot be read"
    lines = text.split("\n")
    line = lines[index] if index < len(lines) else ""
    if "\t" in line[: len(line) - len(line.lstrip())]:
        return Fault((), index + 1, "a tab at the beginning of a line", "indent with spaces")
    hint = "put a value that holds ': ' in quotes" if "mapping values" in problem else ""
    return Fault((), index + 1, f"not valid YAML: {problem}", hint)


class _Composer:
    def __init__(self, text: str) -> None:
        self.faults: list[Fault] = []
        self.line = 1
        self._loader = LOADER(text)
        self._anchors: dict[str, Node | None] = {}
        self._trail: list[str | int] = []
        self._merged_keys = 0

    def document(self) -> Node:
        self._next()
        if isinstance(self._next(), yaml.StreamEndEvent):
            raise Malformed(Fault((), 1, "the file is empty", "begin with `models:`"))
        root = self._node(self._next())
        self._next()
        if not isinstance(self._next(), yaml.StreamEndEvent):
            raise Malformed(Fault((), self.line, "a second document in one file", "put it into a file of its own"))
        return root

    def _next(self) -> Any:
        event = self._loader.get_event()
        self.line = event.start_mark.line + 1
        return event

    def _node(self, event: Any) -> Node:
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        if isinstance(event, yaml.ScalarEvent):
            node = Node(self._scalar(event), self.line)
        else:
            if len(self._trail) >= MAX_DEPTH:
                raise Malformed(Fault((), self.line, f"nested more than {MAX_DEPTH} deep"))
            self._check_tag(event)
            node = self._mapping() if isinstance(event, yaml.MappingStartEvent) else self._sequence()
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _alias(self, event: Any) -> Node:
        if event.anchor not in self._anchors:
            self._fault("an alias (*) without its anchor (&)")
        elif (node := self._anchors[event.anchor]) is None:
            self._fault("an alias (*) inside its own anchor (&)")
        else:
            return Node(node.data, self.line, node.keys, node.items)
        return Node(NULL, self.line)

    def _sequence(self) -> Node:
        line = self.line
        items: list[Node] = []
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            self._trail.append(len(items))
            items.append(self._node(event))
            self._trail.pop()
        return Node([item.data for item in items], line, items=items)

    def _mapping(self) -> Node:
        line = self.line
        keys: Keys = {}
        merged: list[Keys] = []
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            key, key_line = self._key(event), self.line
            self._trail.append("?" if key is None else key)
            value = self._node(self._next())
            if key is None:
                pass
            elif key == "<<" and isinstance(event, yaml.ScalarEvent) and event.implicit[0]:
                merged += self._merge_sources(value)
            elif key in keys:
                self._fault(f"the same key as on line {keys[key][0]}", "keep one of them", line=key_line)
            else:
                keys[key] = (key_line, value)
            self._trail.pop()
        for source in merged:
            self._merge(source, keys)
        return Node({key: value.data for key, (_, value) in keys.items()}, line, keys=keys)

    def _key(self, event: Any) -> str | None:
        # A key is the text that was written, whatever type YAML would see in it: `on:` is "on".
        if isinstance(event, yaml.ScalarEvent):
            self._node(event)
            return str(event.value)
        line = self.line
        self._trail.append("?")
        node = self._node(event)
        self._trail.pop()
        if isinstance(event, yaml.AliasEvent) and isinstance(node.data, str):
            return node.data
        self._fault("a key must be a word", line=line)
        return None

    def _merge_sources(self, value: Node) -> list[Keys]:
        nodes = value.items if value.items is not None else [value]
        sources = [node.keys for node in nodes if node.keys is not None]
        if len(sources) < len(nodes):
            self._fault("`<<` takes a mapping or a list of mappings", line=value.line)
        return sources

    def _merge(self, source: Keys, keys: Keys) -> None:
        self._merged_keys += len(source)
        if self._merged_keys > MAX_MERGED_KEYS:
            raise Malformed(Fault((), self.line, "too much is merged with `<<`"))
        for key, place in source.items():
            keys.setdefault(key, place)

    def _scalar(self, event: Any) -> Any:
        text: str = event.value
        if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
            self._fault("half of a surrogate pair")
            return NULL
        tag = event.tag
        if tag is None or tag == "!":
            tag = self._loader.resolve(yaml.ScalarNode, text, event.implicit)
        if tag in _TEXT_TAGS:
            return text
        if tag == _TAG + "null":
            return NULL
        if tag == _TAG + "bool":
            return text.lower() in _TRUE
        if tag == _TAG + "int":
            return _integer(text)
        if tag == _TAG + "float":
            return _float(text)
        self._fault("a YAML tag (!) is not allowed here", "take the word that begins with ! out")
        return NULL

    def _check_tag(self, event: Any) -> None:
        if event.tag not in (None, "!", _TAG + "seq", _TAG + "map"):
            self._fault("a YAML tag (!) is not allowed here", "take the word that begins with ! out")

    def _fault(self, message: str, hint: str = "", *, line: int | None = None) -> None:
        self.faults.append(Fault(tuple(self._trail), line or self.line, message, hint))


def _integer(text: str) -> int | str:
    """Return a decimal number. What else YAML 1.1 calls an int (0x1F, 017, 1:30) stays the text that was written."""
    if len(text) > 40 or not _INT.fullmatch(text):
        return text
    return int(text.replace("_", ""))


def _float(text: str) -> float | str:
    try:
        return float(text.replace("_", "").lower().replace(".inf", "inf").replace(".nan", "nan"))
    except ValueError:  # 1:30.5, or a tag on something else
        return text
