"""One cause is one incident: when it opens, what it is called, when it is over, and who may be asked meanwhile."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest

from exporter.incidents import LONGEST_GAP_S, TRY_LASTS_S, Incidents
from exporter.models import Incident, Observation, Reason, Scope, Status
from tests import make

NOON = make.NOW
MANY = tuple(f"owner/m{number:02}" for number in range(21))
PROVIDER = "huggingface"

# What a probe finds, by the name that the tests give it.
FOUND: dict[str, dict[str, Any]] = {
    "ok": {"status": Status.AVAILABLE, "requests": 1, "http_status": 200},
    "degraded": {"status": Status.DEGRADED, "reason": Reason.WRONG_ANSWER, "requests": 1, "http_status": 200},
    "410": {
        "status": Status.UNKNOWN,
        "reason": Reason.ENDPOINT_GONE,
        "scope": Scope.HOST,
        "requests": 1,
        "http_status": 410,
    },
    "no route": {"status": Status.UNKNOWN, "reason": Reason.NETWORK, "scope": Scope.HOST, "requests": 1},
    "tls": {"status": Status.UNKNOWN, "reason": Reason.TLS, "scope": Scope.HOST, "requests": 1},
    "auth": {
        "status": Status.UNKNOWN,
        "reason": Reason.AUTH,
        "scope": Scope.ACCOUNT,
        "requests": 1,
        "http_status": 401,
    },
    "hub auth": {"status": Status.UNKNOWN, "reason": Reason.AUTH, "scope": Scope.ACCOUNT, "http_status": 401},
    "auth_scope": {
        "status": Status.UNKNOWN,
        "reason": Reason.AUTH_SCOPE,
        "scope": Scope.ACCOUNT,
        "requests": 1,
        "http_status": 403,
    },
    "quota": {
        "status": Status.UNKNOWN,
        "reason": Reason.QUOTA,
        "scope": Scope.ACCOUNT,
        "requests": 1,
        "http_status": 402,
    },
    "rate_limited": {
        "status": Status.UNKNOWN,
        "reason": Reason.RATE_LIMITED,
        "scope": Scope.ACCOUNT,
        "requests": 1,
        "http_status": 429,
    },
    "no token": {"status": Status.AUTH_REQUIRED, "reason": Reason.AUTH, "scope": Scope.ACCOUNT},
    "500": {"status": Status.FAILED, "reason": Reason.SERVER_ERROR, "requests": 1, "http_status": 500},
    "502": {"status": Status.FAILED, "reason": Reason.GATEWAY, "requests": 1, "http_status": 502},
    "overloaded": {"status": Status.FAILED, "reason": Reason.OVERLOADED, "requests": 1, "http_status": 503},
    "model_error": {"status": Status.FAILED, "reason": Reason.MODEL_ERROR, "requests": 1, "http_status": 400},
    "garbage": {"status": Status.FAILED, "reason": Reason.BAD_OUTPUT, "requests": 1, "http_status": 200},
    "timeout": {"status": Status.FAILED, "reason": Reason.TIMEOUT, "requests": 1},
    "504": {"status": Status.FAILED, "reason": Reason.TIMEOUT, "requests": 1, "http_status": 504},
    "loading": {"status": Status.LOADING, "reason": Reason.LOADING, "requests": 2, "http_status": 503},
    "404": {"status": Status.NOT_FOUND, "reason": Reason.NOT_FOUND, "requests": 1, "http_status": 404},
    "gated": {"status": Status.AUTH_REQUIRED, "reason": Reason.GATED, "requests": 1, "http_status": 403},
    "unserved": {"status": Status.NOT_SERVED, "reason": Reason.NOT_SERVED, "http_status": 200},
    "disabled": {"status": Status.FAILED, "reason": Reason.DISABLED, "http_status": 200},
    "our request": {
        "status": Status.UNKNOWN,
        "reason": Reason.BAD_REQUEST,
        "scope": Scope.CLIENT,
        "requests": 1,
        "http_status": 422,
    },
    "our bug": {"status": Status.UNKNOWN, "reason": Reason.PROBE_BUG, "scope": Scope.CLIENT},
    "backoff": {"status": Status.UNKNOWN, "reason": Reason.BACKOFF, "scope": Scope.CLIENT},
    "budget": {"status": Status.UNKNOWN, "reason": Reason.BUDGET, "scope": Scope.ACCOUNT},
}


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def probe(model_id: str, found: str, **changes: Any) -> Observation:
    return make.observation(model_id, **{"provider": PROVIDER, **FOUND[found], **changes})


class Day:
    """A provider's models, observed at seconds past noon; `told` holds every incident that opened or closed."""

    def __init__(self, models: Iterable[str] = MANY, **options: Any) -> None:
        self.incidents = Incidents(**options)
        self.incidents.plan({PROVIDER: list(models)})
        self.told: list[Incident] = []

    def see(self, seconds: float, found: str, *models: str, reachable: bool | None = None) -> list[Incident]:
        """Observe the same of these models, a second after each other; return what that told."""
        new: list[Incident] = []
        for number, model_id in enumerate(models):
            new += self.incidents.observe(probe(model_id, found), at(seconds + number), reachable=reachable)
        self.told += new
        return new

    def try_at(self, seconds: float, found: str, model_id: str, *, reachable: bool | None = None) -> list[Incident]:
        assert self.incidents.may_ask(PROVIDER, at(seconds))
        return self.see(seconds, found, model_id, reachable=reachable)

    def due_s(self) -> float | None:
        due = self.incidents.next_try(PROVIDER)
        return None if due is None else (due - NOON).total_seconds()

    def lasting(self) -> Incident:
        incident = self.incidents.of(PROVIDER)
        assert incident is not None
        return incident


