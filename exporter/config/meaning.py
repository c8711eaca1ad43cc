"""What the keys mean together: defaults, references between models, schedules that cannot work. Pure: reads no file."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from exporter.config import durations
from exporter.config.advice import warnings_of
from exporter.config.document import Document, Loc, quoted, suggestion
from exporter.config.shape import ModelShape, ProviderShape, TaskShape
from exporter.config.values import Config, Problem, ProviderConfig
from exporter.models import Expectation, Model

_DEFAULTS: Final = Config(models=())
KINDS: Final = ("huggingface",)
LABELLED: Final = ("sentiment-analysis", "zero-shot-classification")
_MAX_SUGGESTIONS: Final = 100
"""Looking for near names costs; a file with more problems than this needs no more of them."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A model as it stands in a file: `model_id` is empty and `shape` None where they are wrong."""

    document: Document
    index: int
    model_id: str
    shape: ModelShape | None

    def problem(self, key: Loc, message: str, hint: str = "") -> Problem:
        """Return a Problem at a key of this model."""
        return self.document.problem(("models", self.index, *key), message, hint)


class Placed(NamedTuple):
    """A value and where it stands."""

    value: Any
    document: Document
    loc: Loc


@dataclass(slots=True)
class Draft:
    """What the files say, put together; `wrong` are the top-level keys with problems of their own."""

    documents: list[Document]
    problems: list[Problem]
    settings: dict[str, Placed] = field(default_factory=dict)
    providers: dict[str, Placed] = field(default_factory=dict)
    tasks: dict[str, Placed] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    wrong: set[str] = field(default_factory=set)

    def put(self, table: dict[str, Placed], key: str, value: Any, document: Document, loc: Loc) -> None:
        """Set what may be set in one file only."""
        if first := table.get(key):
            place = f"{first.document.file}:{first.document.line(first.loc)}"
            self.problems.append(document.problem(loc, f"already set in {place}", "keep one of them"))
        else:
            table[key] = Placed(value, document, loc)

    def setting(self, key: str) -> Any:
        """Return the value of a top-level key, or None."""
        return self.settings[key].value if key in self.settings else None


def config_of(draft: Draft, sources: tuple[Path, ...]) -> Config | None:
    """Return the Config of a draft without problems; adds to the draft's problems those that only show now."""
    providers = _providers(draft)
    first = next(iter(providers))
    check_models(draft, first)
    _check_timeouts(draft)
    if draft.problems:
        return None
    retention = draft.setting("retention")
    database = draft.setting("database")
    given: dict[str, Any] = {
        "interval_s": draft.setting("interval"),
        "timeout_s": draft.setting("timeout"),
        "concurrency": draft.setting("concurrency"),
        "database": Path(database) if database else None,
        "history_s": retention.history if retention else None,
        "cold_start_wait_s": draft.setting("cold_start_wait"),
        "max_body_bytes": draft.setting("max_body"),
        "connectivity_check": draft.setting("connectivity_check"),
    }
    settings = {name: value for name, value in given.items() if value is not None}
    bare = Config(models=(), providers=MappingProxyType(providers), sources=sources, **settings)
    config = replace(bare, models=tuple(models_of(draft, first, bare)))
    return replace(config, warnings=warnings_of(config))


def _providers(draft: Draft) -> dict[str, ProviderConfig]:
    named = {name: _provider(draft, name, placed) for name, placed in draft.providers.items()}
    return named or dict(_DEFAULTS.providers)


def _provider(draft: Draft, name: str, placed: Placed) -> ProviderConfig:
    shape: ProviderShape = placed.value
    kind = shape.kind or name
    if kind not in KINDS:
        draft.problems.append(placed.document.problem((*placed.loc, "kind"), "missing", suggestion(name, KINDS)))
    given: dict[str, Any] = {
        "base_url": shape.base_url,
        "hub_url": shape.hub_url,
        "hub_provider": shape.hub_provider,
        "token_env": shape.token_env,
        "requests_per_month": shape.budget.requests_per_month if shape.budget else None,
        "compute_s_per_month": shape.budget.compute_seconds_per_month if shape.budget else None,
    }
    return ProviderConfig(name=name, kind=kind, **{key: value for key, value in given.items() if value is not None})


def check_models(draft: Draft, default_provider: str) -> None:
    """Add what is wrong between the models of a draft, or between a model and its provider, to its problems."""
    problems = draft.problems
    if not any(document.has("models") for document in draft.documents):
        problems.append(draft.documents[0].problem(("models",), "missing", "write `models: []` for none"))
    seen: dict[str, Entry] = {}
    keys: dict[str, Entry] = {}
    for entry in draft.entries:
        if entry.model_id and (first := seen.setdefault(entry.model_id, entry)) is not entry:
            problems.append(entry.problem((), f"the same model as in {_place(first, 'model_id')}", "keep one of them"))
        key = entry.shape.model_key if entry.shape else None
        if key and (first := keys.setdefault(key, entry)) is not entry:
            problems.append(entry.problem(("model_key",), f"the same key as in {_place(first, 'model_key')}"))
    names = tuple(draft.providers) or (default_provider,)
    ids = tuple(seen)
    for entry in draft.entries:
        shape = entry.shape
        if shape is None:
            continue
        if shape.provider and shape.provider not in names and "providers" not in draft.wrong:
            hint = suggestion(shape.provider, names)
            problems.append(entry.problem(("provider",), f"unknown provider{quoted(shape.provider)}", hint))
        if shape.api and shape.task != "text-generation":
            problems.append(entry.problem(("api",), "only for text-generation", "take it out"))
        if shape.expect and shape.task not in LABELLED:
            hint = f"only for {' and '.join(LABELLED)}: other answers have no label"
            problems.append(entry.problem(("expect",), hint, "take it out"))
        if shape.polarity and shape.task != "sentiment-analysis":
            problems.append(entry.problem(("polarity",), "only for sentiment-analysis", "take it out"))
        for index, fallback in enumerate(shape.fallback or ()):
            if wrong := _wrong_fallback(shape, index, fallback, seen):
                hint = ""
                if fallback not in seen:
                    near = len(problems) < _MAX_SUGGESTIONS
                    guess = suggestion(fallback, ids) if near else ""
                    hint = guess if guess.startswith("did you mean") else "configure it as a model too"
                problems.append(entry.problem(("fallback", index), wrong, hint))


