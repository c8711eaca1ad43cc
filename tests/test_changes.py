"""What is a change of a model, what is not, and when many changes are one change of the host's runtime."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import pairwise
from types import MappingProxyType
from typing import Any

import pytest

from exporter.changes import Baseline, Facts, GoldenBaseline, RuntimeWatch, compare
from exporter.models import Event, EventKind
from tests.make import NOW

K = EventKind
EVERYTHING: dict[str, Any] = {
    "hub_sha": "h1",
    "served_sha": "h1",
    "canonical_id": "owner/name",
    "gated": False,
    "disabled": False,
    "mapping": {"hf-inference": "live"},
    "undeployment_signs": (),
    "labels": ("POSITIVE", "NEGATIVE"),
    "golden": "profits",
    "label": "POSITIVE",
    "score": 0.98,
}


def facts(minute: float = 0, model_id: str = "owner/name", provider: str = "huggingface", **learnt: Any) -> Facts:
    return Facts(at=NOW + timedelta(minutes=minute), model_id=model_id, provider=provider, **learnt)


def run(turns: Iterable[Facts], baseline: Baseline | None = None) -> tuple[Baseline, list[Event]]:
    told: list[Event] = []
    for turn in turns:
        baseline, events = compare(baseline, turn)
        told += events
    assert baseline is not None
    return baseline, told


def scores(*values: float, **learnt: Any) -> list[Facts]:
    answer = {"golden": "profits", "label": "POSITIVE", **learnt}
    return [facts(5 * turn, score=value, **answer) for turn, value in enumerate(values)]


def test_what_is_learnt_first_is_the_baseline_and_no_event() -> None:
    baseline, events = compare(None, facts(**EVERYTHING))
    assert events == ()
    assert baseline == Baseline(
        provider="huggingface",
        labels=("NEGATIVE", "POSITIVE"),
        goldens={
            "profits": GoldenBaseline(
                label="POSITIVE",
                score=0.98,
                last=0.98,
                ewma=0.98,
                count=1,
                served_sha="h1",
                answered_at="2026-03-01T12:00:00.000Z",
            )
        },
        hub_sha="h1",
        served_sha="h1",
        canonical_id="owner/name",
        gated=False,
        disabled=False,
        mapping={"hf-inference": "live"},
        undeployment_signs=(),
    )


def test_what_was_never_learnt_before_is_no_event_later_either() -> None:
    assert run([facts(), facts(5, **{**EVERYTHING, "undeployment_signs": ("few downloads",)})])[1] == []


def test_the_same_again_is_no_event() -> None:
    assert run(facts(turn, **EVERYTHING) for turn in range(3))[1] == []


def test_a_turn_that_learns_nothing_forgets_nothing() -> None:
    known, _ = compare(None, facts(**EVERYTHING))
    assert compare(known, facts(5)) == (known, ())


# name, what was, what is now, kind, before, after, message
CHANGES: list[tuple[str, dict[str, Any], dict[str, Any], EventKind, Any, Any, str]] = [
    (
        "a new revision on the hub",
        {"hub_sha": "a"},
        {"hub_sha": "b"},
        K.HUB_SHA_CHANGED,
        "a",
        "b",
        "the hub's revision changed from a to b",
    ),
    (
        "the host caught up with the hub",
        {"served_sha": "a", "hub_sha": "b"},
        {"served_sha": "b"},
        K.SERVED_SHA_CHANGED,
        "a",
        "b",
        "the served revision changed from a to b: the same as the hub's",
    ),
    (
        "the host went to a revision that is not the hub's",
        {"served_sha": "a", "hub_sha": "c"},
        {"served_sha": "b", "hub_sha": "c"},
        K.SERVED_SHA_CHANGED,
        "a",
        "b",
        "the served revision changed from a to b: the host does not serve the hub's c",
    ),
    (
        "another revision served, with nothing known of the hub's",
        {"served_sha": "a"},
        {"served_sha": "b"},
        K.SERVED_SHA_CHANGED,
        "a",
        "b",
        "the served revision changed from a to b: the hub's revision is not known",
    ),
    ("gated", {"gated": False}, {"gated": True}, K.GATED_CHANGED, False, True, "gated now"),
    ("open again", {"gated": True}, {"gated": False}, K.GATED_CHANGED, True, False, "no longer gated"),
    ("disabled", {"disabled": False}, {"disabled": True}, K.DISABLED_CHANGED, False, True, "disabled on the hub"),
    ("enabled again", {"disabled": True}, {"disabled": False}, K.DISABLED_CHANGED, True, False, "enabled again"),
    (
        "renamed",
        {"canonical_id": "gpt2"},
        {"canonical_id": "openai-community/gpt2"},
        K.RENAMED,
        "gpt2",
        "openai-community/gpt2",
        "renamed on the hub from gpt2 to openai-community/gpt2",
    ),
    (
        "providers added, removed and in another state",
        {"mapping": {"hf-inference": "live", "kept": "live", "novita": "live"}},
        {"mapping": MappingProxyType({"novita": "error", "kept": "live", "together": "staging"})},
        K.MAPPING_CHANGED,
        {"hf-inference": "live", "kept": "live", "novita": "live"},
        {"novita": "error", "kept": "live", "together": "staging"},
        "providers: together added (staging), hf-inference removed (was live), novita live -> error",
    ),
    (
        "nobody serves it any more",
        {"mapping": {"hf-inference": "live"}},
        {"mapping": {}},
        K.MAPPING_CHANGED,
        {"hf-inference": "live"},
        {},
        "providers: hf-inference removed (was live)",
    ),
    (
        "labels renamed",
        {"labels": ("LABEL_1", "LABEL_0")},
        {"labels": ("POSITIVE", "NEGATIVE")},
        K.LABELS_CHANGED,
        ["LABEL_0", "LABEL_1"],
        ["NEGATIVE", "POSITIVE"],
        "labels gone: LABEL_0, LABEL_1; new: NEGATIVE, POSITIVE",
    ),
    (
        "a label less",
        {"labels": ("a", "b", "c")},
        {"labels": ("a", "b")},
        K.LABELS_CHANGED,
        ["a", "b", "c"],
        ["a", "b"],
        "labels gone: c; new: none",
    ),
    (
        "a label more",
        {"labels": ("a",)},
        {"labels": ("b", "a")},
        K.LABELS_CHANGED,
        ["a"],
        ["a", "b"],
        "labels gone: none; new: b",
    ),
    (
        "a first sign of undeployment",
        {"undeployment_signs": ()},
        {"undeployment_signs": ("few downloads",)},
        K.UNDEPLOYMENT_RISK,
        [],
        ["few downloads"],
        "the host may stop serving it: few downloads",
    ),
    (
        "one more sign of undeployment",
        {"undeployment_signs": ("few downloads",)},
        {"undeployment_signs": ("successor named", "few downloads")},
        K.UNDEPLOYMENT_RISK,
        ["few downloads"],
        ["few downloads", "successor named"],
        "the host may stop serving it: successor named",
    ),
]


@pytest.mark.parametrize(
    ("was", "now", "kind", "before", "after", "message"),
    [case[1:] for case in CHANGES],
    ids=[case[0] for case in CHANGES],
)
def test_a_change_is_one_event(
    was: dict[str, Any], now: dict[str, Any], kind: EventKind, before: Any, after: Any, message: str
) -> None:
    known, events = run([facts(0, **was), facts(5, **now)])
    assert events == [
        Event(
            at=NOW + timedelta(minutes=5),
            kind=kind,
            provider="huggingface",
            model_id="owner/name",
            before=before,
            after=after,
            message=message,
        )
    ]
    json.dumps([events[0].before, events[0].after])
    assert compare(known, facts(10, **now))[1] == ()


def test_every_kind_of_change_has_a_case() -> None:
    of_scores = {K.SCORE_SHIFTED, K.SCORE_DRIFTED, K.RUNTIME_CHANGED}
    of_others = {K.STATUS_CHANGED, K.INCIDENT_OPENED, K.INCIDENT_CLOSED, K.FALLBACK_CHANGED}
    assert {case[3] for case in CHANGES} == set(EventKind) - of_scores - of_others


@pytest.mark.parametrize(
    ("was", "now"),
    [
        ({"labels": ("a", "b")}, {"labels": ("b", "a", "b")}),
        ({"undeployment_signs": ("a", "b")}, {"undeployment_signs": ("b", "a")}),
        ({"undeployment_signs": ("a", "b")}, {"undeployment_signs": ("a",)}),
        ({"mapping": {"a": "live", "b": "live"}}, {"mapping": {"b": "live", "a": "live"}}),
    ],
    ids=["labels in another order", "signs in another order", "a sign gone", "a mapping in another order"],
)
def test_what_is_no_change_is_no_event(was: dict[str, Any], now: dict[str, Any]) -> None:
    assert run([facts(0, **was), facts(5, **now)])[1] == []


def test_a_sign_that_comes_back_is_told_again() -> None:
    turns: list[tuple[str, ...]] = [(), ("few downloads",), (), ("few downloads",)]
    _, events = run(facts(5 * turn, undeployment_signs=signs) for turn, signs in enumerate(turns))
    assert [event.kind for event in events] == [K.UNDEPLOYMENT_RISK, K.UNDEPLOYMENT_RISK]


def test_changes_of_one_turn_are_all_told() -> None:
    changed = {
        "hub_sha": "h2",
        "served_sha": "h2",
        "canonical_id": "new/name",
        "gated": True,
        "disabled": True,
        "mapping": {},
        "undeployment_signs": ("few downloads",),
        "labels": ("POSITIVE",),
        "score": 0.5,
    }
    _, events = run([facts(0, **EVERYTHING), facts(5, **{**EVERYTHING, **changed})])
    assert [event.kind for event in events] == [
        K.RENAMED,
        K.HUB_SHA_CHANGED,
        K.SERVED_SHA_CHANGED,
        K.GATED_CHANGED,
        K.DISABLED_CHANGED,
        K.MAPPING_CHANGED,
        K.UNDEPLOYMENT_RISK,
        K.LABELS_CHANGED,
        K.SCORE_SHIFTED,
    ]


def test_a_model_that_moves_to_another_provider_begins_anew() -> None:
    changed = {"served_sha": "h2", "labels": ("a",), "score": 0.5}
    known, events = run([facts(0, **EVERYTHING), facts(5, provider="other", **{**EVERYTHING, **changed})])
    assert events == []
    assert (known.provider, known.served_sha, known.goldens["profits"].score) == ("other", "h2", 0.5)


def test_a_baseline_that_names_no_provider_is_taken_for_this_one() -> None:
    known, events = compare(Baseline(hub_sha="a"), facts(hub_sha="b"))
    assert [event.kind for event in events] == [K.HUB_SHA_CHANGED]
    assert known.provider == "huggingface"


def test_a_message_is_one_line_of_bounded_length_whatever_the_labels_say() -> None:
    _, events = run([facts(0, labels=("a",)), facts(5, labels=("x\nlevel=error\x1b[31m", "y" * 5000))])
    assert len(events[0].message) == 500
    assert events[0].message.isprintable()
    assert events[0].message.endswith("…")
    assert events[0].message.startswith("labels gone: a; new: x level=error [31m, yyy")


STEADY: list[tuple[str, list[float]]] = [
    ("the same score", [0.98] * 50),
    ("float noise", [0.98 + 1e-7 * (-1) ** turn for turn in range(50)]),
    ("noise within the tolerance", [0.98 + 4e-4 * (-1) ** turn for turn in range(200)]),
    ("a slow walk that turns back", [0.98 - 9e-4 * min(turn, 30 - turn) for turn in range(31)]),
    ("no more than a step of the tolerance", [0.5, 0.5009, 0.5]),
]


@pytest.mark.parametrize("values", [case[1] for case in STEADY], ids=[case[0] for case in STEADY])
def test_a_steady_score_is_no_event(values: list[float]) -> None:
    known, events = run(scores(*values))
    assert events == []
    golden = known.goldens["profits"]
    assert (golden.score, golden.last, golden.count) == (values[0], values[-1], len(values))


def test_a_shift_is_told_once_and_the_baseline_moves_to_it() -> None:
    known, events = run(scores(0.98, 0.98, 0.975, 0.975, 0.9751))
    assert [event.kind for event in events] == [K.SCORE_SHIFTED]
    assert events[0].before == {
        "golden": "profits",
        "label": "POSITIVE",
        "score": 0.98,
        "served_sha": None,
        "answered_at": "2026-03-01T12:05:00.000Z",
    }
    assert events[0].after == {
        "golden": "profits",
        "label": "POSITIVE",
        "score": 0.975,
        "served_sha": None,
        "answered_at": "2026-03-01T12:10:00.000Z",
    }
    assert events[0].message == (
        "golden 'profits': POSITIVE 0.9800 is now POSITIVE 0.9750, without a change of the served revision"
    )
    assert (known.goldens["profits"].score, known.goldens["profits"].count) == (0.975, 3)


def test_each_golden_has_a_baseline_of_its_own() -> None:
    turns = [
        facts(5 * turn, golden=name, label="POSITIVE", score=value)
        for turn, (name, value) in enumerate([("a", 0.9), ("b", 0.6), ("a", 0.9), ("b", 0.7), ("a", 0.9)])
    ]
    known, events = run(turns)
    assert [event.after["golden"] for event in events] == ["b"]
    assert {name: golden.last for name, golden in known.goldens.items()} == {"a": 0.9, "b": 0.7}


@pytest.mark.parametrize(
    "answer",
    [{"golden": "profits"}, {"score": 0.1}, {"label": "NEGATIVE"}],
    ids=["a golden without a score", "a score of no golden", "a label alone"],
)
def test_half_an_answer_is_none(answer: dict[str, Any]) -> None:
    known, _ = run(scores(0.98))
    assert compare(known, facts(5, **answer)) == (known, ())


# name, label and score before and after, label set before and after, kinds
FLIPS: list[tuple[str, tuple[str | None, float], tuple[str | None, float], Any, Any, list[EventKind]]] = [
    ("the opposite, as sure", ("POSITIVE", 0.98), ("NEGATIVE", 0.98), None, None, [K.SCORE_SHIFTED]),
    ("the opposite, less sure", ("POSITIVE", 0.98), ("NEGATIVE", 0.7), None, None, [K.SCORE_SHIFTED]),
    ("the opposite of the same set", ("A", 0.98), ("B", 0.98), ("A", "B"), ("A", "B"), [K.SCORE_SHIFTED]),
    ("the same label by a new name", ("LABEL_0", 0.98), ("A", 0.98), ("LABEL_0",), ("A",), [K.LABELS_CHANGED]),
    (
        "a new name and a new score",
        ("LABEL_0", 0.98),
        ("A", 0.8),
        ("LABEL_0",),
        ("A",),
        [K.LABELS_CHANGED, K.SCORE_SHIFTED],
    ),
    ("a tie that float noise tips", ("A", 0.5 + 1e-8), ("B", 0.5 + 2e-8), ("A", "B"), ("A", "B"), []),
    ("a first label", (None, 0.98), ("A", 0.98), None, None, []),
    ("no label", ("A", 0.98), (None, 0.98), None, None, []),
    ("a score without labels", (None, 0.98), (None, 0.9), None, None, [K.SCORE_SHIFTED]),
]


@pytest.mark.parametrize(
    ("was", "now", "labels_before", "labels_now", "kinds"),
    [case[1:] for case in FLIPS],
    ids=[case[0] for case in FLIPS],
)
def test_another_label_on_top_is_a_shift_unless_it_is_only_renamed_or_level(
    was: tuple[str | None, float],
    now: tuple[str | None, float],
    labels_before: Any,
    labels_now: Any,
    kinds: list[EventKind],
) -> None:
    known, events = run(
        facts(5 * turn, golden="g", label=label, score=score, labels=labels)
        for turn, ((label, score), labels) in enumerate(((was, labels_before), (now, labels_now)))
    )
    assert [event.kind for event in events] == kinds
    assert (known.goldens["g"].label, known.goldens["g"].last) == now


def test_a_golden_asked_long_after_a_rename_is_not_flipped_by_it() -> None:
    old, new = ("LABEL_0", "LABEL_1"), ("NEGATIVE", "POSITIVE")
    _, events = run(
        [
            facts(0, golden="a", label="LABEL_1", score=0.9, labels=old),
            facts(5, golden="b", label="LABEL_0", score=0.8, labels=old),
            facts(10, golden="a", label="POSITIVE", score=0.9, labels=new),
            facts(15, golden="b", label="NEGATIVE", score=0.8, labels=new),
        ]
    )
    assert [event.kind for event in events] == [K.LABELS_CHANGED]


def test_a_slow_drift_is_told_once_and_measured_anew_from_there() -> None:
    values = [0.98 - 8e-4 * turn for turn in range(60)]
    assert all(abs(after - before) < 1e-3 for before, after in pairwise(values))
    known, events = run(scores(*values))
    assert [event.kind for event in events] == [K.SCORE_DRIFTED]
    drift = events[0]
    assert drift.before == {"golden": "profits", "label": "POSITIVE", "score": 0.98}
    # The average lags behind a steady drift by (1 - alpha) / alpha = 9 steps: 0.02 / 0.0008 = 25, and 9 more.
    answers = round((drift.at - NOW) / timedelta(minutes=5))
    assert 30 <= answers <= 36
    assert drift.after == {"golden": "profits", "label": "POSITIVE", "score": values[answers]}
    assert drift.message == (
        f"golden 'profits': POSITIVE 0.9800 drifted to POSITIVE {values[answers]:.4f} in {answers + 1} answers"
    )
    assert known.goldens["profits"].score == values[answers]


def test_a_drift_that_goes_on_is_told_again() -> None:
    _, events = run(scores(*(0.98 - 8e-4 * turn for turn in range(100))))
    assert [event.kind for event in events] == [K.SCORE_DRIFTED] * 2
    assert events[1].before["score"] == events[0].after["score"]


def test_a_shift_right_after_a_new_served_revision_is_laid_to_it() -> None:
    _, events = run([*scores(0.98, served_sha="a"), facts(5, golden="profits", score=0.9, served_sha="b")])
    assert [event.kind for event in events] == [K.SERVED_SHA_CHANGED, K.SCORE_SHIFTED]
    assert events[1].message.endswith("after the served revision changed from a to b")


def test_a_golden_whose_turn_comes_later_is_laid_to_the_new_revision_too() -> None:
    _, events = run(
        [
            facts(0, golden="a", score=0.9, served_sha="x"),
            facts(5, golden="b", score=0.8, served_sha="x"),
            facts(10, golden="a", score=0.9, served_sha="y"),
            facts(15, golden="b", score=0.7),
            facts(20, golden="b", score=0.6),
        ]
    )
    assert [(event.kind, event.message.rpartition(", ")[2]) for event in events[1:]] == [
        (K.SCORE_SHIFTED, "after the served revision changed from x to y"),
        (K.SCORE_SHIFTED, "without a change of the served revision"),
    ]


def test_a_revision_that_is_named_for_the_first_time_explains_no_shift() -> None:
    _, events = run([*scores(0.98), facts(5, golden="profits", score=0.9, served_sha="b")])
    assert events[0].message.endswith("without a change of the served revision")


def test_a_baseline_survives_json() -> None:
    known, _ = run([facts(0, **EVERYTHING), facts(5, **{**EVERYTHING, "undeployment_signs": ("few downloads",)})])
    assert Baseline.from_json(json.loads(json.dumps(known.to_json()))) == known
    assert Baseline.from_json(json.loads(json.dumps(Baseline().to_json()))) == Baseline()


@pytest.mark.parametrize(
    ("data", "baseline"),
    [
        ({}, Baseline()),
        ({"hub_sha": "a", "from_the_future": [1]}, Baseline(hub_sha="a")),
        ({"labels": ["a", "b"], "gated": False}, Baseline(labels=("a", "b"), gated=False)),
        (
            {"goldens": {"g": {"score": 0.5, "from_the_future": 1}}},
            Baseline(goldens={"g": GoldenBaseline(score=0.5, last=0.5, ewma=0.5)}),
        ),
        ({"goldens": {"g": {"label": "a"}, "h": {"score": None}}}, Baseline()),
    ],
    ids=["nothing", "an unknown key", "some keys", "a golden with only a score", "goldens without a score"],
)
def test_a_baseline_of_another_version_is_read(data: dict[str, Any], baseline: Baseline) -> None:
    assert Baseline.from_json(data) == baseline


def shift(
    number: int,
    minute: float,
    *,
    provider: str = "huggingface",
    golden: str = "g",
    answered_before: float = -5,
    shas: tuple[str | None, str | None] = (None, None),
) -> Event:
    turns = [
        facts(minute_, f"{provider}/{number}", provider, golden=golden, score=score, served_sha=sha)
        for minute_, score, sha in ((answered_before, 0.9, shas[0]), (minute, 0.8, shas[1]))
    ]
    return run(turns)[1][-1]


def at(minute: float) -> datetime:
    return NOW + timedelta(minutes=minute)


# name, models that shifted, of how many, told as one
WAVES: list[tuple[str, int, int, bool]] = [
    ("all of 21", 21, 21, True),
    ("13 of 21, just over 60 %", 13, 21, True),
    ("12 of 21, just under 60 %", 12, 21, False),
    ("3 of 5, exactly 60 %", 3, 5, True),
    ("3 of 6", 3, 6, False),
    ("3 of 3", 3, 3, True),
    ("2 of 2, too few to tell", 2, 2, False),
    ("1 of 21", 1, 21, False),
    ("3 of nobody knows how many", 3, 0, True),
]


@pytest.mark.parametrize(("shifted", "scored", "one"), [case[1:] for case in WAVES], ids=[case[0] for case in WAVES])
def test_a_shift_of_most_models_is_one_change_of_the_runtime(shifted: int, scored: int, one: bool) -> None:
    watch = RuntimeWatch()
    events = [shift(number, number / 4) for number in range(shifted)]
    assert all(watch.add(event) for event in events)
    counted = {"huggingface": scored} if scored else {}
    assert watch.flush(at(14.9), counted) == []
    told = watch.flush(at(15), counted)
    if one:
        assert [(event.kind, event.model_id, event.before, event.at) for event in told] == [
            (K.RUNTIME_CHANGED, None, None, NOW)
        ]
        assert told[0].after == sorted(f"huggingface/{number}" for number in range(shifted))
        assert f"the scores of {shifted} of {max(scored, shifted)} models shifted" in told[0].message
    else:
        assert told == events
    assert watch.flush(at(60), counted) == []


def test_the_message_says_how_many_and_within_what_time() -> None:
    watch = RuntimeWatch()
    for number in range(4):
        watch.add(shift(number, number * 2))
    assert watch.flush(at(20), {"huggingface": 5})[0].message == (
        "huggingface: the scores of 4 of 5 models shifted within 6 min without a new revision: "
        "the host's runtime has changed"
    )


def test_a_model_with_many_goldens_counts_once() -> None:
    watch = RuntimeWatch()
    events = [shift(1, number, golden=f"g{number}") for number in range(5)]
    for event in events:
        watch.add(event)
    assert watch.flush(at(20), {"huggingface": 3}) == events


@pytest.mark.parametrize(
    "event",
    [
        shift(1, 0, shas=("a", "b")),
        Event(at=NOW, kind=K.LABELS_CHANGED, provider="huggingface", model_id="m", before=["a"], after=["b"]),
    ],
    ids=["a shift that a new revision explains", "an event of another kind"],
)
def test_what_is_no_unexplained_shift_is_not_held_back(event: Event) -> None:
    watch = RuntimeWatch()
    assert watch.add(event) is False
    assert watch.drain({}) == []


@pytest.mark.parametrize("shas", [("a", "a"), (None, "a")], ids=["the same revision", "a revision named first now"])
def test_a_shift_that_no_new_revision_explains_is_held_back(shas: tuple[str | None, str]) -> None:
    watch = RuntimeWatch()
    event = shift(1, 0, shas=shas)
    assert watch.add(event) is True
    assert watch.drain({}) == [event]


def test_providers_are_judged_apart_each_from_its_first_shift() -> None:
    watch = RuntimeWatch()
    for number in range(3):
        watch.add(shift(number, 0, provider="a"))
    alone = shift(1, 10, provider="b")
    watch.add(alone)
    scored = {"a": 3, "b": 3}
    assert [(event.kind, event.provider) for event in watch.flush(at(15), scored)] == [(K.RUNTIME_CHANGED, "a")]
    assert watch.flush(at(24), scored) == []
    assert watch.flush(at(25), scored) == [alone]


def test_nothing_is_decided_before_every_model_had_a_turn() -> None:
    watch = RuntimeWatch(hold_s=900)
    for number in range(3):
        watch.add(shift(number, number * 10))
    assert watch.flush(at(29), {"huggingface": 3}, interval_s=1800) == []
    assert [event.kind for event in watch.flush(at(30), {"huggingface": 3}, interval_s=1800)] == [K.RUNTIME_CHANGED]


def test_the_goldens_whose_turn_comes_later_belong_to_the_change_that_was_told() -> None:
    watch = RuntimeWatch()
    for number in range(3):
        watch.add(shift(number, number))
    assert len(watch.flush(at(15), {"huggingface": 3})) == 1
    for number in range(3):
        assert watch.add(shift(number, 20 + number, golden="h", answered_before=-10 + number)) is True
    assert watch.drain({"huggingface": 3}) == []


def test_a_second_change_of_the_runtime_is_told_again() -> None:
    watch = RuntimeWatch()
    for hour in range(2):
        for number in range(3):
            watch.add(shift(number, 60 * hour + number, answered_before=60 * hour - 5))
        told = watch.flush(at(60 * hour + 15), {"huggingface": 3})
        assert [(event.kind, event.at) for event in told] == [(K.RUNTIME_CHANGED, at(60 * hour))]


def test_what_is_held_when_the_program_ends_is_told() -> None:
    watch = RuntimeWatch()
    alone = shift(1, 0, provider="b")
    watch.add(alone)
    for number in range(3):
        watch.add(shift(number, 0, provider="a"))
    told = watch.drain({"a": 4, "b": 4})
    assert [event.kind for event in told] == [K.SCORE_SHIFTED, K.RUNTIME_CHANGED]
    assert watch.drain({}) == []
