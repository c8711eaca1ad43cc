"""What is asked and what is answered, between the router and the tasks. Data, and the ways to read a payload."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from exporter.demo import toy
from exporter.demo.errors import TEXT, Refusal, refusal
from exporter.demo.scenario import Kind, Scenario


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One request for inference: whom it is for, what is played, the raw body and the JSON object in it."""

    model_id: str
    scenario: Scenario
    raw: bytes
    payload: Mapping[str, Any]
    salt: str
    created: int = 0

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The `parameters` object, empty when there is none."""
        value = self.payload.get("parameters")
        return value if isinstance(value, Mapping) else {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """An answer: a JSON `body` or, for a stream, `events`; what it cost in seconds, and how much went in and out."""

    body: Any = None
    events: tuple[str, ...] | None = None
    compute_s: float = 0.0
    characters: int = 0
    prompt_tokens: int | None = None
    generated_tokens: int | None = None


class PayloadError(Exception):
    """The request cannot be answered; `.refusal` is what the client gets."""

    def __init__(self, answer: Refusal) -> None:
        super().__init__(answer.body)
        self.refusal = answer


def parse(raw: bytes) -> dict[str, Any]:
    """Return the JSON object of a request's body. Raises PayloadError with the 400 of the toolkit."""
    try:
        value = json.loads(raw)
    except ValueError as error:
        raise PayloadError(refusal(400, str(error))) from error
    if not isinstance(value, dict):
        raise PayloadError(refusal(400, "argument of type 'list' is not a mapping"))
    return value


def missing_field(raw: bytes, name: str) -> PayloadError:
    """Return the 422 in plain text with which the Rust server says that a field is missing."""
    column = len(raw.rstrip())
    text = f"Failed to deserialize the JSON body into the target type: missing field `{name}` at line 1 column {column}"
    return PayloadError(Refusal(status=422, body=text, content_type=TEXT))


def bend_text(scenario: Scenario, text: str, salt: str) -> str:
    """Return the text, nothing, or nonsense, as the scenario says."""
    if scenario.kind is Kind.EMPTY_TEXT:
        return ""
    return toy.nonsense(salt) if scenario.kind is Kind.GARBAGE else text


def whole(value: object, default: int) -> int:
    """Return a parameter that is a whole number, or the default."""
    return value if isinstance(value, int) and not isinstance(value, bool) else default
