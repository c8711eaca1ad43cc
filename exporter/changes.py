"""Say what differs in a model from what it was: baselines, and the events of leaving them. Pure: reads no clock."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime, timedelta
from typing import Any, Final

from exporter.models import Event, EventKind, rfc3339

# A step of a golden's score beyond this is a change; float noise stays some orders of magnitude below.
TOLERANCE: Final = 1e-3
# Steps within the tolerance add up to a drift when their moving average is this far from where it began.
DRIFT: Final = 0.02
ALPHA: Final = 0.1
MESSAGE_CHARS: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldenBaseline:
    """What a model says to one golden input.

    `score` is where drift is measured from, `last` the newest score, `ewma` the moving average and `count` the number
    of answers since `score`. `served_sha` and `answered_at` (RFC 3339) belong to the newest answer.
    """

    score: float
    last: float
    ewma: float
    label: str | None = None
    count: int = 1
    served_sha: str | None = None
    answered_at: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """What is known of one model at `provider`; None for what was never learnt. `labels` and signs are sorted."""

    provider: str | None = None
    labels: tuple[str, ...] | None = None
    goldens: Mapping[str, GoldenBaseline] = field(default_factory=dict)
    hub_sha: str | None = None
    served_sha: str | None = None
    canonical_id: str | None = None
    gated: bool | None = None
    disabled: bool | None = None
    mapping: Mapping[str, str] | None = None
    undeployment_signs: tuple[str, ...] | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the baseline as JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Baseline:
        """Read `to_json` of this or another version: unknown keys are ignored, missing ones are not known."""
        known = _known(cls, data)
        for name in ("labels", "undeployment_signs"):
            if name in known:
                known[name] = tuple(known[name])
        goldens = {name: _known(GoldenBaseline, golden) for name, golden in known.get("goldens", {}).items()}
        known["goldens"] = {
            name: GoldenBaseline(**{"last": golden["score"], "ewma": golden["score"], **golden})
            for name, golden in goldens.items()
            if "score" in golden
        }
        return cls(**known)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What one turn learnt of a model; None for what it did not learn, a catalogue that gave no answer included.

    `labels` is the model's whole label set: None where the answer was cut, or the labels are ours (zero-shot).
    `golden` names the golden input that was answered with `label` and `score`: None for an answer out of a cache.
    `undeployment_signs` are fixed texts: a number in them would make each new number a new sign.
    """

    at: datetime
    model_id: str
    provider: str
    hub_sha: str | None = None
    served_sha: str | None = None
    canonical_id: str | None = None
    gated: bool | None = None
    disabled: bool | None = None
    mapping: Mapping[str, str] | None = None
    undeployment_signs: tuple[str, ...] | None = None
    labels: tuple[str, ...] | None = None
    golden: str | None = None
    label: str | None = None
    score: float | None = None


def compare(baseline: Baseline | None, facts: Facts) -> tuple[Baseline, tuple[Event, ...]]:
    """Return the baseline with the facts in it, and what has changed. What is learnt for the first time is no change.

    A model that has moved to another provider begins anew.
    """
    before = baseline if baseline is not None and baseline.provider in (None, facts.provider) else Baseline()
    learnt: dict[str, Any] = {
        "provider": facts.provider,
        "labels": _sorted(facts.labels),
        "hub_sha": facts.hub_sha,
        "served_sha": facts.served_sha,
        "canonical_id": facts.canonical_id,
        "gated": facts.gated,
        "disabled": facts.disabled,
        "mapping": None if facts.mapping is None else dict(facts.mapping),
        "undeployment_signs": _sorted(facts.undeployment_signs),
    }
    after = replace(before, **{name: value for name, value in learnt.items() if value is not None})
    events = []
    for kind, name, words in _WORDS:
        old, new = getattr(before, name), getattr(after, name)
        message = "" if old is None or old == new else words(old, new, after)
        if message:
            events.append(_event(facts, kind, old, new, message))
    if facts.golden is not None and facts.score is not None:
        golden, moved = _compare_golden(before.goldens.get(facts.golden), facts, facts.golden, facts.score, after)
        after = replace(after, goldens={**before.goldens, facts.golden: golden})
        events += moved
    return after, tuple(events)