def words(told: Sequence[Incident]) -> list[str]:
    return [f"{'open' if i.closed_at is None else 'close'} {i.scope} {i.reason}" for i in told]


def test_the_day_of_21_times_410_is_one_incident() -> None:
    day = Day()
    for round_number in range(12):
        for number, model_id in enumerate(MANY):
            seconds = round_number * 300 + number * 14
            asked = day.incidents.may_ask(PROVIDER, at(seconds))
            day.see(seconds, "410" if asked else "backoff", model_id)
    assert words(day.told) == ["open host endpoint_gone"]
    assert day.lasting().model_ids == MANY
    assert day.lasting().message == "huggingface: endpoint_gone on 21 of 21 models since 12:00 UTC"
    assert day.incidents.open() == (day.lasting(),)
    assert words(day.see(4000, "ok", MANY[7])) == ["close host endpoint_gone"]
    assert day.told[-1].closed_at == at(4000)
    assert day.told[-1].message == ("huggingface: endpoint_gone on 21 of 21 models since 12:00 UTC, over at 13:06 UTC")
    assert day.incidents.open() == ()


def test_a_model_that_is_not_asked_at_all_is_not_said_to_be_hit() -> None:
    day = Day()
    day.see(0, "unserved", *MANY[5:])
    day.see(100, "410", *MANY[:3])
    day.see(110, "backoff", *MANY[3:])
    assert day.lasting().model_ids == MANY[:5]


@pytest.mark.parametrize("found", ["auth", "hub auth", "auth_scope", "quota", "rate_limited"])
def test_one_refusal_of_the_account_is_enough(found: str) -> None:
    day = Day()
    reason = FOUND[found]["reason"]
    assert words(day.see(0, found, MANY[0])) == [f"open account {reason}"]
    assert day.see(1, found, MANY[1], MANY[0]) == []
    assert day.lasting().model_ids == MANY[:2]
    assert day.lasting().message == f"huggingface: {reason} (the account) on 2 of 21 models since 12:00 UTC"
    assert words(day.try_at(60, "ok", MANY[5])) == [f"close account {reason}"]


