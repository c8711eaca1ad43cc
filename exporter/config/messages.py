"""What pydantic found wrong, in plain words. One row a type of error; no value that may be secret is repeated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, get_args

from pydantic_core import ErrorDetails

from exporter.config.document import Document, Loc, looks_secret, quoted, suggestion
from exporter.config.shape import (
    BudgetShape,
    ExpectShape,
    FileShape,
    ModelShape,
    ProviderShape,
    RetentionShape,
    Shape,
    TaskName,
    TaskShape,
)
from exporter.config.values import Problem
from exporter.config.yaml_nodes import NULL

TASKS: Final[tuple[str, ...]] = get_args(TaskName)
# Names that the hub and people use for the same things.
SYNONYMS: Final[Mapping[str, str]] = {
    "text-classification": "sentiment-analysis",
    "sentiment": "sentiment-analysis",
    "classification": "sentiment-analysis",
    "text2text-generation": "text-generation",
    "generation": "text-generation",
    "conversational": "text-generation",
    "summarisation": "summarization",
    "zero-shot": "zero-shot-classification",
    "chat": "completions",
    "openai": "completions",
}

_CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "task": TASKS,
    "tasks": TASKS,
    "api": ("classic", "completions"),
    "kind": ("huggingface",),
}
# The shape at a path; * stands for what the user names.
_SHAPES: Final[Mapping[tuple[str, ...], type[Shape]]] = {
    (): FileShape,
    ("retention",): RetentionShape,
    ("providers", "*"): ProviderShape,
    ("providers", "*", "budget"): BudgetShape,
    ("tasks", "*"): TaskShape,
    ("models", "*"): ModelShape,
    ("models", "*", "expect"): ExpectShape,
}
_PLAIN: Final[Mapping[str, tuple[str, str]]] = {
    "missing": ("missing", ""),
    "string_type": ("must be text", ""),
    "int_type": ("must be a whole number", ""),
    "int_from_float": ("must be a whole number", ""),
    "float_type": ("must be a number", ""),
    "finite_number": ("must be a finite number", ""),
    "bool_type": ("must be true or false", ""),
    "list_type": ("must be a list", "write `- ` before each item, or [a, b]"),
    "dict_type": ("must be a mapping of keys and values", "write `key: value`, a line each"),
    "model_type": ("must be a mapping of keys and values", "write `key: value`, a line each"),
    "string_too_short": ("is empty", ""),
    "string_too_long": ("is longer than {max_length} characters", ""),
    "too_short": ("is empty", ""),
    "too_long": ("has more than {max_length} items", ""),
    "greater_than_equal": ("must be at least {ge:.15g}", ""),
    "greater_than": ("must be greater than {gt:.15g}", ""),
    "less_than_equal": ("must be at most {le:.15g}", ""),
    "duration": ("{message}", "{hint}"),
    "refused": ("{message}", "{hint}"),
}
_OF_PATTERN: Final[Mapping[str, tuple[str, str]]] = {
    "token_env": (
        "must be the NAME of an environment variable, not a token",
        "write HF_TOKEN, and put the token into that variable",
    ),
}
_NAME: Final = ("is not a name", "use letters, digits, '.', '_' and '-'")


def explain(document: Document, prefix: Loc, error: ErrorDetails) -> Problem:
    """Return the Problem of one pydantic error that was found below `prefix`."""
    loc = tuple(part for part in (*prefix, *error["loc"]) if part != "[key]")
    message, hint = _words(loc, error)
    return document.problem(loc, message, hint)


def _words(loc: Loc, error: ErrorDetails) -> tuple[str, str]:
    kind, value = error["type"], error["input"]
    context: Mapping[str, Any] = error.get("ctx", {})
    is_key = error["loc"][-1:] == ("[key]",)
    key = next((part for part in reversed(loc) if isinstance(part, str)), "")
    if kind == "extra_forbidden":
        return _unknown_key(loc)
    if value is NULL:
        return "has no value", "write one, or take the key out"
    if kind == "literal_error":
        return _unknown_value(str(loc[0]) if is_key else key, value)
    if kind == "missing":
        return "missing", suggestion(None, _CHOICES[key]) if key in _CHOICES else ""
    if kind == "string_pattern_mismatch":
        return _OF_PATTERN.get(key, _NAME)
    if kind == "string_type" and isinstance(value, bool | int | float):
        seen = "true or false" if isinstance(value, bool) else "a number"
        return f"must be text, and YAML reads this as {seen}", "write it in quotes"
    if kind not in _PLAIN:
        return error["msg"], ""
    message, hint = (text.format(**context) for text in _PLAIN[kind])
    return (f"{quoted(value)} {message}".lstrip(), hint) if kind == "duration" else (message, hint)


def _unknown_key(loc: Loc) -> tuple[str, str]:
    key = str(loc[-1])
    if looks_secret(key) and "env" not in key.lower():
        return "a secret does not belong in this file", "name an environment variable with token_env"
    shape = _SHAPES[tuple("*" if index == 1 else str(part) for index, part in enumerate(loc[:-1]))]
    return "unknown key", suggestion(key, tuple(shape.model_fields))


def _unknown_value(key: str, value: object) -> tuple[str, str]:
    what = f"unknown {'task' if key == 'tasks' else key}{quoted(value)}"
    text = value.lower() if isinstance(value, str) else ""
    if (synonym := SYNONYMS.get(text)) in _CHOICES[key]:
        return what, f"did you mean '{synonym}'?"
    return what, suggestion(text, _CHOICES[key])