class RuntimeWatch:
    """Tells a change of the host's runtime from changes of its models: scores of most models shift, no revision does.

    Shifts without a new revision are held for `hold_s` seconds from the first of their provider. When at least `least`
    models and `share` of those with scores have shifted by then, they become one `runtime_changed` event.
    """

    def __init__(self, *, hold_s: float = 900.0, least: int = 3, share: float = 0.6) -> None:
        self._hold_s = hold_s
        self._least = least
        self._share = share
        self._held: dict[str, list[Event]] = {}
        self._told: dict[str | None, str] = {}

    @property
    def held(self) -> frozenset[str]:
        """The models whose shifts are held back."""
        return frozenset(str(event.model_id) for held in self._held.values() for event in held)

    def add(self, event: Event) -> bool:
        """Hold back a `score_shifted` event that no new revision explains; False for others: tell them at once.

        A golden answered last before the runtime change that was told of its model is part of that change: dropped.
        """
        if event.kind is not EventKind.SCORE_SHIFTED or _sha_changed(event.before, event.after):
            return False
        if event.before["answered_at"] >= self._told.get(event.model_id, ""):
            self._held.setdefault(event.provider, []).append(event)
        return True

    def flush(self, now: datetime, scored_models: Mapping[str, int], *, interval_s: float = 0.0) -> list[Event]:
        """Return what is to be told now. `scored_models` is the number of each provider's models that give scores.

        Nothing is decided before `interval_s`, the longest time between two probes of one model, has passed.
        """
        hold = timedelta(seconds=max(self._hold_s, interval_s))
        due = [provider for provider, held in self._held.items() if now - held[0].at >= hold]
        return [event for provider in due for event in self._decide(provider, scored_models.get(provider, 0))]

    def drain(self, scored_models: Mapping[str, int]) -> list[Event]:
        """Return what is to be told of all that is held, however short: nothing is lost when the program ends."""
        return [event for name in list(self._held) for event in self._decide(name, scored_models.get(name, 0))]

    def _decide(self, provider: str, scored: int) -> list[Event]:
        held = self._held.pop(provider)
        shifted: dict[str | None, str] = {}
        for event in held:
            shifted.setdefault(event.model_id, rfc3339(event.at))
        if len(shifted) < max(self._least, math.ceil(self._share * scored)):
            return held
        self._told.update(shifted)
        first, last = held[0].at, held[-1].at
        message = (
            f"{provider}: the scores of {len(shifted)} of {max(scored, len(shifted))} models shifted within "
            f"{(last - first).total_seconds() / 60:.0f} min without a new revision: the host's runtime has changed"
        )
        ids = sorted(str(model_id) for model_id in shifted)
        return [Event(at=first, kind=EventKind.RUNTIME_CHANGED, provider=provider, after=ids, message=message)]


def _compare_golden(
    old: GoldenBaseline | None, facts: Facts, name: str, score: float, after: Baseline
) -> tuple[GoldenBaseline, list[Event]]:
    new = GoldenBaseline(
        label=facts.label,
        score=score,
        last=score,
        ewma=score,
        served_sha=after.served_sha,
        answered_at=rfc3339(facts.at),
    )
    if old is None:
        return new, []
    before = {"golden": name, "label": old.label, "score": old.last}
    now = {"golden": name, "label": new.label, "score": score}
    if abs(score - old.last) > TOLERANCE or _flipped(old, new, after.labels):
        before |= {"served_sha": old.served_sha, "answered_at": old.answered_at}
        now |= {"served_sha": new.served_sha, "answered_at": new.answered_at}
        message = f"golden {name!r}: {_said(before)} is now {_said(now)}, " + (
            f"after the served revision changed from {old.served_sha} to {new.served_sha}"
            if _sha_changed(before, now)
            else "without a change of the served revision"
        )
        return new, [_event(facts, EventKind.SCORE_SHIFTED, before, now, message)]
    ewma = old.ewma + ALPHA * (score - old.ewma)
    if abs(ewma - old.score) > DRIFT:
        before["score"] = old.score
        message = f"golden {name!r}: {_said(before)} drifted to {_said(now)} in {old.count + 1} answers"
        return new, [_event(facts, EventKind.SCORE_DRIFTED, before, now, message)]
    return replace(new, score=old.score, ewma=ewma, count=old.count + 1), []