# Each a sequence of (seconds, what was found, of which models), and everything that is told by its end.
SITUATIONS: dict[str, tuple[list[tuple[float, str, Sequence[str]]], list[str]]] = {
    "one model that flaps": (
        [(0, "ok", MANY), *((300 * n, "502" if n % 2 else "ok", MANY[:1]) for n in range(1, 20))],
        [],
    ),
    "2 of 21 that fail": ([(0, "ok", MANY), (300, "502", MANY[:2]), (310, "ok", MANY[2:])], []),
    "12 of 21 that turn 502": ([(0, "ok", MANY), (300, "502", MANY[:12]), (330, "ok", MANY[12:])], []),
    "15 of 21 that turn 502": (
        [(0, "ok", MANY), (300, "502", MANY[:15]), (330, "ok", MANY[15:])],
        ["open host gateway"],
    ),
    "21 that were degraded and turn": ([(0, "degraded", MANY), (300, "500", MANY)], ["open host server_error"]),
    "all overloaded": ([(0, "ok", MANY), (300, "overloaded", MANY)], ["open host overloaded"]),
    "all of them model_error": ([(0, "ok", MANY), (300, "model_error", MANY)], ["open host model_error"]),
    "garbage from all": ([(0, "ok", MANY), (300, "garbage", MANY)], ["open host bad_output"]),
    "no answer from any": ([(0, "ok", MANY), (300, "timeout", MANY)], ["open host timeout"]),
    "504 from all": ([(0, "ok", MANY), (300, "504", MANY)], ["open host timeout"]),
    "all cold": ([(0, "ok", MANY), (300, "loading", MANY)], []),
    "cold, then all 500": (
        [(0, "ok", MANY), (300, "loading", MANY), (400, "500", MANY)],
        ["open host server_error"],
    ),
    "a mixture, no reason of most": (
        [(0, "ok", MANY), (300, "500", MANY[:10]), (320, "garbage", MANY[10:])],
        [],
    ),
    "an outage in all its forms": (
        [
            (0, "ok", MANY),
            (300, "502", MANY[:5]),
            (305, "500", MANY[5:7]),
            (310, "overloaded", MANY[7:9]),
            (315, "504", MANY[9:11]),
            (320, "timeout", MANY[11:13]),
        ],
        ["open host gateway"],
    ),
    "an outage that changes its form": (
        [
            (0, "ok", MANY),
            (300, "502", MANY[:15]),
            (400, "500", MANY[:1]),
            (500, "overloaded", MANY[1:2]),
            (600, "504", MANY[2:3]),
            (700, "ok", MANY[3:4]),
        ],
        ["open host gateway", "close host gateway"],
    ),
    "what breaks the model is no outage": (
        [(0, "ok", MANY), (300, "502", MANY[:15]), (400, "garbage", MANY[:1])],
        ["open host gateway", "close host gateway"],
    ),
    "2 of 3 that turn": ([(0, "ok", MANY[:3]), (300, "502", MANY[:2])], []),
    "failing all along": ([(0, "502", MANY), (300, "502", MANY), (600, "502", MANY)], []),
    "the well rest turns": (
        [(0, "502", MANY[:16]), (20, "ok", MANY[16:]), (300, "502", MANY)],
        ["open host gateway"],
    ),
    "too few of the well rest turn": (
        [(0, "502", MANY[:16]), (20, "ok", MANY[16:]), (300, "502", MANY[:18])],
        [],
    ),
    "a slow creep over hours": (
        [
            (3600 * hour + 300 * cycle, "502" if index < hour else "ok", [model_id])
            for hour in range(22)
            for cycle in range(12)
            for index, model_id in enumerate(MANY)
        ],
        [],
    ),
    "gone": ([(0, "ok", MANY), (300, "404", MANY)], []),
    "gated": ([(0, "ok", MANY), (300, "gated", MANY)], []),
    "no longer served": ([(0, "ok", MANY), (300, "unserved", MANY)], []),
    "disabled": ([(0, "ok", MANY), (300, "disabled", MANY)], []),
    "no token set": ([(0, "no token", MANY)], []),
    "a bug of ours": ([(0, "our bug", MANY)], []),
    "a bad request of ours": ([(0, "our request", MANY)], []),
    "held back": ([(0, "backoff", MANY), (30, "budget", MANY)], []),
    "2 hosts' failures": ([(0, "410", MANY[:2])], []),
    "one model, unreached thrice": ([(0, "410", [MANY[0], MANY[0], MANY[0]])], []),
    "a good answer in between": (
        [(0, "410", MANY[:2]), (10, "ok", MANY[2:3]), (20, "410", MANY[3:5])],
        [],
    ),
    "an answer of the catalogue in between": (
        [(0, "410", MANY[:2]), (10, "unserved", MANY[2:3]), (20, "410", MANY[3:4])],
        ["open host endpoint_gone"],
    ),
    "a model's own failure in between": (
        [(0, "410", MANY[:2]), (10, "500", MANY[2:3]), (20, "410", MANY[3:5])],
        [],
    ),
    "hosts' failures far apart": ([(0, "410", MANY[:1]), (600, "410", MANY[1:2]), (1200, "410", MANY[2:3])], []),
    "one that no longer is unreached": (
        [(0, "no route", MANY[:2]), (10, "timeout", MANY[:1]), (20, "no route", MANY[2:3])],
        [],
    ),
    "several kinds, called by the most": (
        [(0, "no route", MANY[:2]), (10, "tls", MANY[2:3])],
        ["open host network"],
    ),
    "only two are served": (
        [(0, "unserved", MANY[2:]), (100, "410", MANY[:2])],
        ["open host endpoint_gone"],
    ),
    "only two are there": ([(0, "404", MANY[2:]), (100, "410", MANY[:2])], ["open host endpoint_gone"]),
    "two of those that are served again": (
        [(0, "unserved", MANY[2:]), (100, "ok", MANY[2:]), (200, "410", MANY[:2])],
        [],
    ),
    "the account after the host": (
        [(0, "410", MANY[:3]), (70, "quota", MANY[:1])],
        ["open host endpoint_gone", "close host endpoint_gone", "open account quota"],
    ),
    "the host after the account": (
        [(0, "quota", MANY[:1]), (70, "410", MANY[:3])],
        ["open account quota", "close account quota", "open host endpoint_gone"],
    ),
    "an old failure of the host after the account": (
        [(0, "410", MANY[:3]), (70, "quota", MANY[5:6]), (140, "410", MANY[1:2])],
        ["open host endpoint_gone", "close host endpoint_gone", "open account quota"],
    ),
    "another refusal of the account": (
        [(0, "auth", MANY[:1]), (70, "rate_limited", MANY[:1])],
        ["open account auth", "close account auth", "open account rate_limited"],
    ),
    "the account while most fail": (
        [(0, "ok", MANY), (300, "502", MANY), (400, "quota", MANY[:1])],
        ["open host gateway", "close host gateway", "open account quota"],
    ),
    "most fail again after a first recovery": (
        [(0, "ok", MANY), (300, "502", MANY), (400, "ok", MANY[:1]), (500, "502", MANY)],
        ["open host gateway", "close host gateway", "open host gateway"],
    ),
    "one that ended it by being gone does not turn again": (
        [(0, "ok", MANY[:3]), (300, "502", MANY[:3]), (400, "404", MANY[:1]), (500, "502", MANY[:3])],
        ["open host gateway", "close host gateway"],
    ),
    "a few stay down after the recovery": (
        [(0, "ok", MANY), (300, "502", MANY), (400, "ok", MANY[:1]), (500, "502", MANY[1:9])],
        ["open host gateway", "close host gateway"],
    ),
}


