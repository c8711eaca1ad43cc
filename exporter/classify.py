"""Turn a Reply into a Verdict. Pure: no clock, no network, no configuration.

The tables follow the error messages that Hugging Face and the servers behind it send today; `docs/statuses.md` tells
the same to people. The scope says whose fault it is: only `model` counts against the model.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

from exporter.models import (
    Check,
    CheckName,
    Fault,
    Listing,
    Model,
    Reason,
    Reply,
    Scope,
    Status,
    Verdict,
)
from exporter.tasks import BadOutputError, Canary, Task, decode

MESSAGE_CHARS: Final = 500

FAULTS: Final[Mapping[Fault, tuple[Status, Reason, Scope]]] = {
    Fault.DNS: (Status.UNKNOWN, Reason.NETWORK, Scope.HOST),
    Fault.REFUSED: (Status.UNKNOWN, Reason.NETWORK, Scope.HOST),
    Fault.CONNECT: (Status.UNKNOWN, Reason.NETWORK, Scope.HOST),
    Fault.CONNECT_TIMEOUT: (Status.UNKNOWN, Reason.TIMEOUT, Scope.HOST),
    Fault.TLS: (Status.UNKNOWN, Reason.TLS, Scope.HOST),
    # The host took the request and then this model gave no answer: that is what its users see too.
    Fault.TIMEOUT: (Status.FAILED, Reason.TIMEOUT, Scope.MODEL),
    Fault.RESET: (Status.UNKNOWN, Reason.NETWORK, Scope.HOST),
    Fault.PROTOCOL: (Status.UNKNOWN, Reason.GATEWAY, Scope.HOST),
    Fault.TRUNCATED: (Status.FAILED, Reason.BAD_OUTPUT, Scope.MODEL),
    Fault.TOO_LARGE: (Status.FAILED, Reason.BAD_OUTPUT, Scope.MODEL),
    Fault.BUG: (Status.UNKNOWN, Reason.PROBE_BUG, Scope.CLIENT),
    Fault.NO_TOKEN: (Status.AUTH_REQUIRED, Reason.AUTH, Scope.ACCOUNT),
    Fault.BUDGET: (Status.UNKNOWN, Reason.BUDGET, Scope.ACCOUNT),
    Fault.BACKOFF: (Status.UNKNOWN, Reason.BACKOFF, Scope.CLIENT),
}


@dataclass(frozen=True, slots=True)
class Rule:
    """An answer with one of `http` whose error text matches `says` means status, reason and scope."""

    http: range
    says: str
    status: Status
    reason: Reason
    scope: Scope

    def matches(self, http_status: int, text: str) -> bool:
        """Say whether the rule speaks of this answer."""
        return http_status in self.http and re.search(self.says, text, re.IGNORECASE) is not None


def _on(first: int, last: int | None = None) -> range:
    return range(first, (last or first) + 1)


# Matched in order against `kind=… code=… : message`, where kind is json, list, html, text or empty. The first one wins.
RULES: Final = (
    Rule(_on(300, 399), "", Status.UNKNOWN, Reason.ENDPOINT_GONE, Scope.HOST),
    Rule(
        _on(400),
        "model_not_supported|not supported by provider|inference is not supported|not supported by any provider",
        Status.NOT_SERVED,
        Reason.NOT_SERVED,
        Scope.MODEL,
    ),
    Rule(_on(400), "model_not_found|model .* does not exist", Status.NOT_FOUND, Reason.NOT_FOUND, Scope.MODEL),
    Rule(
        _on(400),
        r"kind=list|with_warnings|needs to provide|expects `inputs`|zero-?shot.*expects|field required"
        r"|candidate_labels|model_kwargs",
        Status.UNKNOWN,
        Reason.BAD_REQUEST,
        Scope.CLIENT,
    ),
    # Every exception on the server becomes a 400, so a constant, known-good request that is refused is a broken model.
    Rule(_on(400), "kind=json", Status.FAILED, Reason.MODEL_ERROR, Scope.MODEL),
    Rule(_on(400), "", Status.UNKNOWN, Reason.BAD_REQUEST, Scope.CLIENT),
    # Asked without a token the hub answers 401 for what is missing and for what is private: the same to its user.
    Rule(_on(401), "RepoNotFound", Status.NOT_FOUND, Reason.NOT_FOUND, Scope.MODEL),
    Rule(_on(401), "GatedRepo", Status.AUTH_REQUIRED, Reason.GATED, Scope.MODEL),
    Rule(_on(401), "invalid username or password", Status.AUTH_REQUIRED, Reason.AUTH, Scope.ACCOUNT),
    Rule(_on(401), "", Status.UNKNOWN, Reason.AUTH, Scope.ACCOUNT),
    Rule(_on(402), "", Status.UNKNOWN, Reason.QUOTA, Scope.ACCOUNT),
    Rule(_on(403), "disabled", Status.FAILED, Reason.DISABLED, Scope.MODEL),
    Rule(
        _on(403),
        "GatedRepo|gated|access to (this )?model .*restricted|authorized list",
        Status.AUTH_REQUIRED,
        Reason.GATED,
        Scope.MODEL,
    ),
    Rule(_on(403), "kind=(html|empty)", Status.UNKNOWN, Reason.GATEWAY, Scope.HOST),
    Rule(_on(403), "", Status.UNKNOWN, Reason.AUTH_SCOPE, Scope.ACCOUNT),
    Rule(_on(404), "kind=(json|list)|RepoNotFound", Status.NOT_FOUND, Reason.NOT_FOUND, Scope.MODEL),
    # A bare `Not Found` is the router's word for a route that it does not have.
    Rule(_on(404), "", Status.UNKNOWN, Reason.ENDPOINT_GONE, Scope.HOST),
    Rule(_on(405), "", Status.UNKNOWN, Reason.ENDPOINT_GONE, Scope.HOST),
    Rule(_on(407), "", Status.UNKNOWN, Reason.GATEWAY, Scope.HOST),
    Rule(_on(408), "", Status.FAILED, Reason.TIMEOUT, Scope.MODEL),
    Rule(
        _on(410),
        "model .*(deprecated|no longer supported by provider)",
        Status.NOT_SERVED,
        Reason.DEPRECATED,
        Scope.MODEL,
    ),
    Rule(_on(410), "", Status.UNKNOWN, Reason.ENDPOINT_GONE, Scope.HOST),
    Rule(_on(424), "", Status.FAILED, Reason.MODEL_ERROR, Scope.MODEL),
    Rule(_on(429), "overloaded", Status.FAILED, Reason.OVERLOADED, Scope.MODEL),
    Rule(_on(429), "", Status.UNKNOWN, Reason.RATE_LIMITED, Scope.ACCOUNT),
    Rule(_on(451), "", Status.FAILED, Reason.DISABLED, Scope.MODEL),
    Rule(_on(400, 499), "", Status.UNKNOWN, Reason.BAD_REQUEST, Scope.CLIENT),
    Rule(_on(502), "", Status.FAILED, Reason.GATEWAY, Scope.MODEL),
    Rule(_on(503), "estimated_time|loading", Status.LOADING, Reason.LOADING, Scope.MODEL),
    Rule(_on(503), "overload", Status.FAILED, Reason.OVERLOADED, Scope.MODEL),
    Rule(_on(504), "", Status.FAILED, Reason.TIMEOUT, Scope.MODEL),
    Rule(_on(520, 530), "", Status.UNKNOWN, Reason.GATEWAY, Scope.HOST),
    Rule(_on(500, 599), "", Status.FAILED, Reason.SERVER_ERROR, Scope.MODEL),
)


def judge(reply: Reply, task: Task, canary: Canary, model: Model) -> Verdict:
    """Judge the answer to an inference request."""
    refused = judge_refusal(reply)
    if refused is not None:
        return refused
    try:
        answer = task.read(decode(reply.body, reply.headers.get("content-type", "")), canary)
    except BadOutputError as error:
        unreadable = Check(name=CheckName.READABLE, passed=False, message=_clean(str(error)), fatal=True)
        return Verdict(status=Status.FAILED, reason=Reason.BAD_OUTPUT, message=unreadable.message, checks=(unreadable,))
    held, correct = task.check(answer, canary, model)
    checks = (Check(name=CheckName.READABLE, passed=True), *held)
    status, reason, message = _worst(checks, reply, model)
    return Verdict(
        status=status,
        reason=reason,
        message=_clean(message),
        answer=answer,
        checks=checks,
        correct=correct,
    )


def explain_mismatch(verdict: Verdict, listing: Listing, task: Task) -> Verdict:
    """Read a failure of a model that is served for another task as our own: it was asked for what it cannot do.

    One that answers well all the same is left as it is: the catalogue's word is coarse.
    """
    ours = verdict.status is Status.FAILED and verdict.reason in (Reason.MODEL_ERROR, Reason.BAD_OUTPUT)
    if not ours or listing.task in (None, task.hub_tag):
        return verdict
    message = f"configured for {task.name}, but served for {listing.task}: {verdict.message}"
    return replace(
        verdict, status=Status.UNKNOWN, reason=Reason.BAD_REQUEST, scope=Scope.CLIENT, message=_clean(message)
    )


def check_identity(verdict: Verdict, reply: Reply, provider: str) -> Verdict:
    """Read a good answer that another provider gave as wrong: it tells nothing of the one that was asked."""
    by = reply.headers.get("x-inference-provider", provider)
    if not verdict.success or by == provider:
        return verdict
    return replace(
        verdict,
        status=Status.DEGRADED,
        reason=Reason.WRONG_ANSWER,
        message=_clean(f"answered by {by}, not by {provider}"),
    )


def retry_after_s(reply: Reply, now: datetime) -> float | None:
    """Return the seconds for which the host asks to be left alone, as it says in seconds or as a date (RFC 9110)."""
    text = reply.headers.get("retry-after", "")
    if re.fullmatch(r"[0-9]{1,9}", text):
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return (moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds()


def is_cached(reply: Reply) -> bool:
    """Say whether the host answered from its cache: such an answer tells nothing of the model's speed."""
    return reply.headers.get("x-compute-type", "").casefold() == "cache"