def _flipped(old: GoldenBaseline, new: GoldenBaseline, labels: tuple[str, ...] | None) -> bool:
    """Say whether another label came out on top with the same score. One that is gone from the set was renamed.

    Two labels can only be level at a half or below: there float noise tips the balance.
    """
    if old.label is None or new.label is None or old.label == new.label:
        return False
    return (labels is None or old.label in labels) and min(old.last, new.last) > 0.5 + TOLERANCE


def _sha_changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    return before["served_sha"] is not None and before["served_sha"] != after["served_sha"]


def _said(answer: Mapping[str, Any]) -> str:
    return f"{answer['label'] or 'score'} {answer['score']:.4f}"


def _served_revision(old: str, new: str, after: Baseline) -> str:
    if after.hub_sha is None:
        where = "the hub's revision is not known"
    elif after.hub_sha == new:
        where = "the same as the hub's"
    else:
        where = f"the host does not serve the hub's {after.hub_sha}"
    return f"the served revision changed from {old} to {new}: {where}"


def _mapping_words(old: Mapping[str, str], new: Mapping[str, str], _after: Baseline) -> str:
    added = [f"{name} added ({new[name]})" for name in sorted(new.keys() - old.keys())]
    removed = [f"{name} removed (was {old[name]})" for name in sorted(old.keys() - new.keys())]
    changed = [f"{k} {old[k]} -> {new[k]}" for k in sorted(old.keys() & new.keys()) if old[k] != new[k]]
    return "providers: " + ", ".join((*added, *removed, *changed))


def _label_words(old: tuple[str, ...], new: tuple[str, ...], _after: Baseline) -> str:
    gone, came = sorted(set(old) - set(new)), sorted(set(new) - set(old))
    return f"labels gone: {', '.join(gone) or 'none'}; new: {', '.join(came) or 'none'}"


def _sign_words(old: tuple[str, ...], new: tuple[str, ...], _after: Baseline) -> str:
    """Name the signs that were not there before; empty, so no event, when signs only went away."""
    came = sorted(set(new) - set(old))
    return f"the host may stop serving it: {', '.join(came)}" if came else ""


# The kind of event, the field of the baseline, and the words for (before, after, the whole baseline now).
_WORDS: Final[tuple[tuple[EventKind, str, Callable[[Any, Any, Baseline], str]], ...]] = (
    (EventKind.RENAMED, "canonical_id", lambda old, new, _: f"renamed on the hub from {old} to {new}"),
    (EventKind.HUB_SHA_CHANGED, "hub_sha", lambda old, new, _: f"the hub's revision changed from {old} to {new}"),
    (EventKind.SERVED_SHA_CHANGED, "served_sha", _served_revision),
    (EventKind.GATED_CHANGED, "gated", lambda _old, new, _: "gated now" if new else "no longer gated"),
    (EventKind.DISABLED_CHANGED, "disabled", lambda _old, new, _: "disabled on the hub" if new else "enabled again"),
    (EventKind.MAPPING_CHANGED, "mapping", _mapping_words),
    (EventKind.UNDEPLOYMENT_RISK, "undeployment_signs", _sign_words),
    (EventKind.LABELS_CHANGED, "labels", _label_words),
)


def _event(facts: Facts, kind: EventKind, before: Any, after: Any, message: str) -> Event:
    """Make the event; names that came from outside are kept from breaking its line."""
    line = " ".join("".join(c if c.isprintable() else " " for c in message).split())
    return Event(
        at=facts.at,
        kind=kind,
        provider=facts.provider,
        model_id=facts.model_id,
        before=list(before) if isinstance(before, tuple) else before,
        after=list(after) if isinstance(after, tuple) else after,
        message=line if len(line) <= MESSAGE_CHARS else line[: MESSAGE_CHARS - 1] + "…",
    )


def _sorted(names: tuple[str, ...] | None) -> tuple[str, ...] | None:
    return None if names is None else tuple(sorted(set(names)))


def _known(cls: type[Baseline | GoldenBaseline], data: Mapping[str, Any]) -> dict[str, Any]:
    return {item.name: data[item.name] for item in fields(cls) if data.get(item.name) is not None}