@pytest.mark.parametrize(("seen", "told"), SITUATIONS.values(), ids=SITUATIONS.keys())
def test_what_is_an_incident_and_what_is_none(seen: list[tuple[float, str, Sequence[str]]], told: list[str]) -> None:
    day = Day()
    for seconds, found, models in seen:
        day.see(seconds, found, *models)
    assert words(day.told) == told


def test_models_asked_rarely_turn_together_within_one_interval() -> None:
    day = Day()
    for number, model_id in enumerate(MANY):
        day.see(number * 86, "ok", model_id)
    for number, model_id in enumerate(MANY):
        day.see(1806 + number * 86, "502", model_id)
    assert words(day.told) == ["open host gateway"]
    assert day.told[0].opened_at == at(1806 + 12 * 86)
    assert day.told[0].model_ids == MANY[:13]


def test_a_failure_counts_for_an_hour_at_the_most() -> None:
    day = Day(MANY[:3])
    day.see(0, "ok", *MANY[:3])
    later = 10 * LONGEST_GAP_S
    day.see(later, "502", *MANY[:2])
    assert day.see(later + LONGEST_GAP_S + 2, "502", MANY[2]) == []


# What ends an incident of: the account, the host, most models together. Asked of a model that the incident had hit.
ENDS = {
    "ok": (True, True, True),
    "degraded": (True, True, True),
    "500": (True, True, False),
    "504": (True, True, False),
    "overloaded": (True, True, False),
    "garbage": (True, True, True),
    "502": (True, True, False),
    "loading": (True, True, True),
    "404": (True, True, True),
    "gated": (True, True, True),
    "timeout": (False, False, False),
    "unserved": (False, False, False),
    "disabled": (False, False, False),
    "no token": (False, False, False),
    "our request": (False, False, False),
    "our bug": (False, False, False),
    "backoff": (False, False, False),
    "budget": (False, False, False),
    "no route": (False, False, False),
}


