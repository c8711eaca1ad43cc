"""Which model to use now: when the first choice is left, for whom, when it is taken back, and when nobody moves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from exporter.demo import Kind, Scenario
from exporter.models import EventKind, Reason, Scope, Status
from tests.situations.answers import GENERATION, SENTIMENT, SUMMARY, UNSERVED, WELL, WRONG
from tests.situations.kit import Now, Situation, Step, credits_left, host, passes, play, restart, rounds, scan
from tests.situations.stage import EVERY

S, R, C, E = Status, Reason, Scope, EventKind
WARM: Final = Scenario(kind=Kind.WARM)
FIRST, SECOND, THIRD = "a/first", "a/second", "a/third"
CHAIN: Final = {FIRST: {"fallback": [SECOND, THIRD]}}
DOWN: Final = (S.FAILED, R.SERVER_ERROR, C.MODEL)
MOVED: Final = {E.FALLBACK_CHANGED: 1}


def _chain(name: str, now: Mapping[str, Now], *steps: Step, **more: Any) -> Situation:
    """Return a situation of three models; the first has the other two for its fallback, in this order."""
    return Situation(
        name=name,
        plays=dict.fromkeys((FIRST, SECOND, THIRD), WARM),
        steps=[rounds(), *steps],
        now={EVERY: WELL, **now},
        **{"entries": CHAIN, **more},
    )


def _derived(name: str, plays: Mapping[str, tuple[str, str]], chosen: str | None, **more: Any) -> Situation:
    """Return a situation in which the first model (task and category by id) fails, and has no chain of its own."""
    first = next(iter(plays))
    return Situation(
        name=name,
        plays={model_id: Scenario(kind=Kind.WARM, task=task) for model_id, (task, _) in plays.items()},
        entries={model_id: {"category": category} for model_id, (_, category) in plays.items()},
        steps=[rounds(), play(Kind.SERVER_ERROR, first), rounds(2)],
        now={EVERY: WELL, first: DOWN},
        fallbacks={first: chosen},
        told=MOVED,
        **more,
    )


DOWN_TWICE: Final = (play(Kind.SERVER_ERROR, FIRST), rounds(2))

SITUATIONS: Final = (
    _chain("one failure moves nobody", {FIRST: DOWN}, play(Kind.SERVER_ERROR, FIRST), rounds()),
    _chain("two failures move to the next", {FIRST: DOWN}, *DOWN_TWICE, fallbacks={FIRST: SECOND}, told=MOVED),
    _chain(
        "the next is down as well",
        {FIRST: DOWN, SECOND: DOWN},
        play(Kind.SERVER_ERROR, FIRST, SECOND),
        rounds(2),
        # Nobody configured a chain for the second: the third is of its task.
        fallbacks={FIRST: THIRD, SECOND: THIRD},
        # The second failed once when the first is left: it is not tried in between.
        told={E.FALLBACK_CHANGED: 2},
    ),
    _chain(
        "nothing works",
        {EVERY: (S.FAILED, R.BAD_OUTPUT, C.MODEL)},
        *(step for model_id in (THIRD, SECOND, FIRST) for step in (play(Kind.EMPTY_LIST, model_id), rounds(4))),
        entries={FIRST: {"fallback": [SECOND]}, SECOND: {"fallback": [THIRD]}, THIRD: {"fallback": [SECOND]}},
        fallbacks={FIRST: None, SECOND: None, THIRD: None},
        told={E.FALLBACK_CHANGED: 4},
    ),
    _chain(
        "the first is well again, but not for long enough",
        {},
        *DOWN_TWICE,
        play(Kind.WARM, FIRST),
        rounds(),
        passes(500),
        fallbacks={FIRST: SECOND},
        told=MOVED,
    ),
    _chain(
        "the first has been well for a quarter of an hour",
        {},
        *DOWN_TWICE,
        play(Kind.WARM, FIRST),
        rounds(),
        passes(600),
        told={E.FALLBACK_CHANGED: 2},
    ),
    _chain(
        "the first heals probe by probe",
        {},
        *DOWN_TWICE,
        play(Kind.WARM, FIRST),
        rounds(4),
        told={E.FALLBACK_CHANGED: 2},
    ),
    _chain(
        "a first choice that flaps does not flap its users",
        {FIRST: DOWN},
        *DOWN_TWICE,
        *(step for _ in range(4) for step in (play(Kind.WARM, FIRST), rounds(2), *DOWN_TWICE)),
        fallbacks={FIRST: SECOND},
        told=MOVED,
    ),
    _chain(
        "a flap of single failures moves nobody",
        {FIRST: DOWN},
        *(
            step
            for _ in range(4)
            for step in (play(Kind.WARM, FIRST), rounds(), play(Kind.SERVER_ERROR, FIRST), rounds())
        ),
    ),
    _chain(
        "the fallback stays in use while it works, though another recovers",
        {FIRST: DOWN},
        play(Kind.SERVER_ERROR, FIRST, SECOND),
        rounds(2),
        play(Kind.WARM, SECOND),
        rounds(5),
        fallbacks={FIRST: THIRD},
        # The first to the third; the second to the third and back.
        told={E.FALLBACK_CHANGED: 3},
    ),
    _chain(
        "an answer that is wrong is still an answer",
        {FIRST: WRONG},
        play(Kind.UNNORMALISED_SCORES, FIRST),
        rounds(4),
    ),
    _chain(
        "a fallback that only answers wrong is passed over for one that is well",
        {FIRST: DOWN, SECOND: WRONG},
        play(Kind.UNNORMALISED_SCORES, SECOND),
        rounds(),
        *DOWN_TWICE,
        fallbacks={FIRST: THIRD},
        told=MOVED,
    ),
    _chain(
        "who is served no more is replaced",
        {FIRST: UNSERVED},
        play(Kind.NOT_SERVED, FIRST),
        rounds(2),
        fallbacks={FIRST: SECOND},
        told={E.FALLBACK_CHANGED: 1, E.MAPPING_CHANGED: 1},
    ),
    _chain(
        "who is cold for long is replaced",
        {FIRST: (S.LOADING, R.LOADING, C.MODEL)},
        play(Kind.LOADING, FIRST),
        rounds(2),
        fallbacks={FIRST: SECOND},
        told=MOVED,
    ),
    _chain(
        "who becomes gated is replaced",
        {FIRST: (S.AUTH_REQUIRED, R.GATED, C.MODEL)},
        play(Kind.GATED, FIRST),
        scan,
        scan,
        fallbacks={FIRST: SECOND},
        told={E.FALLBACK_CHANGED: 1, E.GATED_CHANGED: 1},
    ),
    _chain(
        "the account's failure walks no chain",
        {EVERY: (S.UNKNOWN, R.QUOTA, C.ACCOUNT)},
        credits_left(0),
        *[scan] * 4,
        incidents=((C.ACCOUNT, R.QUOTA),),
        told={E.INCIDENT_OPENED: 1},
    ),
    _chain(
        "the host's failure walks no chain, and who had left comes back to it later",
        {EVERY: (S.UNKNOWN, R.ENDPOINT_GONE, C.HOST)},
        *DOWN_TWICE,
        host("gone"),
        *[scan] * 3,
        fallbacks={FIRST: SECOND},
        incidents=((C.HOST, R.ENDPOINT_GONE),),
        told={E.FALLBACK_CHANGED: 1, E.INCIDENT_OPENED: 1},
    ),
    _chain(
        "a choice outlives a restart",
        {FIRST: DOWN},
        *DOWN_TWICE,
        restart,
        rounds(),
        fallbacks={FIRST: SECOND},
        told=MOVED,
    ),
    _chain(
        "a choice that outlived a restart heals",
        {},
        *DOWN_TWICE,
        restart,
        play(Kind.WARM, FIRST),
        rounds(4),
        told={E.FALLBACK_CHANGED: 2},
    ),
    _derived(
        "without a chain: the same task and the same category come first",
        {
            FIRST: (SENTIMENT, "crypto"),
            SECOND: (SENTIMENT, "finance"),
            THIRD: (SENTIMENT, "crypto"),
            "a/text": (GENERATION, "crypto"),
        },
        THIRD,
    ),
    _derived(
        "without a chain: the same task in another category",
        {FIRST: (SENTIMENT, "crypto"), SECOND: (SENTIMENT, "finance"), "a/text": (GENERATION, "crypto")},
        SECOND,
    ),
    _derived(
        "without a chain: nobody else does this task",
        {FIRST: (SENTIMENT, "crypto"), "a/text": (GENERATION, "crypto"), "a/short": (SUMMARY, "crypto")},
        None,
    ),
)