def _wrong_fallback(shape: ModelShape, index: int, fallback: str, seen: dict[str, Entry]) -> str:
    if fallback == shape.model_id:
        return "a model cannot be its own fallback"
    if fallback in (shape.fallback or ())[:index]:
        return "named twice"
    if fallback not in seen:
        return f"no such model{quoted(fallback)}"
    other = seen[fallback].shape
    if other and other.task != shape.task:
        return f"is for {other.task}, this model for {shape.task}"
    return ""


def _place(entry: Entry, key: str) -> str:
    return f"{entry.document.file}:{entry.document.line(('models', entry.index, key))}"


class _Effective(NamedTuple):
    """A duration that holds for a model; `rank` says how near to the model it was set."""

    seconds: float
    rank: int
    placed: Placed | None


def _check_timeouts(draft: Draft) -> None:
    if draft.wrong & {"interval", "timeout", "tasks"}:
        return
    told: set[tuple[str, Loc]] = set()
    for entry in (None, *draft.entries):
        if entry is not None and entry.shape is None:
            continue
        timeout, interval = _effective(draft, entry, "timeout"), _effective(draft, entry, "interval")
        if timeout.seconds <= interval.seconds:
            continue
        placed = (timeout if timeout.rank <= interval.rank else interval).placed
        if placed is None or (placed.document.file, placed.loc) in told:
            continue
        told.add((placed.document.file, placed.loc))
        message = f"the timeout ({durations.show(timeout.seconds)}) is longer than the interval "
        message += f"({durations.show(interval.seconds)})"
        hint = "a probe must be over before the next one: lower the timeout or raise the interval"
        draft.problems.append(placed.document.problem(placed.loc, message, hint))


def _effective(draft: Draft, entry: Entry | None, key: str) -> _Effective:
    if entry is not None and entry.shape is not None:
        if (value := getattr(entry.shape, key)) is not None:
            return _Effective(value, 0, Placed(value, entry.document, ("models", entry.index, key)))
        task = draft.tasks.get(entry.shape.task)
        if task and (value := getattr(task.value, key)) is not None:
            return _Effective(value, 1, Placed(value, task.document, (*task.loc, key)))
    if key in draft.settings:
        return _Effective(draft.setting(key), 2, draft.settings[key])
    return _Effective(getattr(_DEFAULTS, f"{key}_s"), 3, None)


def models_of(draft: Draft, default_provider: str, defaults: Config) -> Iterator[Model]:
    """Return the models of a draft without problems, in the order of the files."""
    shapes = [entry.shape for entry in draft.entries if entry.shape]
    for shape, key in zip(shapes, _model_keys(shapes), strict=True):
        task: TaskShape = draft.tasks[shape.task].value if shape.task in draft.tasks else TaskShape()
        expect = shape.expect
        given: dict[str, Any] = {
            "requires_auth": shape.requires_auth,
            "enabled": shape.enabled,
            "input": shape.input,
            "latency_objective_s": shape.latency_objective,
            "api": shape.api,
            "multi_label": shape.multi_label,
            "polarity": shape.polarity and {label.casefold(): meaning for label, meaning in shape.polarity.items()},
            "expect": expect and Expectation(labels=tuple(expect.labels or ()), min_confidence=expect.min_confidence),
        }
        yield Model(
            model_id=shape.model_id,
            task=shape.task,
            category=shape.category or "general",
            provider=shape.provider or default_provider,
            model_key=key,
            interval_s=shape.interval or task.interval or defaults.interval_s,
            timeout_s=shape.timeout or task.timeout or defaults.timeout_s,
            fallback=tuple(shape.fallback or ()),
            **{name: value for name, value in given.items() if value is not None},
        )


def _model_keys(shapes: list[ModelShape]) -> list[str]:
    """Return a unique key a model: its own, else of its last part, else of its whole id, else that with a number.

    A key depends on the order of the models only where whole ids differ in nothing but signs.
    """
    short = [_slug(shape.model_id.rpartition("/")[2]) for shape in shapes]
    taken = Counter([shape.model_key or name for shape, name in zip(shapes, short, strict=True)])
    used = {shape.model_key for shape in shapes if shape.model_key}
    numbers: Counter[str] = Counter()
    keys = []
    for shape, name in zip(shapes, short, strict=True):
        key = shape.model_key
        if not key:
            whole = key = name if taken[name] == 1 else _slug(shape.model_id)
            while key in used:
                numbers[whole] += 1
                key = f"{whole}_{numbers[whole] + 1}"
            used.add(key)
        keys.append(key)
    return keys


def _slug(text: str) -> str:
    return re.sub(r"[\W_]+", "_", text.lower()).strip("_") or "model"