@pytest.mark.parametrize(
    ("cause", "nth"), [("quota", 0), ("410", 1), ("502", 2)], ids=["of the account", "of the host", "of most"]
)
@pytest.mark.parametrize("found", ENDS)
def test_only_a_real_answer_of_another_kind_ends_an_incident(cause: str, nth: int, found: str) -> None:
    day = Day()
    day.see(0, "ok", *MANY)
    day.see(300, cause, *MANY[:15])
    began = day.lasting()
    told = day.try_at(400, found, MANY[0])
    assert (day.incidents.of(PROVIDER) is None) is ENDS[found][nth]
    assert words(told) == ([f"close {began.scope} {began.reason}"] if ENDS[found][nth] else [])


def test_the_healthy_rest_does_not_end_what_most_models_have_and_leaves_the_try_to_the_next() -> None:
    day = Day()
    day.see(0, "ok", *MANY)
    day.see(300, "502", *MANY[:15])
    due_s = day.due_s()
    assert due_s is not None
    assert day.try_at(due_s, "ok", MANY[20]) == []
    assert day.try_at(due_s + 1, "502", MANY[0]) == []
    assert day.due_s() == due_s + 1 + 120
    assert day.lasting().model_ids == MANY[:15]
    assert words(day.try_at(due_s + 121, "ok", MANY[14])) == ["close host gateway"]


def test_another_form_of_the_same_outage_lengthens_the_pause_and_hits_its_model() -> None:
    day = Day()
    day.see(0, "ok", *MANY)
    day.see(300, "502", *MANY[:13])
    day.try_at(372, "500", MANY[0])
    assert day.due_s() == 372 + 120
    day.try_at(492, "overloaded", MANY[20])
    assert day.due_s() == 492 + 240
    assert day.lasting().model_ids == (*MANY[:13], MANY[20])
    assert "gateway on 14 of 21 models" in day.lasting().message


def test_a_model_that_is_held_back_is_not_said_to_have_what_most_have() -> None:
    day = Day()
    day.see(0, "ok", *MANY)
    day.see(300, "502", *MANY[:15])
    day.see(330, "backoff", *MANY[15:])
    assert day.lasting().model_ids == MANY[:15]


def test_a_model_that_turns_later_is_counted_in_but_one_that_failed_all_along_is_not() -> None:
    day = Day()
    day.see(0, "502", MANY[20])
    day.see(1, "ok", *MANY[:20])
    day.see(300, "502", *MANY)
    assert day.lasting().model_ids == MANY[:20]


def test_tries_back_off_twofold_up_to_the_longest_pause_and_start_anew_next_time() -> None:
    day = Day()
    day.see(0, "410", *MANY[:3])
    now_s, pauses = 2.0, []
    for _ in range(8):
        due_s = day.due_s()
        assert due_s is not None
        pauses.append(due_s - now_s)
        assert not day.incidents.may_ask(PROVIDER, at(due_s - 0.001))
        day.try_at(due_s, "410", MANY[0])
        now_s = due_s
    assert pauses == [60, 120, 240, 480, 960, 1800, 1800, 1800]
    day.see(now_s + 1, "ok", MANY[0])
    assert day.due_s() is None
    assert day.incidents.may_ask(PROVIDER, at(now_s + 2))
    day.see(now_s + 3, "quota", MANY[0])
    assert day.due_s() == now_s + 3 + 60


def test_one_try_at_a_time_and_one_that_is_never_heard_of_is_given_up() -> None:
    day = Day()
    day.see(0, "quota", MANY[0])
    assert day.incidents.may_ask(PROVIDER, at(60))
    assert not day.incidents.may_ask(PROVIDER, at(61))
    assert day.due_s() == 60 + TRY_LASTS_S
    assert not day.incidents.may_ask(PROVIDER, at(60 + TRY_LASTS_S - 0.001))
    assert day.incidents.may_ask(PROVIDER, at(60 + TRY_LASTS_S))


@pytest.mark.parametrize("found", ["backoff", "budget", "unserved", "no token", "our bug"])
def test_what_was_not_asked_is_not_the_result_of_the_try(found: str) -> None:
    day = Day(first_pause_s=10)
    day.see(0, "quota", MANY[0])
    day.try_at(60, found, MANY[1])
    assert day.due_s() == 60 + TRY_LASTS_S


