"""Every answer that is met, by name, and what must be said of it: the table of the error messages as they are sent."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from exporter.classify import RULES, check_identity, judge, judge_listing
from exporter.models import Expectation, Fault, Listing, Model, Reason, Reply, Scope, Status, Timings
from exporter.providers.huggingface import read_listing
from exporter.tasks import TASKS, canary_for

POSITIVE = [[{"label": "POSITIVE", "score": 0.9998}, {"label": "NEGATIVE", "score": 0.0002}]]
HTML = "<html><body><h1>502 Bad Gateway</h1></body></html>"
CREDITS = (
    "You have depleted your monthly included credits. Purchase pre-paid credits to continue using Inference Providers. "
    "Alternatively, subscribe to PRO to get 20x more included usage."
)
RETIRED = (
    "https://api-inference.huggingface.co is no longer supported. Please use https://router.huggingface.co instead."
)
NO_SCOPE = (
    "This authentication method does not have sufficient permissions to call Inference Providers on behalf of user X"
)
TOO_LONG = (
    "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 1512. Given: 2 `inputs` tokens and 10000 "
    "`max_new_tokens`"
)
NO_FIELD = "Failed to deserialize the JSON body into the target type: missing field `inputs` at line 1 column 158"


@dataclass(frozen=True)
class Case:
    name: str
    http: int
    body: Any
    status: Status
    reason: Reason
    scope: Scope = Scope.MODEL
    headers: dict[str, str] = field(default_factory=dict)
    task: str = "sentiment-analysis"
    model: dict[str, Any] = field(default_factory=dict)
    took_s: float = 0.2
    fault: Fault | None = None


def fault(kind: Fault, status: Status, reason: Reason, scope: Scope) -> Case:
    return Case(f"fault {kind}", 0, "", status, reason, scope, fault=kind)


S, R, C = Status, Reason, Scope
CASES = [
    Case("a right answer", 200, POSITIVE, S.AVAILABLE, R.OK),
    Case("a flat right answer", 200, POSITIVE[0], S.AVAILABLE, R.OK),
    Case("the opposite label", 200, [[{"label": "NEGATIVE", "score": 1.0}]], S.DEGRADED, R.WRONG_ANSWER),
    Case("a bearish label", 200, [[{"label": "Bearish", "score": 1.0}]], S.DEGRADED, R.WRONG_ANSWER),
    Case("a label of unknown meaning", 200, [[{"label": "LABEL_0", "score": 1.0}]], S.AVAILABLE, R.OK),
    Case(
        "not the label that the configuration expects",
        200,
        POSITIVE,
        S.DEGRADED,
        R.WRONG_ANSWER,
        model={"expect": Expectation(labels=("neutral",))},
    ),
    Case(
        "less confident than the configuration expects",
        200,
        [[{"label": "POSITIVE", "score": 0.4}]],
        S.DEGRADED,
        R.WRONG_ANSWER,
        model={"expect": Expectation(labels=("positive",), min_confidence=0.5)},
    ),
    Case(
        "scores that sum to more than one",
        200,
        [[{"label": "a", "score": 0.9}, {"label": "b", "score": 0.8}]],
        S.DEGRADED,
        R.WRONG_ANSWER,
    ),
    Case(
        "slow, but from a cache",
        200,
        POSITIVE,
        S.AVAILABLE,
        R.OK,
        headers={"x-compute-type": "cache"},
        model={"latency_objective_s": 0.1},
    ),
    Case("slower than its objective", 200, POSITIVE, S.DEGRADED, R.SLOW, model={"latency_objective_s": 0.1}),
    Case("within its objective", 200, POSITIVE, S.AVAILABLE, R.OK, model={"latency_objective_s": 0.3}),
    Case("an empty list", 200, [], S.FAILED, R.BAD_OUTPUT),
    Case("an empty list in a list", 200, [[]], S.FAILED, R.BAD_OUTPUT),
    Case("an empty string", 200, '""', S.FAILED, R.BAD_OUTPUT),
    Case("an empty body", 200, "", S.FAILED, R.BAD_OUTPUT),
    Case("null", 200, "null", S.FAILED, R.BAD_OUTPUT),
    Case("HTML", 200, HTML, S.FAILED, R.BAD_OUTPUT),
    Case("truncated JSON", 200, '[[{"label": "POS', S.FAILED, R.BAD_OUTPUT),
    Case("NaN as a score", 200, '[[{"label": "POSITIVE", "score": NaN}]]', S.FAILED, R.BAD_OUTPUT),
    Case("an infinite score", 200, '[[{"label": "POSITIVE", "score": 1e999}]]', S.FAILED, R.BAD_OUTPUT),
    Case("a score above one", 200, [[{"label": "POSITIVE", "score": 1.7}]], S.FAILED, R.BAD_OUTPUT),
    Case("a score that is a text", 200, [[{"label": "POSITIVE", "score": "0.9"}]], S.FAILED, R.BAD_OUTPUT),
    Case("a score that is true", 200, [[{"label": "POSITIVE", "score": True}]], S.FAILED, R.BAD_OUTPUT),
    Case("a label twice", 200, [[{"label": "A", "score": 0.5}, {"label": "A", "score": 0.5}]], S.FAILED, R.BAD_OUTPUT),
    Case("an error under HTTP 200", 200, {"error": "boom"}, S.FAILED, R.BAD_OUTPUT),
    Case("nesting without end", 200, "[" * 100_000, S.FAILED, R.BAD_OUTPUT),
    Case("a deep value", 200, '[{"label":' + "[" * 900 + "]" * 900 + "}]", S.FAILED, R.BAD_OUTPUT),
    Case("no content", 204, "", S.FAILED, R.BAD_OUTPUT),
    Case(
        "a summary that is garbage",
        200,
        [{"summary_text": " gromf gromf vlutt vlutt Budget Budget Cerberus Cerberus Berkeley Berkeley"}],
        S.FAILED,
        R.BAD_OUTPUT,
        task="summarization",
    ),
    Case("an empty summary", 200, [{"summary_text": " "}], S.FAILED, R.BAD_OUTPUT, task="summarization"),
    Case(
        "a summary that repeats one word",
        200,
        [{"summary_text": "company " * 40}],
        S.FAILED,
        R.BAD_OUTPUT,
        task="summarization",
    ),
    Case(
        "a good summary",
        200,
        [{"summary_text": "Shares of the country's largest carmaker rose after sales of electric cars doubled."}],
        S.AVAILABLE,
        R.OK,
        task="summarization",
    ),
    Case(
        "a summary longer than its source",
        200,
        [{"summary_text": "Shares of the country's largest carmaker rose on Tuesday after sales doubled. " * 2}],
        S.DEGRADED,
        R.WRONG_ANSWER,
        task="summarization",
        model={"input": "Shares of the country's largest carmaker rose on Tuesday after sales doubled in the year."},
    ),
    Case("generated text", 200, [{"generated_text": " up by a third"}], S.AVAILABLE, R.OK, task="text-generation"),
    Case("generated nothing", 200, [{"generated_text": ""}], S.FAILED, R.BAD_OUTPUT, task="text-generation"),
    Case(
        "only the prompt came back",
        200,
        [{"generated_text": "The stock market is"}],
        S.FAILED,
        R.BAD_OUTPUT,
        task="text-generation",
    ),
    Case(
        "one token that is rightly empty",
        200,
        [{"generated_text": "", "details": {"finish_reason": "length", "generated_tokens": 1}}],
        S.AVAILABLE,
        R.OK,
        task="text-generation",
    ),
    Case(
        "an error within a stream",
        200,
        'data:{"error":"CUDA out of memory","error_type":"generation"}\n\n',
        S.FAILED,
        R.BAD_OUTPUT,
        task="text-generation",
        headers={"content-type": "text/event-stream"},
    ),
    Case(
        "zero-shot in columns",
        200,
        {"sequence": "x", "labels": ["economy", "sports"], "scores": [0.9, 0.1]},
        S.AVAILABLE,
        R.OK,
        task="zero-shot-classification",
    ),
    Case(
        "zero-shot in rows",
        200,
        [{"label": "sports", "score": 0.9}, {"label": "economy", "score": 0.1}],
        S.DEGRADED,
        R.WRONG_ANSWER,
        task="zero-shot-classification",
    ),
    Case(
        "zero-shot with labels that nobody asked for",
        200,
        [{"label": "cooking", "score": 0.9}],
        S.FAILED,
        R.BAD_OUTPUT,
        task="zero-shot-classification",
    ),
    Case("a redirect of the router", 307, "", S.UNKNOWN, R.ENDPOINT_GONE, C.HOST),
    Case(
        "400 not supported by the provider",
        400,
        {"error": "Model not supported by provider hf-inference"},
        S.NOT_SERVED,
        R.NOT_SERVED,
    ),
    Case(
        "400 the older words for it",
        400,
        {"error": "Model x/y inference is not supported HF inference api"},
        S.NOT_SERVED,
        R.NOT_SERVED,
    ),
    Case(
        "400 model_not_found",
        400,
        {
            "error": {
                "message": "The requested model 'X' does not exist.",
                "type": "invalid_request_error",
                "param": "model",
                "code": "model_not_found",
            }
        },
        S.NOT_FOUND,
        R.NOT_FOUND,
    ),
    Case(
        "400 model_not_supported",
        400,
        {
            "error": {
                "message": "The requested model 'X' is not supported by any provider you have enabled.",
                "code": "model_not_supported",
            }
        },
        S.NOT_SERVED,
        R.NOT_SERVED,
    ),
    Case(
        "400 no inputs key",
        400,
        {"error": "Body needs to provide a inputs key, received: b'{}'"},
        S.UNKNOWN,
        R.BAD_REQUEST,
        C.CLIENT,
    ),
    Case(
        "400 a list of errors",
        400,
        {"error": ["Error in `inputs.context`: field required"]},
        S.UNKNOWN,
        R.BAD_REQUEST,
        C.CLIENT,
    ),
    Case("400 with warnings", 400, {"error": "x", "warnings": ["y"]}, S.UNKNOWN, R.BAD_REQUEST, C.CLIENT),
    Case(
        "400 a string or a dict",
        400,
        {"error": "zero-shot expects `inputs` to be either a string or a dict containing the key text"},
        S.UNKNOWN,
        R.BAD_REQUEST,
        C.CLIENT,
    ),
    Case(
        "400 unused arguments",
        400,
        {"error": "The following `model_kwargs` are not used by the model: ['max_length']"},
        S.UNKNOWN,
        R.BAD_REQUEST,
        C.CLIENT,
    ),
    Case("400 any exception of the server", 400, {"error": "CUDA error: device"}, S.FAILED, R.MODEL_ERROR),
    Case("400 in plain text", 400, "bad request", S.UNKNOWN, R.BAD_REQUEST, C.CLIENT),
    Case(
        "401 a bad token", 401, {"error": "Invalid credentials in Authorization header"}, S.UNKNOWN, R.AUTH, C.ACCOUNT
    ),
    Case("401 no token", 401, {"error": "Invalid username or password."}, S.AUTH_REQUIRED, R.AUTH, C.ACCOUNT),
    Case(
        "401 of the hub for what is missing or private",
        401,
        {"error": "Invalid username or password."},
        S.NOT_FOUND,
        R.NOT_FOUND,
        headers={"x-error-code": "RepoNotFound"},
    ),
    Case(
        "401 of the hub for a gated repository",
        401,
        {"error": "Access to model x/y is restricted."},
        S.AUTH_REQUIRED,
        R.GATED,
        headers={"x-error-code": "GatedRepo"},
    ),
    Case("402", 402, {"error": CREDITS}, S.UNKNOWN, R.QUOTA, C.ACCOUNT),
    Case("403 without the scope", 403, {"error": NO_SCOPE}, S.UNKNOWN, R.AUTH_SCOPE, C.ACCOUNT),
    Case(
        "403 gated",
        403,
        {"error": "Access to model x/y is restricted and you are not in the authorized list."},
        S.AUTH_REQUIRED,
        R.GATED,
        headers={"x-error-code": "GatedRepo"},
    ),
    Case(
        "403 disabled",
        403,
        {"error": "no"},
        S.FAILED,
        R.DISABLED,
        headers={"x-error-message": "Access to this resource is disabled."},
    ),
    Case("403 of a gateway", 403, HTML, S.UNKNOWN, R.GATEWAY, C.HOST),
    Case("404 no such model", 404, {"error": "Model X does not exist"}, S.NOT_FOUND, R.NOT_FOUND),
    Case("404 of the proxy", 404, {"error": "Not Found: Model not found"}, S.NOT_FOUND, R.NOT_FOUND),
    Case("404 no such route", 404, "Not Found", S.UNKNOWN, R.ENDPOINT_GONE, C.HOST),
    Case("405", 405, "", S.UNKNOWN, R.ENDPOINT_GONE, C.HOST),
    Case("407 of a proxy of our own", 407, "", S.UNKNOWN, R.GATEWAY, C.HOST),
    Case("408", 408, "", S.FAILED, R.TIMEOUT),
    Case("410 the host is retired", 410, {"error": RETIRED}, S.UNKNOWN, R.ENDPOINT_GONE, C.HOST),
    Case(
        "410 the model is deprecated",
        410,
        {"error": "The requested model is deprecated and no longer supported by provider hf-inference"},
        S.NOT_SERVED,
        R.DEPRECATED,
    ),
    Case("413", 413, "", S.UNKNOWN, R.BAD_REQUEST, C.CLIENT),
    Case("422 validation", 422, {"error": TOO_LONG, "error_type": "validation"}, S.UNKNOWN, R.BAD_REQUEST, C.CLIENT),
    Case(
        "422 no chat template",
        422,
        {"error": "Template error: template not found", "error_type": "template_error"},
        S.UNKNOWN,
        R.BAD_REQUEST,
        C.CLIENT,
    ),
    Case("422 in plain text", 422, NO_FIELD, S.UNKNOWN, R.BAD_REQUEST, C.CLIENT),
    Case("424", 424, {"error": "x", "error_type": "generation"}, S.FAILED, R.MODEL_ERROR),
    Case(
        "429 the model is busy",
        429,
        {"error": "Model is overloaded", "error_type": "overloaded"},
        S.FAILED,
        R.OVERLOADED,
    ),
    Case(
        "429 the account is throttled",
        429,
        {"error": "Rate limit reached. Please log in or use a HF access token"},
        S.UNKNOWN,
        R.RATE_LIMITED,
        C.ACCOUNT,
    ),
    Case("451", 451, "", S.FAILED, R.DISABLED),
    Case("500", 500, {"error": "unknown error"}, S.FAILED, R.SERVER_ERROR),
    Case("500 in text", 500, "Internal Server Error", S.FAILED, R.SERVER_ERROR),
    Case("502 HTML", 502, HTML, S.FAILED, R.GATEWAY),
    Case("503 loading", 503, {"error": "Model X is currently loading", "estimated_time": 20.0}, S.LOADING, R.LOADING),
    Case(
        "503 overload",
        503,
        {"error": "Service temporarily unavailable, overload detected"},
        S.FAILED,
        R.OVERLOADED,
    ),
    Case("503 of a gateway", 503, "Service Temporarily Unavailable", S.FAILED, R.SERVER_ERROR),
    Case("504", 504, "", S.FAILED, R.TIMEOUT),
    Case("530 of Cloudflare", 530, HTML, S.UNKNOWN, R.GATEWAY, C.HOST),
    Case("a status outside of HTTP", 199, "", S.UNKNOWN, R.GATEWAY, C.HOST),
    fault(Fault.DNS, S.UNKNOWN, R.NETWORK, C.HOST),
    fault(Fault.REFUSED, S.UNKNOWN, R.NETWORK, C.HOST),
    fault(Fault.CONNECT, S.UNKNOWN, R.NETWORK, C.HOST),
    fault(Fault.CONNECT_TIMEOUT, S.UNKNOWN, R.TIMEOUT, C.HOST),
    fault(Fault.TLS, S.UNKNOWN, R.TLS, C.HOST),
    fault(Fault.TIMEOUT, S.FAILED, R.TIMEOUT, C.MODEL),
    fault(Fault.RESET, S.UNKNOWN, R.NETWORK, C.HOST),
    fault(Fault.PROTOCOL, S.UNKNOWN, R.GATEWAY, C.HOST),
    fault(Fault.TRUNCATED, S.FAILED, R.BAD_OUTPUT, C.MODEL),
    fault(Fault.TOO_LARGE, S.FAILED, R.BAD_OUTPUT, C.MODEL),
    fault(Fault.BUG, S.UNKNOWN, R.PROBE_BUG, C.CLIENT),
    fault(Fault.NO_TOKEN, S.AUTH_REQUIRED, R.AUTH, C.ACCOUNT),
    fault(Fault.BUDGET, S.UNKNOWN, R.BUDGET, C.ACCOUNT),
    fault(Fault.BACKOFF, S.UNKNOWN, R.BACKOFF, C.CLIENT),
]


def reply_of(case: Case) -> Reply:
    body = case.body if isinstance(case.body, str) else json.dumps(case.body)
    return Reply(
        http_status=None if case.fault else case.http,
        fault=case.fault,
        headers={"content-type": "application/json", **case.headers},
        body=body.encode(),
        timings=Timings(total_s=case.took_s),
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_verdict_is(case: Case) -> None:
    model = Model(model_id="x/y", task=case.task, category="general", **case.model)
    task = TASKS[case.task]

    verdict = judge(reply_of(case), task, canary_for(task, model), model)

    assert (verdict.status, verdict.reason, verdict.scope) == (case.status, case.reason, case.scope), verdict.message
    assert (verdict.message == "") == (verdict.reason is Reason.OK)
    assert len(verdict.message) <= 500
    assert verdict.message.isprintable()


def test_every_reason_and_every_fault_and_every_rule_is_reached() -> None:
    assert {case.reason for case in CASES} == set(Reason)
    assert {case.fault for case in CASES if case.fault} == set(Fault)
    assert {case.status for case in CASES} == set(Status)
    first_rules = set()
    for case in CASES:
        if case.fault is None and not 200 <= case.http < 300:
            kind = _rule_of(case)
            first_rules.add(kind)
    unreached = [rule for rule in RULES if rule not in first_rules]
    assert not unreached


def _rule_of(case: Case) -> Any:
    from exporter.classify import _read_error

    text = _read_error(reply_of(case)).text
    return next((rule for rule in RULES if rule.matches(case.http, text)), None)


@pytest.mark.parametrize("scope", [Scope.ACCOUNT, Scope.HOST, Scope.CLIENT])
def test_what_is_not_the_models_fault_never_counts_against_it(scope: Scope) -> None:
    for case in CASES:
        if case.scope is scope:
            model = Model(model_id="x/y", task=case.task, category="general")
            task = TASKS[case.task]
            assert not judge(reply_of(case), task, canary_for(task, model), model).counts


@pytest.mark.parametrize(
    ("estimate", "wait_s"),
    [(20.0, 20.0), (0.5, 0.5), (1809, 1809.0), (None, None), (-3, None), ("20", None), (True, None), (1e12, None)],
)
def test_the_estimated_time_is_taken_only_when_it_can_be_one(estimate: Any, wait_s: float | None) -> None:
    reply = Reply(
        http_status=503, body=json.dumps({"error": "Model X is currently loading", "estimated_time": estimate}).encode()
    )
    task = TASKS["sentiment-analysis"]
    model = Model(model_id="x", task=task.name, category="general")
    verdict = judge(reply, task, canary_for(task, model), model)
    assert verdict.status is Status.LOADING
    assert verdict.estimated_wait_s == wait_s


@pytest.mark.parametrize(
    "body",
    [
        "[" * 50_000,
        '{"error":' * 3_000 + "1" + "}" * 3_000,
        '{"error": {"message": {"message": {"message": {"message": {"message": "deep"}}}}}}',
        '{"error": 1' + "0" * 10_000 + "}",
        '{"error": "\\u001b[31m\\u0000 red"}',
        "\x00\xff",
        '{"errors": [{"message": "a"}, {"message": "b"}]}',
        '{"detail": [{"msg": "field required"}]}',
    ],
)
def test_no_error_body_breaks_the_judge(body: str) -> None:
    task = TASKS["sentiment-analysis"]
    model = Model(model_id="x", task=task.name, category="general")
    for http_status in (400, 401, 403, 404, 410, 422, 429, 500, 503, 600, 999):
        reply = Reply(http_status=http_status, body=body.encode("latin-1"))
        verdict = judge(reply, task, canary_for(task, model), model)
        assert verdict.reason is not Reason.OK
        assert verdict.message.isprintable()


def listed(document: Any, http_status: int = 200, **headers: str) -> Listing:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return read_listing(Reply(http_status=http_status, body=body, headers=headers), "x/y", "hf-inference")


LIVE = {"hf-inference": {"status": "live", "providerId": "x/y", "task": "text-classification"}}
LISTINGS = {
    "served": (listed({"id": "x/y", "inferenceProviderMapping": LIVE}), None),
    "served, as a list": (
        listed({"inferenceProviderMapping": [{"provider": "hf-inference", "status": "live"}]}),
        None,
    ),
    "the hub's own check failed": (listed({"inferenceProviderMapping": {"hf-inference": {"status": "error"}}}), None),
    "the hub does not say": (listed({"id": "x/y"}), None),
    "a mapping of another form": (listed({"inferenceProviderMapping": "all of them"}), None),
    "not JSON": (listed(b"<html>"), None),
    "a list": (listed([1]), None),
    "hub down": (listed(b"", 503), None),
    "hub throttles": (listed({"error": "too many"}, 429), None),
    "nobody serves it": (listed({"inferenceProviderMapping": {}}), (S.NOT_SERVED, R.NOT_SERVED, C.MODEL)),
    "another provider serves it": (
        listed({"inferenceProviderMapping": {"together": {"status": "live"}}}),
        (S.NOT_SERVED, R.NOT_SERVED, C.MODEL),
    ),
    "still staging": (
        listed({"inferenceProviderMapping": {"hf-inference": {"status": "staging"}}}),
        (S.NOT_SERVED, R.NOT_SERVED, C.MODEL),
    ),
    "disabled": (listed({"disabled": True, "inferenceProviderMapping": LIVE}), (S.FAILED, R.DISABLED, C.MODEL)),
    "missing": (listed({"error": "Repository not found"}, 404), (S.NOT_FOUND, R.NOT_FOUND, C.MODEL)),
    "missing or private": (
        listed({"error": "Invalid username or password."}, 401, **{"x-error-code": "RepoNotFound"}),
        (S.NOT_FOUND, R.NOT_FOUND, C.MODEL),
    ),
    "gated": (
        listed({"error": "restricted"}, 403, **{"x-error-code": "GatedRepo"}),
        (S.AUTH_REQUIRED, R.GATED, C.MODEL),
    ),
    "a bad token": (
        listed({"error": "Invalid credentials in Authorization header"}, 401),
        (S.UNKNOWN, R.AUTH, C.ACCOUNT),
    ),
}


@pytest.mark.parametrize(("listing", "expected"), LISTINGS.values(), ids=LISTINGS.keys())
def test_the_catalogue_says(listing: Listing, expected: tuple[Status, Reason, Scope] | None) -> None:
    verdict = judge_listing(listing, "hf-inference")
    assert (verdict and (verdict.status, verdict.reason, verdict.scope)) == expected


def test_a_message_names_who_serves_it_instead() -> None:
    verdict = judge_listing(listed({"inferenceProviderMapping": {"together": {"status": "live"}}}), "hf-inference")
    assert verdict is not None
    assert verdict.message == "hf-inference does not serve it; served by together (live)"


@pytest.mark.parametrize(
    ("by", "status", "message"),
    [
        (None, Status.AVAILABLE, ""),
        ("hf-inference", Status.AVAILABLE, ""),
        ("together", Status.DEGRADED, "answered by together, not by hf-inference"),
    ],
)
def test_an_answer_of_another_provider_is_wrong(by: str | None, status: Status, message: str) -> None:
    task, model = TASKS["sentiment-analysis"], Model(model_id="x", task="sentiment-analysis", category="general")
    headers = {} if by is None else {"x-inference-provider": by}
    reply = Reply(http_status=200, body=json.dumps(POSITIVE).encode(), headers=headers)
    verdict = check_identity(judge(reply, task, canary_for(task, model), model), reply, "hf-inference")
    assert (verdict.status, verdict.message) == (status, message)
    refused = Reply(http_status=500, headers=headers)
    assert (
        check_identity(judge(refused, task, task.canaries[0], model), refused, "hf-inference").reason is R.SERVER_ERROR
    )
