"""One model, one probe: every answer that is met, and what it says of whom."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from exporter.demo import DEPLETED_TOKEN, NO_SCOPE_TOKEN, Kind, Scenario
from exporter.demo.errors import Refusal, html_page, refusal
from exporter.models import EventKind, Reason, Scope, Status
from tests.situations.kit import Situation, Step, bug_in, route, scan
from tests.situations.stage import Answer, ok, text

S, R, C = Status, Reason, Scope
SENTIMENT: Final = "text-classification"
SUMMARY, GENERATION, ZERO_SHOT = "summarization", "text-generation", "zero-shot-classification"
MODEL: Final = "a/b"

Told: TypeAlias = tuple[Status, Reason, Scope]
WELL: Final = (S.AVAILABLE, R.OK, C.MODEL)
BROKEN: Final = (S.FAILED, R.BAD_OUTPUT, C.MODEL)
WRONG: Final = (S.DEGRADED, R.WRONG_ANSWER, C.MODEL)
OURS: Final = (S.UNKNOWN, R.BAD_REQUEST, C.CLIENT)
GONE: Final = (S.NOT_FOUND, R.NOT_FOUND, C.MODEL)
UNSERVED: Final = (S.NOT_SERVED, R.NOT_SERVED, C.MODEL)
ENDPOINT: Final = (S.UNKNOWN, R.ENDPOINT_GONE, C.HOST)
EDGE: Final = (S.UNKNOWN, R.GATEWAY, C.HOST)
UNREACHED: Final = (S.UNKNOWN, R.NETWORK, C.HOST)

BODY_HTML: Final = "<!doctype html><title>Sign in</title>"


def generated(body: str) -> Refusal:
    """Return what a model that writes answers."""
    return ok([{"generated_text": body}])


# What is answered to the probe of a model of which task, and what the daemon must say. What the account or the host
# did is an incident as well: the provider's only model has it.
ANSWERS: Final[Mapping[str, tuple[str, Answer | Kind | Scenario, Told]]] = {
    # good answers
    "a good answer": (SENTIMENT, Kind.WARM, WELL),
    "a good answer in gzip": (SENTIMENT, Kind.GZIP, WELL),
    "a model that was unloaded and loads within the request": (SENTIMENT, Kind.IDLE_UNLOAD, WELL),
    "a flat ranking, as documented": (SENTIMENT, ok([{"label": "neutral", "score": 1.0}]), WELL),
    "a summary": (SUMMARY, Kind.WARM, WELL),
    "a continuation": (GENERATION, Kind.WARM, WELL),
    "a continuation as a bare object": (GENERATION, ok({"generated_text": " higher than last year"}), WELL),
    "zero-shot as pairs": (ZERO_SHOT, Kind.WARM, WELL),
    "zero-shot as an object": (ZERO_SHOT, Scenario(kind=Kind.WARM, task=ZERO_SHOT, zero_shot="object"), WELL),
    "a rate limit's headers on a good answer": (
        SENTIMENT,
        ok([{"label": "neutral", "score": 1.0}], retry_after="2", x_ratelimit_remaining="0"),
        WELL,
    ),
    # HTTP 200 with what nobody can use
    "200 with an empty list": (SENTIMENT, Kind.EMPTY_LIST, BROKEN),
    "200 with an empty list in a list": (SENTIMENT, Kind.NESTED_EMPTY_LIST, BROKEN),
    "200 with nothing": (SENTIMENT, text(200), BROKEN),
    "200 with an empty string": (SENTIMENT, ok(""), BROKEN),
    "200 with HTML": (SENTIMENT, Kind.WRONG_CONTENT_TYPE, BROKEN),
    "200 with half of the JSON": (SENTIMENT, Kind.INVALID_JSON, BROKEN),
    "200 with an error in JSON": (SENTIMENT, ok({"error": "CUDA out of memory"}), BROKEN),
    "200 with an error within a stream": (
        GENERATION,
        text(200, 'data:{"error":"Out of memory","error_type":"generation"}\n\n'),
        BROKEN,
    ),
    "200 that is cut off": (SENTIMENT, Kind.TRUNCATED_BODY, BROKEN),
    "200 that never ends": (SENTIMENT, Kind.ENDLESS_BODY, BROKEN),
    "200 that is not UTF-8": (SENTIMENT, Kind.INVALID_UTF8, BROKEN),
    "200 nested too deeply": (SENTIMENT, Kind.DEEP_NESTING, BROKEN),
    "200 with a score that is no number": (SENTIMENT, Kind.NAN_SCORES, BROKEN),
    "200 with a score above one": (SENTIMENT, Kind.SCORE_OUT_OF_RANGE, BROKEN),
    "200 with labels that were not asked for": (ZERO_SHOT, ok([{"label": "weather", "score": 1.0}]), BROKEN),
    "200 with an empty text": (GENERATION, Kind.EMPTY_TEXT, BROKEN),
    "200 with an empty summary": (SUMMARY, Kind.EMPTY_TEXT, BROKEN),
    "200 with a text that repeats itself": (GENERATION, generated(" the the" * 10), BROKEN),
    "200 with broken characters": (GENERATION, generated(" a \ufffd\ufffd day"), BROKEN),
    "200 with garbage for a summary": (SUMMARY, Kind.GARBAGE, BROKEN),
    "the recorded garbage of distilbart": (
        SUMMARY,
        ok(
            [
                {
                    "summary_text": " eloqu eloqu eloqutititireactreactreact participating participating Budget Budget"
                    " Budget Cerberus Cerberus"
                }
            ]
        ),
        BROKEN,
    ),
    "204, the host thought that we had left": (SENTIMENT, Kind.NO_CONTENT, BROKEN),
    # an answer that is usable and wrong
    "scores that do not add up": (SENTIMENT, Kind.UNNORMALISED_SCORES, WRONG),
    "the opposite topic": (ZERO_SHOT, Kind.FLIPPED, WRONG),
    "the opposite mood": (SENTIMENT, Kind.FLIPPED, WRONG),
    "a text in another script": (GENERATION, generated(" рынок вырос сегодня"), WRONG),
    # 3xx
    "a redirect to a page to sign in": (SENTIMENT, text(302, location="https://huggingface.co/login"), ENDPOINT),
    # 400
    "400, not supported": (SENTIMENT, Kind.UNSUPPORTED, UNSERVED),
    "400, not supported, in the older words": (
        SENTIMENT,
        refusal(400, "Model {model} inference is not supported HF inference api"),
        UNSERVED,
    ),
    "400, supported by no provider that is enabled": (
        GENERATION,
        refusal(
            400,
            {
                "message": "The requested model '{model}' is not supported by any provider you have enabled.",
                "type": "invalid_request_error",
                "code": "model_not_supported",
            },
        ),
        UNSERVED,
    ),
    "400, the model does not exist": (
        GENERATION,
        refusal(
            400,
            {
                "message": "The requested model '{model}' does not exist.",
                "type": "invalid_request_error",
                "param": "model",
                "code": "model_not_found",
            },
        ),
        GONE,
    ),
    "400, inputs are missing": (
        SENTIMENT,
        refusal(400, "Body needs to provide a inputs key, received: b'{}'"),
        OURS,
    ),
    "400, zero-shot expects another form": (
        ZERO_SHOT,
        refusal(400, "zero-shot-classification expects `inputs` to be either a string or a dict"),
        OURS,
    ),
    "400, a list of errors": (SENTIMENT, refusal(400, ["Error in `inputs.context`: field required"]), OURS),
    "400 with warnings": (SENTIMENT, refusal(400, "unknown error", warnings=["a parameter is unknown"]), OURS),
    "400, unknown arguments": (
        SUMMARY,
        refusal(400, "The following `model_kwargs` are not used by the model: ['min_len']"),
        OURS,
    ),
    "400 without JSON": (SENTIMENT, html_page(400, "Bad Request"), OURS),
    "400, any exception of the server": (SENTIMENT, Kind.MODEL_ERROR, (S.FAILED, R.MODEL_ERROR, C.MODEL)),
    # 401 to 403
    "401, a bad token": (
        SENTIMENT,
        refusal(401, "Invalid credentials in Authorization header"),
        (S.UNKNOWN, R.AUTH, C.ACCOUNT),
    ),
    "402, the credits are used up": (
        SENTIMENT,
        refusal(402, "You have depleted your monthly included credits."),
        (S.UNKNOWN, R.QUOTA, C.ACCOUNT),
    ),
    "402, in the older words": (
        SENTIMENT,
        refusal(402, "You have exceeded your monthly included credits for Inference Providers."),
        (S.UNKNOWN, R.QUOTA, C.ACCOUNT),
    ),
    "402 without a word": (SENTIMENT, text(402), (S.UNKNOWN, R.QUOTA, C.ACCOUNT)),
    "403, the token lacks a permission": (
        SENTIMENT,
        refusal(403, "This authentication method does not have sufficient permissions to call Inference Providers"),
        (S.UNKNOWN, R.AUTH_SCOPE, C.ACCOUNT),
    ),
    "403, gated": (SENTIMENT, Kind.GATED, (S.AUTH_REQUIRED, R.GATED, C.MODEL)),
    "403, disabled": (
        SENTIMENT,
        refusal(403, "Access to this resource is disabled."),
        (S.FAILED, R.DISABLED, C.MODEL),
    ),
    "403 of a firewall": (SENTIMENT, html_page(403, "Forbidden"), EDGE),
    # 404 to 451
    "404, the model does not exist": (SENTIMENT, refusal(404, "Model {model} does not exist"), GONE),
    "404 of the proxy": (SENTIMENT, refusal(404, "Not Found: Model not found"), GONE),
    "404 of a route that is not there": (SENTIMENT, text(404, "Not Found"), ENDPOINT),
    "405": (SENTIMENT, text(405, "Method Not Allowed"), ENDPOINT),
    "407 of a proxy of ours": (SENTIMENT, html_page(407, "Proxy Authentication Required"), EDGE),
    "408": (SENTIMENT, text(408, "Request Timeout"), (S.FAILED, R.TIMEOUT, C.MODEL)),
    "410 of the retired host": (
        SENTIMENT,
        refusal(410, "https://api-inference.huggingface.co is no longer supported. Please use https://router…"),
        ENDPOINT,
    ),
    "410 of a model": (SENTIMENT, Kind.DEPRECATED, (S.NOT_SERVED, R.DEPRECATED, C.MODEL)),
    "413": (SENTIMENT, text(413, "Payload Too Large"), OURS),
    "422, too long": (GENERATION, Kind.VALIDATION_ERROR, OURS),
    "422, no template": (GENERATION, Kind.TEMPLATE_ERROR, OURS),
    "422 in plain text": (
        GENERATION,
        text(422, "Failed to deserialize the JSON body into the target type: missing field `inputs` at line 1"),
        OURS,
    ),
    "424, the generation failed": (GENERATION, Kind.GENERATION_ERROR, (S.FAILED, R.MODEL_ERROR, C.MODEL)),
    "429, the model is overloaded": (GENERATION, Kind.TGI_OVERLOADED, (S.FAILED, R.OVERLOADED, C.MODEL)),
    "429, log in": (SENTIMENT, Kind.RATE_LIMITED, (S.UNKNOWN, R.RATE_LIMITED, C.ACCOUNT)),
    "429 with a time to wait": (
        SENTIMENT,
        Scenario(kind=Kind.RATE_LIMITED, retry_after_s=30),
        (S.UNKNOWN, R.RATE_LIMITED, C.ACCOUNT),
    ),
    "429 in plain text": (SENTIMENT, text(429, "Too Many Requests"), (S.UNKNOWN, R.RATE_LIMITED, C.ACCOUNT)),
    "451": (SENTIMENT, text(451, "Unavailable For Legal Reasons"), (S.FAILED, R.DISABLED, C.MODEL)),
    # 5xx
    "500": (SENTIMENT, Kind.SERVER_ERROR, (S.FAILED, R.SERVER_ERROR, C.MODEL)),
    "502 in HTML": (SENTIMENT, Kind.BAD_GATEWAY, (S.FAILED, R.GATEWAY, C.MODEL)),
    "502 without a word": (SENTIMENT, text(502), (S.FAILED, R.GATEWAY, C.MODEL)),
    "503, loading for ever": (SENTIMENT, Kind.LOADING, (S.LOADING, R.LOADING, C.MODEL)),
    "503, loading without an estimate": (
        SENTIMENT,
        refusal(503, "Model {model} is currently loading"),
        (S.LOADING, R.LOADING, C.MODEL),
    ),
    "503, overload detected": (SENTIMENT, Kind.OVERLOADED, (S.FAILED, R.OVERLOADED, C.MODEL)),
    "503 in plain text": (SENTIMENT, Kind.UNAVAILABLE, (S.FAILED, R.SERVER_ERROR, C.MODEL)),
    "504 in HTML": (SENTIMENT, Kind.GATEWAY_TIMEOUT, (S.FAILED, R.TIMEOUT, C.MODEL)),
    "530 of the content network": (SENTIMENT, html_page(530, "Origin DNS error"), EDGE),
    # no HTTP answer
    "no answer in time": (SENTIMENT, Kind.HANG, (S.FAILED, R.TIMEOUT, C.MODEL)),
    "an answer that is not HTTP": (SENTIMENT, b"SSH-2.0-OpenSSH_9.6\r\n\r\n", EDGE),
}


def _answer(name: str, task: str, answer: Answer | Kind | Scenario, told: Told) -> Situation:
    plays = (
        answer
        if isinstance(answer, Scenario)
        else Scenario(kind=answer, task=task)
        if isinstance(answer, Kind)
        else None
    )
    _, reason, scope = told
    shared = told[0] is S.UNKNOWN and scope in (C.ACCOUNT, C.HOST)
    return Situation(
        name=name,
        plays={MODEL: plays or Scenario(kind=Kind.WARM, task=task)},
        says={} if isinstance(answer, Kind | Scenario) else {MODEL: [answer]},
        settings={"timeout": "1s"} if answer is Kind.HANG else {},
        steps=[scan],
        now={MODEL: told},
        incidents=((scope, reason),) if shared else (),
        told={EventKind.INCIDENT_OPENED: 1} if shared else {},
        requests={MODEL: 2 if reason is R.LOADING else 1},
        counted={MODEL: _counts(told)},
    )


def _counts(told: Told) -> tuple[int, int]:
    status, _, scope = told
    if scope is not C.MODEL or status is S.NOT_SERVED:
        return 0, 0
    return 1, int(status not in (S.AVAILABLE, S.DEGRADED))


def _one(name: str, now: Told, *steps: Step, **more: Any) -> Situation:
    """Return a situation of one model in which nothing else is told than an incident, if it is one."""
    plays = more.pop("plays", {MODEL: Scenario(kind=Kind.WARM)})
    shared = now[0] is S.UNKNOWN and now[2] in (C.ACCOUNT, C.HOST)
    given = {
        "incidents": ((now[2], now[1]),) if shared else (),
        "told": {EventKind.INCIDENT_OPENED: 1} if shared else {},
        **more,
    }
    return Situation(name=name, plays=plays, steps=[*steps, scan], now={MODEL: now}, **given)


OTHERS: Final = (
    _one(
        "without a token the router asks for one",
        (S.AUTH_REQUIRED, R.AUTH, C.ACCOUNT),
        token=None,
        incidents=((C.ACCOUNT, R.AUTH),),
        told={EventKind.INCIDENT_OPENED: 1},
        requests={MODEL: 1},
    ),
    _one(
        "a model that needs a token is not asked without one",
        (S.AUTH_REQUIRED, R.AUTH, C.ACCOUNT),
        token=None,
        entries={MODEL: {"requires_auth": True}},
        requests={MODEL: 0},
    ),
    _one("a token that nobody knows", (S.UNKNOWN, R.AUTH, C.ACCOUNT), token="hf_wrong", requests={MODEL: 0}),
    _one("a token without the permission", (S.UNKNOWN, R.AUTH_SCOPE, C.ACCOUNT), token=NO_SCOPE_TOKEN),
    _one("an account without credits", (S.UNKNOWN, R.QUOTA, C.ACCOUNT), token=DEPLETED_TOKEN),
    _one(
        "private, and nobody is signed in",
        GONE,
        token=None,
        plays={MODEL: Scenario(kind=Kind.WARM, private=True)},
        requests={MODEL: 0},
    ),
    _one("private, and its owner asks", WELL, plays={MODEL: Scenario(kind=Kind.WARM, private=True)}),
    _one("nobody serves it", UNSERVED, plays={MODEL: Scenario(kind=Kind.NOT_SERVED)}, requests={MODEL: 0}),
    _one(
        "another provider serves it",
        UNSERVED,
        plays={MODEL: Scenario(kind=Kind.WARM, providers=(("together", "live"),))},
        requests={MODEL: 0},
    ),
    _one(
        "its provider is being set up",
        UNSERVED,
        plays={MODEL: Scenario(kind=Kind.WARM, providers=(("hf-inference", "staging"),))},
        requests={MODEL: 0},
    ),
    _one(
        "the hub's own check of it failed",
        WELL,
        plays={MODEL: Scenario(kind=Kind.WARM, providers=(("hf-inference", "error"),))},
    ),
    _one(
        "disabled, says the hub's document",
        (S.FAILED, R.DISABLED, C.MODEL),
        plays={MODEL: Scenario(kind=Kind.WARM, disabled=True)},
        requests={MODEL: 0},
    ),
    _one(
        "disabled, says the hub's refusal",
        (S.FAILED, R.DISABLED, C.MODEL),
        plays={MODEL: Scenario(kind=Kind.DISABLED)},
        requests={MODEL: 0},
    ),
    _one("the hub does not know it", GONE, plays={MODEL: Scenario(kind=Kind.MISSING)}, requests={MODEL: 0}),
    _one(
        "renamed on the hub",
        WELL,
        plays={
            MODEL: Scenario(kind=Kind.RENAMED, renamed_to="new/name"),
            "new/name": Scenario(kind=Kind.WARM),
        },
        entries={"new/name": None},
        requests={MODEL: 0, "new/name": 1},
    ),
    _one(
        "gated on the hub, and its terms are accepted",
        WELL,
        plays={MODEL: Scenario(kind=Kind.WARM, gated="auto")},
    ),
    _one("a connection that is reset", UNREACHED, plays={MODEL: Scenario(kind=Kind.RESET)}, astray=True),
    _one("a host that refuses to connect", UNREACHED, route(inference="http://127.0.0.1:1"), astray=True),
    _one("a host that has no address", UNREACHED, route(inference="http://router.invalid"), astray=True),
    _one(
        "a host that does not speak TLS",
        (S.UNKNOWN, R.TLS, C.HOST),
        route(inference="https://127.0.0.1:{port}"),
        astray=True,
    ),
    _one(
        "the router and the hub refuse to connect, so that there is a network",
        UNREACHED,
        route(inference="http://127.0.0.1:1", hub="http://127.0.0.1:1"),
        astray=True,
    ),
    _one(
        "nothing can be reached",
        (S.UNKNOWN, R.NETWORK, C.CLIENT),
        route(inference="http://router.invalid", hub="http://hub.invalid"),
        incidents=((C.CLIENT, R.NETWORK),),
        told={EventKind.INCIDENT_OPENED: 1},
        astray=True,
    ),
    _one(
        "a bug of ours", (S.UNKNOWN, R.PROBE_BUG, C.CLIENT), bug_in(MODEL), requests={MODEL: 0}, counted={MODEL: (0, 0)}
    ),
    _one(
        "slower than its objective",
        (S.DEGRADED, R.SLOW, C.MODEL),
        entries={MODEL: {"latency_objective": 0.0001}},
        latency={MODEL: True},
    ),
    _one(
        "an answer out of a cache is neither slow nor a latency",
        WELL,
        entries={MODEL: {"latency_objective": 0.0001}},
        says={MODEL: [ok([{"label": "neutral", "score": 1.0}], x_compute_type="cache")]},
        latency={MODEL: False},
    ),
    _one(
        "not the label that the configuration expects",
        WRONG,
        entries={MODEL: {"input": "All is well.", "expect": {"labels": ["joy"]}}},
    ),
    _one(
        "less sure than the configuration expects",
        WRONG,
        entries={MODEL: {"input": "All is well.", "expect": {"min_confidence": 0.999}}},
    ),
    _one(
        "labels whose meaning nobody knows are not judged",
        WELL,
        says={MODEL: [ok([[{"label": "LABEL_0", "score": 0.9}, {"label": "LABEL_1", "score": 0.1}]])]},
    ),
    _one(
        "independent scores need not add up",
        WELL,
        entries={MODEL: {"multi_label": True}},
        says={MODEL: [ok([[{"label": "neutral", "score": 0.9}, {"label": "joy", "score": 0.8}]])]},
    ),
    _one(
        "a summary that is longer than its source",
        WRONG,
        plays={MODEL: Scenario(kind=Kind.WARM, task=SUMMARY)},
        entries={MODEL: {"input": "The city council voted on Monday to rebuild the harbour."}},
        says={MODEL: [ok([{"summary_text": "The city council voted on Monday to rebuild the harbour of the city."}])]},
    ),
    _one(
        "only the prompt comes back",
        BROKEN,
        plays={MODEL: Scenario(kind=Kind.WARM, task=GENERATION)},
        entries={MODEL: {"input": "Once upon a time"}},
        says={MODEL: [generated("Once upon a time")]},
    ),
    _one(
        "a body larger than the cap",
        BROKEN,
        settings={"max_body": 1024},
        says={MODEL: [generated("x" * 2000)]},
    ),
    _one(
        "the OpenAI form of a continuation",
        WELL,
        plays={MODEL: Scenario(kind=Kind.WARM, task=GENERATION)},
        entries={MODEL: {"api": "completions"}},
    ),
)

SITUATIONS: Final = (*(_answer(name, *row) for name, row in ANSWERS.items()), *OTHERS)