def test_a_host_that_fails_while_the_account_is_refused_is_not_refusing_that_model() -> None:
    day = Day()
    day.see(0, "quota", MANY[0])
    day.try_at(60, "no route", MANY[1])
    assert day.lasting().model_ids == MANY[:1]
    assert day.due_s() == 60 + 120


def test_failures_of_requests_that_were_under_way_do_not_lengthen_the_pause() -> None:
    day = Day()
    day.see(0, "410", *MANY)
    assert day.due_s() == 2 + 60


def test_a_clock_that_is_set_back_holds_nobody_back() -> None:
    day = Day()
    day.see(0, "quota", MANY[0])
    assert day.incidents.may_ask(PROVIDER, at(-3600))
    assert day.incidents.may_ask(PROVIDER, at(-7200))


@pytest.mark.parametrize("found", ["no route", "tls", "timeout"])
def test_when_nothing_can_be_reached_it_is_our_own_network(found: str) -> None:
    day = Day()
    day.see(0, "ok", *MANY)
    day.see(300, found, *MANY, reachable=False)
    reason = FOUND[found]["reason"]
    assert words(day.told) == [f"open client {reason}"]
    assert f"{reason} (our own network) on 21 of 21 models" in day.lasting().message
    assert words(day.see(400, "ok", MANY[0])) == [f"close client {reason}"]


@pytest.mark.parametrize("found", ["410", "504"])
def test_an_answer_over_http_is_never_our_own_network(found: str) -> None:
    day = Day()
    day.see(0, "ok", *MANY)
    day.see(300, found, *MANY, reachable=False)
    assert words(day.told) == [f"open host {FOUND[found]['reason']}"]


def test_what_most_of_the_models_heard_from_the_host_is_not_our_own_network() -> None:
    day = Day()
    day.see(0, "410", *MANY[:2])
    assert words(day.see(10, "no route", MANY[2], reachable=False)) == ["open host endpoint_gone"]


def test_the_network_changes_sides_once_and_the_pause_goes_on() -> None:
    day = Day()
    day.see(0, "no route", *MANY[:3])
    assert words(day.try_at(62, "no route", MANY[3], reachable=True)) == []
    assert words(day.try_at(182, "no route", MANY[3], reachable=False)) == ["close host network", "open client network"]
    assert day.told[-2].closed_at == day.told[-1].opened_at == at(182)
    assert day.told[-1].model_ids == MANY[:4]
    assert day.due_s() == 182 + 240
    assert day.see(190, "no route", MANY[3], reachable=True) == []
    assert day.lasting().scope is Scope.CLIENT


def test_our_own_network_may_turn_out_to_be_the_host() -> None:
    day = Day()
    day.see(0, "no route", *MANY[:3], reachable=False)
    assert words(day.see(62, "no route", MANY[3], reachable=True)) == ["close client network", "open host network"]


def test_a_gone_endpoint_stays_what_it_is_when_our_network_fails_as_well() -> None:
    day = Day()
    day.see(0, "410", *MANY[:3])
    assert day.see(62, "no route", MANY[0], reachable=False) == []


@pytest.mark.parametrize(
    ("found", "told"),
    [("410", ["open host endpoint_gone"]), ("quota", ["open account quota"]), ("502", [])],
)
def test_a_provider_with_one_model(found: str, told: list[str]) -> None:
    day = Day(["only/one"])
    day.see(0, "ok", "only/one")
    day.see(300, found, "only/one")
    assert words(day.told) == told


def test_two_providers_have_nothing_to_do_with_each_other() -> None:
    incidents = Incidents()
    incidents.plan({"one": ["a", "b", "c"], "two": ["d", "e", "f"]})
    for model_id in "ab":
        incidents.observe(probe(model_id, "410", provider="one"), NOON)
    assert incidents.observe(probe("d", "410", provider="two"), NOON) == []
    assert words(incidents.observe(probe("c", "410", provider="one"), NOON)) == ["open host endpoint_gone"]
    assert not incidents.may_ask("one", NOON)
    assert incidents.may_ask("two", NOON)
    assert incidents.of("two") is None
    assert incidents.next_try("two") is None
    incidents.observe(probe("d", "ok", provider="two"), NOON)
    assert [incident.provider for incident in incidents.open()] == ["one"]
    incidents.observe(probe("d", "quota", provider="two"), NOON)
    assert [incident.provider for incident in incidents.open()] == ["one", "two"]