def _worst(checks: Sequence[Check], reply: Reply, model: Model) -> tuple[Status, Reason, str]:
    """Return what the failed checks come to: garbage before wrong, wrong before slow."""
    failed = sorted((check for check in checks if not check.passed), key=lambda check: not check.fatal)
    if failed:
        first = failed[0]
        if first.fatal:
            return Status.FAILED, Reason.BAD_OUTPUT, first.message
        return Status.DEGRADED, Reason.WRONG_ANSWER, first.message
    objective_s, took_s = model.latency_objective_s, reply.timings.total_s
    if objective_s is not None and took_s > objective_s and not is_cached(reply):
        return Status.DEGRADED, Reason.SLOW, f"answered in {took_s:.3f} s, the objective is {objective_s:g} s"
    return Status.AVAILABLE, Reason.OK, ""


def judge_refusal(reply: Reply) -> Verdict | None:
    """Judge what is not an answer: a fault or an HTTP status other than 2xx. None when there is an answer to read."""
    if reply.fault is not None:
        status, reason, scope = FAULTS[reply.fault]
        return Verdict(status=status, reason=reason, scope=scope, message=_clean(reply.error or reply.fault))
    http_status = reply.http_status or 0
    if 200 <= http_status < 300:
        return None
    error = _read_error(reply)
    for rule in RULES:
        if rule.matches(http_status, error.text):
            return Verdict(
                status=rule.status,
                reason=rule.reason,
                scope=rule.scope,
                message=_clean(f"HTTP {http_status}: {error.message}" if error.message else f"HTTP {http_status}"),
                estimated_wait_s=error.estimated_time_s if rule.reason is Reason.LOADING else None,
            )
    return Verdict(
        status=Status.UNKNOWN, reason=Reason.GATEWAY, scope=Scope.HOST, message=f"HTTP {http_status} is no answer"
    )


