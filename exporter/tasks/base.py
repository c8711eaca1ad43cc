"""What every task shares: its golden inputs, the signature of a task, and how a body becomes JSON. Pure."""

from __future__ import annotations

import hashlib
import json
import math
import reprlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from exporter.models import Answer, Check, CheckName, Model

SNIPPET_CHARS: Final = 200
SUM_TOLERANCE: Final = 0.02
MIN_LATIN: Final = 0.5
MIN_DISTINCT: Final = 0.3
MIN_WORDS_FOR_DISTINCT: Final = 15


class BadOutputError(Exception):
    """The answer is one that nobody could use; the text says what is wrong with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Canary:
    """A golden input, and what must hold of the answer: one of `expect` on top (a polarity or a label), if given.

    `name` tells it in the history and in what was said to it before. `candidates` are the labels a zero-shot
    model chooses from.
    """

    input: str
    name: str = ""
    expect: tuple[str, ...] = ()
    candidates: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What to say to a model of one task, and how to read what it says.

    `payload(model, canary)` is the JSON body of the request; `route(model)` the path behind the model's own.
    `read(data, canary)` turns the decoded body into an Answer or raises BadOutputError.
    `check(answer, canary, model)` holds the answer against what must be true of it, in `checks`, and against the golden
    answer: the second value says whether that came back, None where it cannot be told.
    """

    name: str
    hub_tag: str
    canaries: tuple[Canary, ...]
    checks: tuple[CheckName, ...]
    payload: Callable[[Model, Canary], dict[str, Any]]
    read: Callable[[Any, Canary], Answer]
    check: Callable[[Answer, Canary, Model], tuple[tuple[Check, ...], bool | None]]
    route: Callable[[Model], str] = lambda model: ""


def canary_for(task: Task, model: Model, turn: int = 0) -> Canary:
    """Return the golden input to send at this turn: one a probe, in rotation, so that a probe costs one request.

    A model's own `input` of the configuration takes their place. It has no known answer: only the model's `expect` is
    held against it.
    """
    golden = task.canaries[turn % len(task.canaries)]
    if model.input is None:
        return golden
    own = hashlib.blake2b(model.input.encode(), digest_size=4).hexdigest()
    return Canary(input=model.input, name=f"own-{own}", candidates=golden.candidates)


def decode(body: bytes, content_type: str) -> Any:
    """Turn the body of a 2xx answer into Python data; server-sent events become a list of their data.

    Raises BadOutputError on anything that is not strict JSON in UTF-8: HTML, NaN, truncation, nesting too deep.
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadOutputError(f"the answer is not UTF-8 (byte {error.start})") from None
    stripped = text.strip()
    if not stripped:
        raise BadOutputError("the answer is empty")
    if "event-stream" in content_type or stripped.startswith("data:"):
        return [_loads(line) for line in _event_data(stripped)]
    if stripped.startswith("<"):
        raise BadOutputError(f"the answer is HTML, not JSON: {snippet(stripped)}")
    return _loads(stripped)


def expectation(answer: Answer, model: Model) -> tuple[Check, ...]:
    """Hold the answer against the model's own `expect` of the configuration; no check where it has none."""
    expect = model.expect
    if expect is None:
        return ()
    message = ""
    if expect.labels and (answer.label or "").casefold() not in {label.casefold() for label in expect.labels}:
        message = f"expected {' or '.join(expect.labels)}, got {answer.label!r}"
    elif expect.min_confidence is not None and (answer.confidence is None or answer.confidence < expect.min_confidence):
        message = f"confidence {answer.confidence} is below {expect.min_confidence}"
    return (Check(name=CheckName.EXPECTATION, passed=not message, message=message),)


def sum_to_one(scores: Sequence[float]) -> Check:
    """Scores of labels that exclude each other sum to one."""
    total = sum(scores)
    passed = abs(total - 1.0) <= SUM_TOLERANCE
    return Check(name=CheckName.SCORES, passed=passed, message="" if passed else f"the scores sum to {total:.3f}")


def written_like(text: str, source: str) -> Check:
    """A text about another is written in its script: the language check that needs no model."""
    letters = [character for character in text if character.isalpha()]
    latin = sum(character.isascii() for character in letters)
    foreign = bool(letters) and source.isascii() and latin / len(letters) < MIN_LATIN
    message = f"{latin} of {len(letters)} letters are of the source's alphabet" if foreign else ""
    return Check(name=CheckName.LANGUAGE, passed=not foreign, message=message)


def not_repeating(words: Sequence[str]) -> Check:
    """A text whose words are mostly the same few is garbage."""
    share = len(set(words)) / len(words) if words else 1.0
    passed = len(words) < MIN_WORDS_FOR_DISTINCT or share >= MIN_DISTINCT
    message = "" if passed else f"garbage: it repeats itself, {share:.0%} of its words are distinct"
    return Check(name=CheckName.REPETITION, passed=passed, message=message, fatal=True)


def score(value: Any) -> float:
    """Return a score in [0, 1]; raises BadOutputError on everything else, NaN included."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadOutputError(f"a score is not a number: {reprlib.repr(value)}")
    try:
        number = float(value)
    except OverflowError:
        raise BadOutputError("a score is too large to be one") from None
    if not math.isfinite(number) or not -1e-6 <= number <= 1 + 1e-6:
        raise BadOutputError(f"a score is not between 0 and 1: {number}")
    return min(max(number, 0.0), 1.0)


def rows(data: Any, *, what: str) -> Sequence[Mapping[str, Any]]:
    """Return `data` as a non-empty list of objects, unwrapping one outer list and wrapping one bare object."""
    if isinstance(data, Mapping):
        data = [data]
    if isinstance(data, list) and len(data) == 1 and isinstance(data[0], list):
        data = data[0]
    if not isinstance(data, list) or not data:
        raise BadOutputError(f"no {what} in the answer: {reprlib.repr(data)}")
    if not all(isinstance(row, Mapping) for row in data):
        raise BadOutputError(f"not a list of objects: {reprlib.repr(data)}")
    if "error" in data[0]:
        raise BadOutputError(f"an error under HTTP 200: {reprlib.repr(data[0]['error'])}")
    return data


def text_of(row: Mapping[str, Any], key: str) -> str:
    """Return the text under `key`; raises BadOutputError when there is none or it holds replacement characters."""
    value = row.get(key)
    if not isinstance(value, str):
        raise BadOutputError(f"no {key} in the answer: {reprlib.repr(dict(row))}")
    if "\N{REPLACEMENT CHARACTER}" in value:
        raise BadOutputError(f"{key} holds broken characters: {snippet(value)}")
    return value


def snippet(text: str) -> str:
    """Return the beginning of a text, for a message."""
    return text if len(text) <= SNIPPET_CHARS else text[: SNIPPET_CHARS - 1] + "…"


def _event_data(text: str) -> list[str]:
    lines = [line[5:].strip() for line in text.splitlines() if line.startswith("data:")]
    return [line for line in lines if line and line != "[DONE]"]


def _loads(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except RecursionError:
        raise BadOutputError("the answer is nested too deeply") from None
    except ValueError as error:
        raise BadOutputError(f"the answer is not JSON ({error}): {snippet(text)}") from None


def _refuse_constant(name: str) -> NoReturn:
    raise BadOutputError(f"the answer holds {name}, which is not a number")