def test_what_is_not_planned_is_passed_over_and_never_held_back() -> None:
    day = Day()
    assert day.see(0, "quota", "who/knows") == []
    assert day.incidents.observe(probe(MANY[0], "quota", provider="other"), NOON) == []
    assert day.incidents.may_ask("other", NOON)
    assert day.incidents.of("other") is None
    assert day.incidents.next_try("other") is None


def test_a_reload_keeps_what_is_known_of_the_models_that_stay() -> None:
    day = Day()
    day.see(0, "410", *MANY[:3])
    day.incidents.plan({PROVIDER: MANY[2:]})
    assert day.lasting().model_ids == (MANY[2],)
    assert day.lasting().message == "huggingface: endpoint_gone on 1 of 19 models since 12:00 UTC"
    day.incidents.plan({PROVIDER: MANY[3:]})
    assert day.incidents.of(PROVIDER) is None
    assert day.see(20, "410", *MANY[3:5]) == []
    day.incidents.plan({PROVIDER: MANY[4:]})
    assert day.see(30, "410", MANY[5]) == []
    assert words(day.see(40, "410", MANY[6])) == ["open host endpoint_gone"]


@pytest.mark.parametrize(
    ("before", "which", "after", "again"),
    [("ok", MANY[:3], "502", MANY[:3]), ("unserved", MANY[:20], "410", MANY[19:])],
    ids=["well", "not asked"],
)
def test_a_model_that_comes_back_by_a_reload_has_no_past(
    before: str, which: Sequence[str], after: str, again: Sequence[str]
) -> None:
    day = Day()
    day.see(0, before, *which)
    day.incidents.plan({PROVIDER: []})
    day.incidents.plan({PROVIDER: MANY})
    assert day.see(30, after, *again) == []


def test_the_incident_of_a_provider_that_left_is_forgotten() -> None:
    day = Day()
    day.see(0, "quota", MANY[0])
    day.incidents.plan({"other": MANY})
    assert day.incidents.open() == ()
    day.incidents.plan({PROVIDER: MANY})
    assert day.incidents.may_ask(PROVIDER, at(1))


def incident(reason: Reason, scope: Scope, **changes: Any) -> Incident:
    given = {"provider": PROVIDER, "opened_at": at(-7200), "model_ids": (*MANY[:4], "left/since")}
    return Incident(**{"scope": scope, "reason": reason, **given, **changes})


def test_after_a_restart_the_incident_goes_on_with_a_try() -> None:
    day = Day()
    day.incidents.restore([incident(Reason.ENDPOINT_GONE, Scope.HOST)])
    assert day.lasting().opened_at == at(-7200)
    assert day.lasting().model_ids == MANY[:4]
    assert day.try_at(0, "410", MANY[0]) == []
    assert not day.incidents.may_ask(PROVIDER, at(119))
    assert words(day.try_at(120, "ok", MANY[20])) == ["close host endpoint_gone"]


def test_after_a_restart_a_failure_of_most_still_ends_only_by_one_of_them() -> None:
    day = Day()
    day.incidents.restore([incident(Reason.SERVER_ERROR, Scope.HOST)])
    assert day.try_at(0, "ok", MANY[20]) == []
    assert words(day.try_at(1, "ok", MANY[0])) == ["close host server_error"]


@pytest.mark.parametrize(
    "changes",
    [{"closed_at": at(-3600)}, {"provider": "left"}, {"model_ids": ("left/since",)}],
    ids=["closed before", "provider left", "models left"],
)
def test_what_is_over_is_not_restored(changes: dict[str, Any]) -> None:
    day = Day()
    day.incidents.restore([incident(Reason.QUOTA, Scope.ACCOUNT, **changes)])
    assert day.incidents.open() == ()


def test_the_numbers_are_options() -> None:
    day = Day(least=2, share=0.1, window_s=5, first_pause_s=7, longest_pause_s=10)
    day.see(0, "ok", *MANY[:10])
    assert words(day.see(11, "502", *MANY[:2])) == ["open host gateway"]
    assert day.due_s() == 12 + 7
    day.try_at(19, "502", MANY[0])
    assert day.due_s() == 19 + 10


def test_the_table_of_what_is_found_holds_every_reason() -> None:
    of_success = {Reason.OK, Reason.SLOW}
    told_by_status = {Reason.DEPRECATED}
    assert {entry.get("reason", Reason.OK) for entry in FOUND.values()} >= set(Reason) - of_success - told_by_status
