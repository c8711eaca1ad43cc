"""One cause behind many failures: what is one incident, what is none, who is asked meanwhile, and what ends it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from exporter.demo import DEMO_TOKEN, DEPLETED_TOKEN, NO_SCOPE_TOKEN, Kind, Scenario
from exporter.demo.errors import html_page, refusal
from exporter.models import EventKind, Reason, Scope, Status
from tests.situations.answers import EDGE, ENDPOINT, UNREACHED, UNSERVED, WELL
from tests.situations.kit import (
    Now,
    Situation,
    Step,
    credits_left,
    host,
    hub,
    passes,
    play,
    restart,
    rounds,
    route,
    say,
    scan,
    token,
)
from tests.situations.stage import EVERY

S, R, C, E = Status, Reason, Scope, EventKind
MANY: Final = tuple(f"owner/m{number:02}" for number in range(21))
FIVE: Final = MANY[:5]
WARM: Final = Scenario(kind=Kind.WARM)
CLOSED_PORT: Final = "http://127.0.0.1:1"
# The stand-in is hub and router in one; when it falls silent as the router, the hub's routes answer still.
HUB: Final = "http://127.0.0.1:{port}/api/models"
NO_NAME: Final = "http://router.invalid"
OPENED: Final = {E.INCIDENT_OPENED: 1}
OVER: Final = {E.INCIDENT_OPENED: 1, E.INCIDENT_CLOSED: 1}


def unknown(reason: Reason, scope: Scope) -> Now:
    """Return how a model reads that shares an incident."""
    return S.UNKNOWN, reason, scope


def held(scope: Scope) -> Now:
    """Return how a model reads that is not asked because of an incident."""
    return S.UNKNOWN, R.BACKOFF, scope


def failed(reason: Reason) -> Now:
    """Return how a model reads that failed by itself."""
    return S.FAILED, reason, C.MODEL


def _all(
    name: str, now: Mapping[str, Now] | Now, *steps: Step, models: tuple[str, ...] = FIVE, **more: Any
) -> Situation:
    plays = more.pop("plays", dict.fromkeys(models, WARM))
    return Situation(name=name, plays=plays, steps=steps, now=now if isinstance(now, Mapping) else {EVERY: now}, **more)


def _outage(name: str, reason: Reason, *steps: Step, scope: Scope = C.HOST, **more: Any) -> Situation:
    """Return a situation in which all models were well and then share one cause, found by a scan."""
    given = {"incidents": ((scope, reason),), "told": OPENED, "counted": {EVERY: (1, 0)}, **more}
    return _all(name, unknown(reason, scope), rounds(), *steps, scan, **given)


# By the schedule: three models fail and the cause is known, then one try after 60 s, 120 s, 240 s and so on.
TRIED: Final = {MANY[number]: ENDPOINT for number in (0, 1, 2, 7, 16, 12, 4, 9)}

SITUATIONS: Final = (
    _all(
        "the predecessor's day: 21 times HTTP 410",
        ENDPOINT,
        host("gone"),
        scan,
        models=MANY,
        incidents=((C.HOST, R.ENDPOINT_GONE),),
        told=OPENED,
        requests={EVERY: 1},
        counted={EVERY: (0, 0)},
    ),
    _all(
        "the predecessor's day, scan after scan",
        ENDPOINT,
        host("gone"),
        *(step for _ in range(6) for step in (scan, passes(300))),
        models=MANY,
        incidents=((C.HOST, R.ENDPOINT_GONE),),
        told=OPENED,
        counted={EVERY: (0, 0)},
    ),
    _all(
        "the predecessor's hour by the schedule: eight requests in place of 252",
        {EVERY: held(C.HOST), **TRIED},
        host("gone"),
        rounds(12),
        models=MANY,
        incidents=((C.HOST, R.ENDPOINT_GONE),),
        told=OPENED,
        requests={EVERY: 0, **dict.fromkeys(TRIED, 1)},
        hub_requests={EVERY: 12},
        counted={EVERY: (0, 0)},
    ),
    _all(
        "the host comes back, and all are well without anybody's help",
        WELL,
        rounds(),
        host("gone"),
        rounds(2),
        host(None),
        rounds(3),
        models=MANY,
        told=OVER,
        counted={EVERY: (3, 0), **dict.fromkeys(MANY[:4], (2, 0))},
    ),
    _outage("the whole host is gone", R.ENDPOINT_GONE, host("gone")),
    _outage("the whole host is down", R.SERVER_ERROR, host("down")),
    _outage(
        "the whole host resets connections",
        R.NETWORK,
        route(check=HUB),
        host("reset"),
        astray=True,
    ),
    _outage("the whole host says nothing", R.TIMEOUT, route(check=HUB), host("hang"), settings={"timeout": "1s"}),
    _outage("the whole host refuses to connect", R.NETWORK, route(inference=CLOSED_PORT), astray=True),
    _outage("the name of the host is gone", R.NETWORK, route(inference=NO_NAME), astray=True),
    _outage(
        "the host's certificate is no certificate", R.TLS, route(inference="https://127.0.0.1:{port}"), astray=True
    ),
    _outage("the content network cannot reach the host", R.GATEWAY, say(html_page(530, "Origin DNS error"))),
    _outage("a firewall stands before the host", R.GATEWAY, say(html_page(403, "Forbidden"))),
    _outage("every route is gone", R.ENDPOINT_GONE, say(refusal(410, "This API has been retired."))),
    _outage("all answer 502 at once", R.GATEWAY, play(Kind.BAD_GATEWAY)),
    _outage("all answer 500 at once", R.SERVER_ERROR, play(Kind.SERVER_ERROR)),
    _outage("all are overloaded at once", R.OVERLOADED, play(Kind.OVERLOADED)),
    _outage("all answer 504 at once", R.TIMEOUT, play(Kind.GATEWAY_TIMEOUT)),
    _outage("all answer garbage at once", R.BAD_OUTPUT, play(Kind.EMPTY_LIST)),
    _outage("none can load its model any more", R.MODEL_ERROR, play(Kind.MODEL_ERROR)),
    _outage("the account is throttled", R.RATE_LIMITED, host("throttled"), scope=C.ACCOUNT),
    _outage("the credits end", R.QUOTA, credits_left(0), scope=C.ACCOUNT),
    _outage("the token is revoked", R.AUTH, token("hf_wrong"), scope=C.ACCOUNT),
    _outage("the token loses its permission", R.AUTH_SCOPE, token(NO_SCOPE_TOKEN), scope=C.ACCOUNT),
    _outage("the account is depleted elsewhere", R.QUOTA, token(DEPLETED_TOKEN), scope=C.ACCOUNT),
    _outage(
        "our own network is down",
        R.NETWORK,
        route(inference=CLOSED_PORT, hub=CLOSED_PORT, check=CLOSED_PORT),
        scope=C.CLIENT,
        astray=True,
    ),
    _outage(
        "our own name service is down",
        R.NETWORK,
        route(inference=NO_NAME, hub="http://hub.invalid"),
        scope=C.CLIENT,
        astray=True,
    ),
    _all(
        "our own network comes back",
        WELL,
        rounds(),
        route(inference=CLOSED_PORT, hub=CLOSED_PORT, check=CLOSED_PORT),
        rounds(),
        route(),
        rounds(2),
        told=OVER,
        counted={EVERY: (3, 0)},
        astray=True,
    ),
    _all(
        "a token that was wrong from the start costs nothing",
        unknown(R.AUTH, C.ACCOUNT),
        rounds(3),
        models=MANY,
        token="hf_wrong",
        incidents=((C.ACCOUNT, R.AUTH),),
        told=OPENED,
        requests={EVERY: 0},
        counted={EVERY: (0, 0)},
    ),
    _all(
        "nobody set a token, and not every model is asked to find that out",
        {EVERY: held(C.ACCOUNT), **dict.fromkeys((MANY[0], MANY[2], MANY[5]), (S.AUTH_REQUIRED, R.AUTH, C.ACCOUNT))},
        rounds(),
        models=MANY[:6],
        token=None,
        incidents=((C.ACCOUNT, R.AUTH),),
        told=OPENED,
        requests={EVERY: 0, MANY[0]: 1, MANY[2]: 1, MANY[5]: 1},
        counted={EVERY: (0, 0)},
    ),
    _all(
        "a wrong token is replaced",
        WELL,
        rounds(2),
        token(DEMO_TOKEN),
        rounds(2),
        token="hf_wrong",
        told=OVER,
    ),
    _all(
        "a wrong token is replaced by one whose account is depleted",
        {EVERY: held(C.ACCOUNT), **dict.fromkeys((FIVE[0], FIVE[1], FIVE[3]), unknown(R.QUOTA, C.ACCOUNT))},
        rounds(),
        token(DEPLETED_TOKEN),
        rounds(),
        token="hf_wrong",
        incidents=((C.ACCOUNT, R.QUOTA),),
        told={E.INCIDENT_OPENED: 2, E.INCIDENT_CLOSED: 1},
    ),
    _all(
        "the account is to wait for ten minutes, and waits",
        {EVERY: held(C.ACCOUNT), FIVE[0]: unknown(R.RATE_LIMITED, C.ACCOUNT)},
        play(Scenario(kind=Kind.RATE_LIMITED, retry_after_s=600)),
        rounds(3),
        incidents=((C.ACCOUNT, R.RATE_LIMITED),),
        told=OPENED,
        requests={EVERY: 0, FIVE[0]: 2},
    ),
    _all(
        "the credits end in the middle of a round, and those who were asked before stay well",
        {EVERY: WELL, **dict.fromkeys(FIVE[2:4], unknown(R.QUOTA, C.ACCOUNT)), FIVE[4]: held(C.ACCOUNT)},
        credits_left(7),
        rounds(2),
        incidents=((C.ACCOUNT, R.QUOTA),),
        told=OPENED,
    ),
    _all(
        "15 of 21 turn 502, the others are well",
        {**dict.fromkeys(MANY[:15], unknown(R.GATEWAY, C.HOST)), **dict.fromkeys(MANY[15:], WELL)},
        rounds(),
        play(Kind.BAD_GATEWAY, *MANY[:15]),
        scan,
        models=MANY,
        incidents=((C.HOST, R.GATEWAY),),
        told=OPENED,
    ),
    _all(
        "an outage shows as 500, 502, 503 and 504 and is one incident",
        {
            EVERY: unknown(R.GATEWAY, C.HOST),
            **{MANY[n]: unknown(R.SERVER_ERROR, C.HOST) for n in (3, 4)},
            MANY[5]: unknown(R.OVERLOADED, C.HOST),
            MANY[6]: unknown(R.TIMEOUT, C.HOST),
        },
        rounds(),
        play(Kind.BAD_GATEWAY, *MANY[:3]),
        play(Kind.SERVER_ERROR, *MANY[3:5]),
        play(Kind.OVERLOADED, MANY[5]),
        play(Kind.GATEWAY_TIMEOUT, MANY[6]),
        scan,
        models=MANY[:7],
        incidents=((C.HOST, R.GATEWAY),),
        told=OPENED,
    ),
    _all(
        "an outage that changes its form goes on",
        unknown(R.SERVER_ERROR, C.HOST),
        rounds(),
        play(Kind.BAD_GATEWAY),
        scan,
        passes(300),
        play(Kind.SERVER_ERROR),
        scan,
        incidents=((C.HOST, R.GATEWAY),),
        told=OPENED,
        counted={EVERY: (1, 0)},
    ),
    _all(
        "an outage of most is over",
        WELL,
        rounds(),
        play(Kind.BAD_GATEWAY),
        rounds(2),
        play(Kind.WARM),
        rounds(3),
        told=OVER,
    ),
    _all(
        "2 of 21 fail, and that is their own doing",
        {EVERY: WELL, **dict.fromkeys(MANY[:2], failed(R.GATEWAY))},
        rounds(),
        play(Kind.BAD_GATEWAY, *MANY[:2]),
        scan,
        models=MANY,
        counted={EVERY: (2, 0), **dict.fromkeys(MANY[:2], (2, 1))},
    ),
    _all(
        "12 of 21 fail, and that is not yet most of them",
        {EVERY: WELL, **dict.fromkeys(MANY[:12], failed(R.GATEWAY))},
        rounds(),
        play(Kind.BAD_GATEWAY, *MANY[:12]),
        scan,
        models=MANY,
    ),
    _all(
        "one of many is told that the endpoint is gone",
        {EVERY: WELL, FIVE[0]: ENDPOINT},
        say(refusal(410, "This route has been retired."), to=FIVE[:1]),
        rounds(3),
    ),
    _all(
        "one of many is behind a broken edge",
        {EVERY: WELL, FIVE[0]: EDGE},
        say(html_page(530, "Origin DNS error"), to=FIVE[:1]),
        rounds(3),
    ),
    _all(
        "one of many is reset",
        {EVERY: WELL, FIVE[0]: UNREACHED},
        play(Kind.RESET, FIVE[0]),
        rounds(2),
        astray=True,
    ),
    _all(
        "one model flaps",
        {EVERY: WELL, FIVE[0]: failed(R.SERVER_ERROR)},
        *(
            step
            for _ in range(4)
            for step in (play(Kind.WARM, FIVE[0]), rounds(), play(Kind.SERVER_ERROR, FIVE[0]), rounds())
        ),
        seen={FIVE[0]: [(S.AVAILABLE, R.OK), (S.FAILED, R.SERVER_ERROR)] * 4},
        told={E.STATUS_CHANGED: 5 + 7},
    ),
    _all(
        "they fail one after the other over hours, and that is no outage",
        {**dict.fromkeys(FIVE, failed(R.BAD_OUTPUT))},
        rounds(),
        *(step for model_id in FIVE for step in (play(Kind.EMPTY_LIST, model_id), rounds(6))),
        entries={FIVE[n]: {"fallback": [*FIVE[n + 1 :], *FIVE[:n]]} for n in range(5)},
        fallbacks=dict.fromkeys(FIVE, None),
        # Each falls back, those that used it move on, and in the end nothing is left.
        told={E.FALLBACK_CHANGED: 15},
    ),
    _all(
        "they were failing all along",
        failed(R.SERVER_ERROR),
        rounds(),
        plays=dict.fromkeys(FIVE, Scenario(kind=Kind.SERVER_ERROR)),
    ),
    _all("all are cold", (S.LOADING, R.LOADING, C.MODEL), rounds(), play(Kind.LOADING), scan),
    _all(
        "all lose their provider: each has its own news",
        UNSERVED,
        rounds(),
        play(Kind.NOT_SERVED),
        scan,
        told={E.MAPPING_CHANGED: 5},
    ),
    _all(
        "all become gated",
        (S.AUTH_REQUIRED, R.GATED, C.MODEL),
        rounds(),
        play(Kind.GATED),
        scan,
        told={E.GATED_CHANGED: 5},
    ),
    _all(
        "who is not served has no part in the outage of the host",
        {EVERY: ENDPOINT, FIVE[0]: UNSERVED},
        play(Kind.NOT_SERVED, FIVE[0]),
        host("gone"),
        scan,
        incidents=((C.HOST, R.ENDPOINT_GONE),),
        told=OPENED,
        requests={EVERY: 1, FIVE[0]: 0},
    ),
    _all(
        "two of three are not served, and the host is gone",
        {EVERY: UNSERVED, FIVE[0]: ENDPOINT},
        play(Kind.NOT_SERVED, *FIVE[1:3]),
        rounds(),
        host("gone"),
        rounds(),
        models=FIVE[:3],
        incidents=((C.HOST, R.ENDPOINT_GONE),),
        fallbacks=dict.fromkeys(FIVE[1:3], None),
        told={E.INCIDENT_OPENED: 1, E.FALLBACK_CHANGED: 2},
    ),
    _all(
        "the hub is gone as well, and the host is what matters",
        ENDPOINT,
        host("gone"),
        hub("down"),
        scan,
        incidents=((C.HOST, R.ENDPOINT_GONE),),
        told=OPENED,
    ),
    _all(
        "a person's scan asks everybody even in an incident, and ends it",
        WELL,
        host("gone"),
        rounds(2),
        host(None),
        scan,
        told=OVER,
    ),
    _all(
        "an incident outlives a restart",
        {EVERY: held(C.HOST), **dict.fromkeys(FIVE[:4], ENDPOINT)},
        host("gone"),
        rounds(),
        restart,
        rounds(),
        incidents=((C.HOST, R.ENDPOINT_GONE),),
        told=OPENED,
    ),
    _all(
        "no model leaves its users for the host's sake",
        ENDPOINT,
        rounds(),
        host("gone"),
        scan,
        scan,
        scan,
        incidents=((C.HOST, R.ENDPOINT_GONE),),
        told=OPENED,
    ),
)