def judge_listing(listing: Listing, provider: str) -> Verdict | None:
    """Judge what the free catalogue says. None when only a real request can tell."""
    if listing.disabled:
        return Verdict(status=Status.FAILED, reason=Reason.DISABLED, message="disabled on the hub")
    if listing.served is False:
        elsewhere = ", ".join(f"{name} ({state})" for name, state in (listing.served_by or {}).items())
        message = f"{provider} does not serve it; " + (f"served by {elsewhere}" if elsewhere else "nobody does")
        return Verdict(status=Status.NOT_SERVED, reason=Reason.NOT_SERVED, message=_clean(message))
    refused = judge_refusal(listing.reply)
    if refused is not None and refused.reason in _FINAL_IN_CATALOGUE:
        return refused
    return None


# What the catalogue may say for good. Its own overload, time-out or outage says nothing of the model.
_FINAL_IN_CATALOGUE: Final = frozenset({Reason.NOT_FOUND, Reason.GATED, Reason.DISABLED, Reason.AUTH})


@dataclass(frozen=True, slots=True)
class _Error:
    message: str
    text: str
    estimated_time_s: float | None = None


def _read_error(reply: Reply) -> _Error:
    """Read every shape of error that is met: JSON with its text under many keys, plain text, HTML, nothing."""
    header = f"{reply.headers.get('x-error-code', '')} {reply.headers.get('x-error-message', '')}".strip()
    body = reply.body.decode("utf-8", errors="replace").strip()
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        kind = "empty" if not body else "html" if body.startswith("<") else "text"
        message = header if kind == "html" else " ".join(filter(None, (body, header)))
        return _Error(message=message or kind.upper(), text=f"kind={kind} code={header}: {body}")
    kind, code, message, estimated = "json", "", body, None
    if isinstance(data, Mapping):
        if isinstance(data.get("error"), list):
            kind = "list"
        code = "with_warnings" if data.get("warnings") else str(data.get("error_type") or "")
        message = _message(data) or body
        inner = data.get("error")
        if isinstance(inner, Mapping):
            code = f"{code} {inner.get('code') or ''} {inner.get('type') or ''}"
        if "estimated_time" in data:
            code += " estimated_time"
            estimated = _seconds(data["estimated_time"])
    return _Error(message=message, text=f"kind={kind} code={code} {header}: {message}", estimated_time_s=estimated)


def _message(data: Any, depth: int = 5) -> str:
    """Return the first text found under the usual keys; a hostile nesting deeper than `depth` has none."""
    if isinstance(data, str):
        return data
    if depth and isinstance(data, list):
        return "; ".join(filter(None, (_message(item, depth - 1) for item in data[:5])))
    if depth and isinstance(data, Mapping):
        for key in ("error", "message", "detail", "errors", "msg"):
            if data.get(key):
                return _message(data[key], depth - 1)
    return ""


def _seconds(value: Any) -> float | None:
    """Return a finite, positive number of seconds; estimates are sometimes null or absurd."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e6:
        return None
    return float(value)


def _clean(text: str) -> str:
    """Return one line without control characters, short enough to show."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= MESSAGE_CHARS else line[: MESSAGE_CHARS - 1] + "…"
