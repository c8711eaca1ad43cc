"""Which model is used in place of one that is down, and when the first choice is taken back."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import pytest

from exporter.fallback import LONGEST_CHAIN, Candidate, Fallback, Resolution
from exporter.models import Event, EventKind, Model, Reason, Scope, Status
from tests import make

# What a step may say, by the word used in the tables.
RESULTS = {
    "well": (Status.AVAILABLE, Reason.OK, Scope.MODEL),
    "degraded": (Status.DEGRADED, Reason.WRONG_ANSWER, Scope.MODEL),
    "failed": (Status.FAILED, Reason.SERVER_ERROR, Scope.MODEL),
    "loading": (Status.LOADING, Reason.LOADING, Scope.MODEL),
    "missing": (Status.NOT_FOUND, Reason.NOT_FOUND, Scope.MODEL),
    "unserved": (Status.NOT_SERVED, Reason.DEPRECATED, Scope.MODEL),
    "gated": (Status.AUTH_REQUIRED, Reason.GATED, Scope.MODEL),
    "no_token": (Status.AUTH_REQUIRED, Reason.AUTH, Scope.ACCOUNT),
    "bad_token": (Status.UNKNOWN, Reason.AUTH, Scope.ACCOUNT),
    "limited": (Status.UNKNOWN, Reason.RATE_LIMITED, Scope.ACCOUNT),
    "gone": (Status.UNKNOWN, Reason.ENDPOINT_GONE, Scope.HOST),
    "offline": (Status.UNKNOWN, Reason.NETWORK, Scope.CLIENT),
    "backoff": (Status.UNKNOWN, Reason.BACKOFF, Scope.CLIENT),
    "budget": (Status.UNKNOWN, Reason.BUDGET, Scope.ACCOUNT),
    "bug": (Status.UNKNOWN, Reason.PROBE_BUG, Scope.MODEL),
}
RATES = {"a": 99.0, "b": 90.0, "c": 80.0}


def minute(number: float) -> datetime:
    return make.NOW + timedelta(minutes=number)


def candidate(model_id: str, result: str = "well", **changes: Any) -> Candidate:
    status, reason, scope = RESULTS[result]
    facts = {"success_rate": RATES.get(model_id), **changes}
    return Candidate(model_id=model_id, status=status, reason=reason, scope=scope, **facts)


def planned(*models: Model, **settings: Any) -> Fallback:
    fallback = Fallback(**settings)
    fallback.plan(models or [make.model(name) for name in "abc"])
    return fallback


def tell(fallback: Fallback, *said: str, at: float = 0) -> list[Event]:
    """Say results as `model result`, all at one minute."""
    words = (text.split() for text in said)
    return [event for name, result in words for event in fallback.update(candidate(name, result), minute(at))]


def chosen(fallback: Fallback, model_id: str = "a", at: float = 0) -> str | None:
    return fallback.resolve(model=model_id, now=minute(at)).model_id


class Case(NamedTuple):
    """Steps `minute model result`, `minute` alone for a tick; then `> choice` of a, `-` for none."""

    name: str
    steps: str


CASES = (
    Case("a model that works is its own choice", "0 a well > a; 5 a well > a"),
    Case("one failure is not enough", "0 a failed > a; 5 a well > a"),
    Case("two failures in a row are", "0 a failed > a; 5 a failed > b; 10 a failed > b"),
    Case("a flapping model keeps its users", "0 a failed; 5 a well; 10 a failed; 15 a well; 20 a failed > a"),
    Case("loading is down", "0 a loading > a; 5 a loading > b"),
    Case("missing is down", "0 a missing > a; 5 a missing > b"),
    Case("unserved is down", "0 a unserved > a; 5 a unserved > b"),
    Case("gated is down", "0 a gated > a; 5 a gated > b"),
    Case("ways to be down add up", "0 a failed > a; 5 a loading > b"),
    Case("degraded is not down", "0 a degraded; 5 a degraded; 10 a degraded > a"),
    Case("no token moves nothing", "0 a no_token; 5 a no_token; 10 a no_token > a"),
    Case("a bad token moves nothing", "0 a bad_token; 5 a bad_token; 10 a bad_token > a"),
    Case("a host that is gone moves nothing", "0 a gone; 5 a gone; 10 a gone > a"),
    Case("our own network moves nothing", "0 a offline; 5 a offline; 10 a offline > a"),
    Case("an unknown of the model itself moves nothing", "0 a bug; 5 a bug; 10 a bug > a"),
    Case("what is unknown between two failures does not part them", "0 a failed; 5 a limited > a; 10 a failed > b"),
    Case("a failure before and after an answer are not in a row", "0 a failed; 5 a well; 10 a gone; 15 a failed > a"),
    Case("a fallback whose host is gone stays", "0 a failed; 5 a failed > b; 5 b gone; 10 b gone > b"),
    Case("a fallback is not left for one failure", "0 a failed; 5 a failed > b; 5 b failed > b; 10 b well > b"),
    Case("a fallback that goes down gives way to the next", "0 a failed; 5 a failed; 5 b failed > b; 10 b failed > c"),
    Case("nothing works", "0 a failed; 5 a failed; 5 b failed; 6 b failed > c; 6 c failed > c; 7 c failed > -"),
    Case(
        "after nothing worked the first that does is taken at once, be it a fallback",
        "0 b gone; 0 c gone; 0 a failed; 5 a failed > -; 10 a failed > -; 11 c well > c; 12 b well > c",
    ),
    Case(
        "or the wanted one itself",
        "0 b gone; 0 c gone; 0 a failed; 5 a failed > -; 10 a well > a; 11 b well > a",
    ),
    Case("whose state is not known is not chosen", "0 b gone; 0 a failed; 5 a failed > c"),
    Case("who failed once is not chosen", "0 b failed; 0 a failed; 5 a failed > c"),
    Case("a degraded one is only taken when none is available", "0 b degraded; 0 a failed; 5 a failed > c"),
    Case("then it is", "0 b degraded; 0 c failed; 0 a failed; 5 a failed > b"),
    Case(
        "and stays when an available one comes up",
        "0 b degraded; 0 c failed; 0 a failed; 5 a failed > b; 6 c well > b; 300 > b",
    ),
    Case("a fallback that becomes degraded stays", "0 a failed; 5 a failed > b; 6 b degraded > b"),
    Case("time alone heals", "0 a failed; 5 a failed; 10 a well > b; 24.9 > b; 25 > a"),
    Case("a result heals", "0 a failed; 5 a failed; 10 a well; 20 a well > b; 25 a well > a"),
    Case("a failure starts the wait anew", "0 a failed; 5 a failed; 10 a well; 20 a failed; 22 a well; 36 > b; 37 > a"),
    Case("so does not knowing", "0 a failed; 5 a failed; 10 a well; 20 a limited; 22 a well; 36 > b; 37 > a"),
    Case("who is not known to be well does not heal", "0 a failed; 5 a failed; 10 a well; 20 a gone; 60 > b"),
    Case("a probe that the budget forbade says nothing", "0 a failed; 5 a failed; 10 a well; 20 a budget; 25 > a"),
    Case("degraded for long does not replace an available one", "0 a failed; 5 a failed; 10 a degraded; 90 > b"),
    Case(
        "but does replace a degraded one",
        "0 b degraded; 0 c failed; 0 a failed; 5 a failed > b; 10 a degraded > b; 24 > b; 25 > a",
    ),
    Case(
        "when the fallback goes down a first choice that came back is behind the others",
        "0 a failed; 5 a failed > b; 10 a well; 11 b failed; 12 b failed > c; 25 > a",
    ),
    Case(
        "but is better than nothing",
        "0 c failed; 0 a failed; 5 a failed > b; 10 a well; 11 b failed; 12 b failed > a",
    ),
    Case(
        "a degraded first choice, though healed, is behind an available one",
        "0 a failed; 5 a failed > b; 10 a degraded; 30 b failed; 31 b failed > c",
    ),
    Case("time that goes backward heals nothing", "0 a failed; 5 a failed; 10 a well; -100 > b"),
)


@pytest.mark.parametrize("explicit", [False, True], ids=["derived", "explicit"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_choice_after_each_step_is_the_one_expected(case: Case, explicit: bool) -> None:
    fallback = planned(*(make.model(name, fallback=("b", "c") if explicit and name == "a" else ()) for name in "abc"))
    tell(fallback, "b well", "c well")
    present: str | None = "a"
    for step in case.steps.split(";"):
        said, _, expected = step.partition(">")
        at, *words = said.split()
        foreseen = chosen(fallback, at=float(at))
        events = tell(fallback, " ".join(words), at=float(at)) if words else fallback.tick(minute(float(at)))
        mine = [event for event in events if event.model_id == "a"]
        choice = chosen(fallback, at=float(at))
        if expected:
            assert choice == (None if expected.strip() == "-" else expected.strip()), step
        assert words or foreseen == choice, "time alone: an answer does not wait for the tick"
        assert [(event.before, event.after) for event in mine] == ([(present, choice)] if choice != present else [])
        assert fallback.in_use().get("a") == (choice if choice != "a" else None)
        present = choice


def test_each_way_to_answer_is_in_the_table() -> None:
    words = {word for case in CASES for word in case.steps.replace(";", " ").split()}
    assert set(RESULTS) - words == {"backoff"}, "told below"


def test_a_switch_is_an_event_that_a_human_can_read() -> None:
    fallback = planned()
    (event,) = tell(fallback, "b well", "a failed", "a failed", at=5)
    assert event == Event(
        at=minute(5),
        kind=EventKind.FALLBACK_CHANGED,
        provider="huggingface",
        model_id="a",
        before="a",
        after="b",
        message="b stands in for a, which is failed (server_error)",
    )
    tell(fallback, "a well", at=10)
    (healed,) = fallback.tick(minute(25))
    assert (healed.before, healed.after, healed.message) == ("b", "a", "a is available")
    assert fallback.tick(minute(26)) == []


def test_every_user_of_a_fallback_that_goes_down_is_moved() -> None:
    fallback = planned()
    tell(fallback, "c well", "a failed", "b failed", "a failed", "b failed")
    assert fallback.in_use() == {"a": "c", "b": "c"}
    events = tell(fallback, "c failed", "c failed")
    assert [(event.model_id, event.after) for event in events] == [("a", None), ("b", None), ("c", None)]
    assert fallback.in_use() == {}
    events = tell(fallback, "b well", at=1)
    assert [(event.model_id, event.after) for event in events] == [("a", "b"), ("b", "b"), ("c", "b")]
    assert fallback.in_use() == {"a": "b", "c": "b"}


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ([], "a is not checked yet"),
        (["a well"], "a is available"),
        (["a degraded"], "a is degraded (wrong_answer)"),
        (["a failed"], "a is failed (server_error); it is left after 2 such results in a row"),
        (["a backoff"], "a is unknown (backoff); that is not its own fault, so the choice stays"),
        (["a failed"] * 2, "a is failed (server_error), and nothing else in its chain is known to work"),
        (["b well", *["a failed"] * 2], "b stands in for a, which is failed (server_error)"),
        (
            ["b well", *["a failed"] * 2, "a well"],
            "b stands in for a, which is well again since 2026-03-01T12:00:00.000Z and must stay so for 900 s",
        ),
    ],
    ids=["new", "well", "degraded", "failed once", "unknown", "nothing works", "replaced", "healing"],
)
def test_an_answer_says_why(said: Sequence[str], why: str) -> None:
    fallback = planned()
    tell(fallback, *said)
    assert fallback.resolve(model="a", now=minute(0)).why == why


def test_an_answer_tells_of_the_model_to_use_and_of_the_wanted_one_when_there_is_none() -> None:
    fallback = planned(make.model("a", fallback=("b",)), make.model("b", provider="other"))
    tell(fallback, "b degraded", "a failed", "a failed")
    used = fallback.resolve(model="a", now=minute(0))
    assert used == Resolution(
        model_id="b",
        provider="other",
        status=Status.DEGRADED,
        reason=Reason.WRONG_ANSWER,
        wanted="a",
        why="b stands in for a, which is failed (server_error)",
        chain=("a", "b"),
    )
    tell(fallback, "b failed", "b failed")
    none = fallback.resolve(model="a", now=minute(0))
    assert (none.model_id, none.provider, none.status, none.reason) == (
        None,
        "huggingface",
        Status.FAILED,
        Reason.SERVER_ERROR,
    )
    assert none.chain == ("a", "b")


def test_a_derived_chain_is_of_the_task_its_category_first_then_by_success_then_by_latency() -> None:
    fallback = planned(
        make.model("wanted", category="crypto"),
        make.model("best-elsewhere", category="news"),
        make.model("good", category="crypto"),
        make.model("good-and-fast", category="crypto"),
        make.model("never-measured", category="crypto"),
        make.model("never-succeeded", category="crypto"),
        make.model("other-task", category="crypto", task="text-generation"),
        make.model("switched-off", category="crypto", enabled=False),
    )
    told: list[tuple[str, float | None, float | None]] = [
        ("best-elsewhere", 100.0, 0.1),
        ("good", 90.0, 2.0),
        ("good-and-fast", 90.0, 1.0),
        ("never-succeeded", 0.0, None),
        ("switched-off", 100.0, 0.1),
    ]
    for model_id, rate, latency_s in told:
        fallback.update(candidate(model_id, success_rate=rate, latency_s=latency_s), minute(0))
    assert fallback.chain("wanted") == (
        "wanted",
        "good-and-fast",
        "good",
        "never-succeeded",
        "never-measured",
        "best-elsewhere",
    )
    assert fallback.chain("other-task") == ("other-task",)
    tell(fallback, "wanted failed", "wanted failed")
    assert chosen(fallback, "wanted") == "good-and-fast"


def test_an_available_model_of_another_category_goes_before_a_degraded_one_of_the_same() -> None:
    fallback = planned(*(make.model(name, category=kind) for name, kind in zip("abc", ("x", "x", "y"), strict=True)))
    tell(fallback, "b degraded", "c well", "a failed", "a failed")
    assert chosen(fallback) == "c"


def test_an_available_model_goes_before_any_number_of_degraded_ones_with_more_success() -> None:
    fallback = planned(*(make.model(name) for name in "abcd"))
    tell(fallback, "b degraded", "c degraded", "d well", "a failed", "a failed")
    assert chosen(fallback) == "d"


@pytest.mark.parametrize(
    ("categories", "expected"),
    [("xxxy", "c"), ("xyyy", "c"), ("xxyx", "d")],
    ids=["the best is of its category", "none is of its category", "a better one is of another category"],
)
def test_a_first_choice_that_came_back_hides_none_of_the_others(categories: str, expected: str) -> None:
    fallback = planned(*(make.model(name, category=kind) for name, kind in zip("abcd", categories, strict=True)))
    tell(fallback, "b well", "a failed", "a failed", "a well", "c well", "d well")
    assert chosen(fallback) == "b"
    tell(fallback, "b failed", "b failed")
    assert chosen(fallback) == expected


def test_an_explicit_chain_is_all_there_is() -> None:
    models = [make.model("a", fallback=("off", "c")), make.model("b"), make.model("c")]
    fallback = planned(*models, make.model("off", enabled=False))
    assert fallback.chain("a") == ("a", "c")
    tell(fallback, "b well", "a failed", "a failed")
    assert chosen(fallback) is None
    tell(fallback, "c well")
    assert chosen(fallback) == "c"


def test_the_numbers_of_results_and_seconds_can_be_set() -> None:
    fallback = planned(down_after=1, heal_after_s=60)
    tell(fallback, "b well", "a failed")
    assert chosen(fallback) == "b"
    tell(fallback, "a well", at=1)
    assert (chosen(fallback, at=1.9), chosen(fallback, at=2)) == ("b", "a")


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"task": "summarization"}, "s1"),
        ({"category": "news"}, "n1"),
        ({"task": "summarization", "category": "crypto"}, "s2"),
        ({"model": "s1", "task": "summarization", "category": "news"}, "s1"),
        ({"model": "s1", "task": "summarization"}, "s1"),
        ({"model": "s1", "category": "news"}, "s1"),
    ],
    ids=["a task", "a category", "both", "a model of its task and category", "of its task", "of its category"],
)
def test_the_best_of_what_is_asked_for_is_chosen(asked: dict[str, str], expected: str) -> None:
    fallback = planned(
        make.model("s1", task="summarization", category="news"),
        make.model("s2", task="summarization", category="crypto"),
        make.model("n1", category="news"),
    )
    for name, rate in (("s1", 90.0), ("s2", 80.0), ("n1", 95.0)):
        fallback.update(candidate(name, success_rate=rate), minute(0))
    assert fallback.resolve(**asked, now=minute(0)).model_id == expected


def test_the_best_of_a_task_is_kept_until_it_is_down() -> None:
    fallback = planned()

    def best() -> str | None:
        return fallback.resolve(task="sentiment-analysis", now=minute(0)).model_id

    assert best() is None, "nothing is known yet"
    tell(fallback, "b well")
    assert best() == "b"
    tell(fallback, "a well")
    assert best() == "b", "nobody hops to a better one"
    tell(fallback, "b gone", "b gone", "b failed")
    assert best() == "b"
    tell(fallback, "b failed")
    assert best() == "a"
    tell(fallback, "b well", "a failed", "b failed", "a failed", "b failed")
    assert best() is None
    tell(fallback, "c degraded", "a failed")
    assert best() == "c"


def test_the_answer_for_a_task_tells_why() -> None:
    fallback = planned(make.model("a", category="x"), make.model("b", provider="other", category="x"))
    tell(fallback, "a failed")
    none = fallback.resolve(task="sentiment-analysis", category="x", now=minute(0))
    assert none.why == "no model of task sentiment-analysis and category x is known to work"
    assert (none.model_id, none.provider, none.status, none.wanted) == (None, "huggingface", Status.FAILED, None)
    assert none.chain == ("a", "b")
    tell(fallback, "b degraded")
    best = fallback.resolve(category="x", now=minute(0))
    assert (best.model_id, best.provider, best.why) == ("b", "other", "b is degraded (wrong_answer)")
    nobody = fallback.resolve(task="summarization", now=minute(0))
    assert nobody == Resolution(
        model_id=None,
        provider=None,
        status=Status.UNKNOWN,
        reason=None,
        wanted=None,
        why="no model is configured for task summarization",
        chain=(),
    )


@pytest.mark.parametrize(
    ("asked", "error", "message"),
    [
        ({}, ValueError, "say which model, task or category"),
        ({"model": "z"}, KeyError, "z"),
        ({"model": "off"}, KeyError, "off"),
        ({"model": "a", "task": "summarization"}, ValueError, "a is of task sentiment-analysis, category general"),
        ({"model": "a", "category": "news"}, ValueError, "a is of task sentiment-analysis, category general"),
    ],
    ids=["nothing asked", "unknown model", "a model that is switched off", "of another task", "of another category"],
)
def test_what_cannot_be_answered_is_refused(
    asked: dict[str, str], error: type[ValueError | KeyError], message: str
) -> None:
    fallback = planned(make.model("a"), make.model("off", enabled=False))
    with pytest.raises(error, match=message):
        fallback.resolve(**asked, now=minute(0))


def test_a_chain_of_an_unknown_model_is_refused() -> None:
    with pytest.raises(KeyError):
        planned().chain("z")


def test_a_result_of_a_model_that_left_is_ignored() -> None:
    fallback = planned()
    assert fallback.update(candidate("z", "failed"), minute(0)) == []
    assert chosen(fallback) == "a"


def test_a_reload_keeps_what_is_known_and_what_was_chosen() -> None:
    fallback = planned()
    tell(fallback, "b well", "c well", "a failed", "a failed")
    fallback.update(candidate("c", success_rate=100.0), minute(1))
    best = fallback.resolve(category="general", now=minute(1)).model_id
    fallback.plan([make.model(name) for name in "abcd"])
    assert fallback.tick(minute(1)) == []
    assert fallback.in_use() == {"a": "b"}
    assert fallback.chain("a") == ("a", "c", "b", "d")
    assert fallback.resolve(category="general", now=minute(1)).model_id == best == "c"


@pytest.mark.parametrize(
    ("models", "expected"),
    [
        ([make.model("a"), make.model("c")], "c"),
        ([make.model("a"), make.model("b", enabled=False), make.model("c")], "c"),
        ([make.model("a"), make.model("b", task="summarization"), make.model("c")], "c"),
        ([make.model("a", fallback=("c",)), make.model("b"), make.model("c")], "c"),
        ([make.model("a", fallback=("c", "b")), make.model("b"), make.model("c")], "b"),
        ([make.model("a")], None),
    ],
    ids=["left", "switched off", "of another task now", "not in the new chain", "in the new chain", "all left"],
)
def test_a_reload_drops_a_choice_that_is_not_allowed_any_more(models: list[Model], expected: str | None) -> None:
    fallback = planned()
    tell(fallback, "b well", "c well", "a failed", "a failed")
    fallback.plan(models)
    assert fallback.in_use() == ({"a": "b"} if expected == "b" else {}), "nothing that left is shown"
    assert chosen(fallback) == expected, "an answer does not wait for the tick"
    events = fallback.tick(minute(1))
    assert [(event.before, event.after) for event in events] == ([(None, "c")] if expected == "c" else [])


def test_a_favourite_of_a_task_that_left_or_moved_is_chosen_anew() -> None:
    fallback = planned()
    tell(fallback, "a well", "b well", "c well")
    assert fallback.resolve(task="sentiment-analysis", now=minute(0)).model_id == "a"
    fallback.plan([make.model("a", task="summarization"), make.model("b"), make.model("c")])
    assert fallback.resolve(task="sentiment-analysis", now=minute(0)).model_id == "b"
    fallback.plan([make.model("c")])
    assert fallback.resolve(task="sentiment-analysis", now=minute(0)).model_id == "c"


def test_a_model_that_leaves_and_comes_back_is_not_remembered() -> None:
    fallback = planned()
    tell(fallback, "b well", "a failed", "a failed")
    fallback.plan([make.model("b")])
    fallback.plan([make.model("a"), make.model("b")])
    assert (chosen(fallback), fallback.in_use()) == ("a", {})


def test_a_restart_goes_on_with_the_choices_of_before() -> None:
    fallback = planned(make.model("a"), make.model("b"), make.model("c", fallback=("b",)), make.model("d"))
    fallback.restore({"a": "b", "b": "b", "c": "d", "d": None, "z": "b"})
    assert fallback.in_use() == {"a": "b"}, "d is not in the chain of c, z is not configured"
    tell(fallback, "b well", "a well", at=0)
    assert chosen(fallback, "a") == "b"
    assert fallback.tick(minute(14)) == []
    (event,) = fallback.tick(minute(15))
    assert (event.model_id, event.before, event.after) == ("a", "b", "a")
    assert (chosen(fallback, "c"), chosen(fallback, "d")) == ("b", "b")


def test_of_thousands_of_models_all_are_used_and_the_first_are_listed() -> None:
    names = [f"m{number:03}" for number in range(3 * LONGEST_CHAIN)]
    fallback = planned(*(make.model(name, category=name[-1]) for name in names))
    listed = fallback.chain(names[0])
    assert len(listed) == len(set(listed)) == LONGEST_CHAIN
    assert listed[:6] == ("m000", "m010", "m020", "m030", "m040", "m050")
    tell(fallback, f"{names[-1]} well", "m000 failed", "m000 failed")
    used = fallback.resolve(model="m000", now=minute(0))
    assert used.model_id == names[-1]
    assert used.chain == (*listed, names[-1]), "the one in use is always among those listed"
    best = fallback.resolve(task="sentiment-analysis", now=minute(0))
    assert best.chain == (*names[:LONGEST_CHAIN], names[-1])


def plainly_first(models: Sequence[Model], told: dict[str, Candidate], wanted: Model) -> str | None:
    """Walk a derived chain as it is told in words: the reference for the ranking that is kept in order."""

    def rank(model: Model) -> tuple[bool, float, float, str]:
        facts = told[model.model_id]
        assert facts.success_rate is not None
        assert facts.latency_s is not None
        return model.category != wanted.category, -facts.success_rate, facts.latency_s, model.model_id

    others = sorted((model for model in models if model != wanted and model.task == wanted.task), key=rank)
    for status in (Status.AVAILABLE, Status.DEGRADED):
        for model in others:
            if told[model.model_id].status is status:
                return model.model_id
    return None


@pytest.mark.parametrize("seed", range(20))
def test_the_kept_ranking_finds_what_a_walk_along_the_chain_finds(seed: int) -> None:
    dice = random.Random(seed)
    models = [
        make.model(f"m{number}", task=dice.choice(("summarization", "text-generation")), category=dice.choice("xyz"))
        for number in range(12)
    ]
    fallback, told = planned(*models), dict[str, Candidate]()
    for _ in range(3):
        for model in models:
            facts = {"success_rate": dice.choice((50.0, 75.0)), "latency_s": dice.choice((1.0, 2.0))}
            result = dice.choice(("well", "degraded", "failed", "gone"))
            told[model.model_id] = candidate(model.model_id, result, **facts)
            fallback.update(told[model.model_id], minute(0))
    wanted = dice.choice(models)
    for other in models:  # so that nothing is in use when the wanted one goes down
        fallback.restore({other.model_id: other.model_id})
    for _ in range(2):
        told[wanted.model_id] = candidate(wanted.model_id, "failed", success_rate=10.0, latency_s=1.0)
        fallback.update(told[wanted.model_id], minute(0))
    assert chosen(fallback, wanted.model_id) == plainly_first(models, told, wanted)


def test_however_results_fall_no_one_is_left_on_a_model_that_is_down() -> None:
    dice = random.Random(1)
    names = [f"m{number}" for number in range(8)]
    fallback, faults = planned(*(make.model(name) for name in names)), dict.fromkeys(names, 0)
    choices: dict[str | None, str | None] = {}
    for step in range(3000):
        name, result = dice.choice(names), dice.choice(("well", "degraded", "failed", "failed", "gone", "budget"))
        faults[name] = {"failed": faults[name] + 1, "gone": faults[name], "budget": faults[name]}.get(result, 0)
        for event in tell(fallback, f"{name} {result}", at=step):
            assert choices.get(event.model_id, event.model_id) == event.before
            choices[event.model_id] = event.after
        for wanted in names:
            choice = choices.get(wanted, wanted)
            assert choice is None or faults[choice] < 2
            assert fallback.in_use().get(wanted) == (None if choice == wanted else choice)
