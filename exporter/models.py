"""The words of the program: what a model, a reply, a verdict and an observation are. Imports nothing of ours."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

DAY_S: Final = 86_400.0


class Status(StrEnum):
    """What a model is now. The string is the same in JSON, in labels and in the database."""

    AVAILABLE = "available"
    DEGRADED = "degraded"
    LOADING = "loading"
    FAILED = "failed"
    AUTH_REQUIRED = "auth_required"
    NOT_FOUND = "not_found"
    NOT_SERVED = "not_served"
    UNKNOWN = "unknown"


class Reason(StrEnum):
    """Why a status is what it is; a bounded set, safe as a label."""

    OK = "ok"
    WRONG_ANSWER = "wrong_answer"
    BAD_OUTPUT = "bad_output"
    SLOW = "slow"
    LOADING = "loading"
    OVERLOADED = "overloaded"
    TIMEOUT = "timeout"
    NETWORK = "network"
    TLS = "tls"
    SERVER_ERROR = "server_error"
    GATEWAY = "gateway"
    MODEL_ERROR = "model_error"
    BAD_REQUEST = "bad_request"
    NOT_FOUND = "not_found"
    NOT_SERVED = "not_served"
    DEPRECATED = "deprecated"
    GATED = "gated"
    DISABLED = "disabled"
    AUTH = "auth"
    AUTH_SCOPE = "auth_scope"
    QUOTA = "quota"
    RATE_LIMITED = "rate_limited"
    ENDPOINT_GONE = "endpoint_gone"
    BUDGET = "budget"
    BACKOFF = "backoff"
    PROBE_BUG = "probe_bug"


class Scope(StrEnum):
    """Whose state a verdict tells of: only `model` counts for or against the model."""

    MODEL = "model"
    ACCOUNT = "account"
    HOST = "host"
    CLIENT = "client"


class Fault(StrEnum):
    """Why there is no complete HTTP answer: a fault of the transport, or nothing was sent on purpose."""

    DNS = "dns"
    CONNECT = "connect"
    REFUSED = "refused"
    CONNECT_TIMEOUT = "connect_timeout"
    TLS = "tls"
    TIMEOUT = "timeout"
    RESET = "reset"
    PROTOCOL = "protocol"
    TRUNCATED = "truncated"
    TOO_LARGE = "too_large"
    BUG = "bug"
    NO_TOKEN = "no_token"  # noqa: S105 -- the name of a fault
    BUDGET = "budget"
    BACKOFF = "backoff"


class Secret:
    """A string that no repr, log, format or pickle shows; `reveal()` is the one way to it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the secret itself; call it only where it goes on the wire."""
        return self._value

    def __repr__(self) -> str:
        return "Secret('***')"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> str:
        raise TypeError("a Secret is not pickled")


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What an answer must say: one of `labels` on top (compared without case), with at least `min_confidence`."""

    labels: tuple[str, ...] = ()
    min_confidence: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One configured model. `model_id` is its identity everywhere: URL, label, row, lock.

    `polarity` says what a label of its own means (positive, neutral, negative), by the label in lower case;
    `multi_label` that its scores are independent of each other and need not sum to one.
    """

    model_id: str
    task: str
    category: str
    provider: str = "huggingface"
    model_key: str = ""
    requires_auth: bool = False
    enabled: bool = True
    interval_s: float = 300.0
    timeout_s: float = 30.0
    input: str | None = None
    expect: Expectation | None = None
    latency_objective_s: float | None = None
    polarity: Mapping[str, str] = field(default_factory=dict)
    multi_label: bool = False
    api: str = "classic"
    fallback: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """Durations of the phases of one exchange in seconds; None where a phase did not happen (a kept connection)."""

    dns_s: float | None = None
    connect_s: float | None = None
    tls_s: float | None = None
    first_byte_s: float | None = None
    transfer_s: float | None = None
    total_s: float = 0.0

    def phases(self) -> dict[str, float]:
        """Return the measured phases by the name they have as a label."""
        named = {
            "dns": self.dns_s,
            "connect": self.connect_s,
            "tls": self.tls_s,
            "first_byte": self.first_byte_s,
            "transfer": self.transfer_s,
        }
        return {name: value for name, value in named.items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came of one request: an HTTP answer, or a `fault` with its text in `error`. Never raised, never judged.

    Header names are lower case. `body` is decoded from its content encoding, and holds the cap at most. `sends` is
    how often the request went out: twice when a kept connection turned out to be closed.
    """

    http_status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    fault: Fault | None = None
    error: str = ""
    timings: Timings = field(default_factory=Timings)
    method: str = ""
    url: str = ""
    request_body: str = ""
    sends: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What a provider's free catalogue says of a model, before any inference is paid for.

    `canonical_id` is the id to ask under. Everything else is None where the catalogue did not say: `served`, then only
    a real request can tell; `served_by`, each provider's state in the catalogue's words; `undeployment_signs`, what the
    host's own rules make likely to be undeployed; `task`, what it is served for.
    """

    reply: Reply
    canonical_id: str
    served: bool | None = None
    served_by: Mapping[str, str] | None = None
    sha: str | None = None
    gated: bool | None = None
    disabled: bool | None = None
    undeployment_signs: tuple[str, ...] | None = None
    task: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a task read from a body: the output as JSON, the top label or text, and confidence in [0, 1] if any."""

    output: Any
    label: str | None = None
    confidence: float | None = None
    text: str | None = None


class CheckName(StrEnum):
    """What is held against an answer; a bounded set, safe as a label."""

    READABLE = "readable"
    LABEL = "label"
    SCORES = "scores"
    EXPECTATION = "expectation"
    OVERLAP = "overlap"
    REPETITION = "repetition"
    LENGTH = "length"
    LANGUAGE = "language"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check of an answer. What fails a `fatal` one nobody could use; what fails another is usable and wrong."""

    name: CheckName
    passed: bool
    message: str = ""
    fatal: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The opinion on one exchange. `correct` says whether a golden input's known answer came back, if that is known."""

    status: Status
    reason: Reason
    scope: Scope = Scope.MODEL
    message: str = ""
    answer: Answer | None = None
    checks: tuple[Check, ...] = ()
    correct: bool | None = None
    estimated_wait_s: float | None = None

    @property
    def success(self) -> bool:
        """True when the model gave an answer that can be used."""
        return self.status in (Status.AVAILABLE, Status.DEGRADED)

    @property
    def counts(self) -> bool:
        """True when the verdict counts in total_checks and success_rate (see docs/configuration.md, Statuses)."""
        return self.scope is Scope.MODEL and self.status not in (Status.UNKNOWN, Status.NOT_SERVED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One request for inference within a probe, with what was made of it; `started_at` is aware UTC."""

    started_at: datetime
    status: Status
    reason: Reason
    http_status: int | None
    response_time_ms: float | None
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """One finished probe of one model: the row of the history, and what the board and the metrics show.

    `requests` is how many requests for inference were sent, a second try included. `cached` is true for an answer from
    the host's cache, whose time says nothing of the model. `canary` names the golden input that was sent, `correct`
    says whether its known answer came back; None where that could not be judged. `retry_after_s` is for how long a
    refusal asked to be left alone, `hub_served` what the catalogue says of whether the model is served.
    """

    model_id: str
    provider: str
    task: str
    checked_at: datetime
    status: Status
    reason: Reason
    scope: Scope
    counts: bool
    success: bool
    message: str = ""
    http_status: int | None = None
    response_time_ms: float | None = None
    confidence: float | None = None
    test_input: str | None = None
    test_output: Any = None
    timings: Timings | None = None
    attempts: tuple[Attempt, ...] = ()
    canonical_id: str | None = None
    hub_sha: str | None = None
    served_sha: str | None = None
    compute_type: str | None = None
    compute_time_s: float | None = None
    requests: int = 0
    cached: bool = False
    cold: bool | None = None
    canary: str | None = None
    correct: bool | None = None
    checks: tuple[Check, ...] = ()
    retry_after_s: float | None = None
    hub_served: bool | None = None


class EventKind(StrEnum):
    """What can be told of a model or a provider beside its probes."""

    STATUS_CHANGED = "status_changed"
    LABELS_CHANGED = "labels_changed"
    SCORE_SHIFTED = "score_shifted"
    SCORE_DRIFTED = "score_drifted"
    RUNTIME_CHANGED = "runtime_changed"
    HUB_SHA_CHANGED = "hub_sha_changed"
    SERVED_SHA_CHANGED = "served_sha_changed"
    GATED_CHANGED = "gated_changed"
    DISABLED_CHANGED = "disabled_changed"
    MAPPING_CHANGED = "mapping_changed"
    RENAMED = "renamed"
    UNDEPLOYMENT_RISK = "undeployment_risk"
    INCIDENT_OPENED = "incident_opened"
    INCIDENT_CLOSED = "incident_closed"
    FALLBACK_CHANGED = "fallback_changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened once; `before` and `after` are JSON values. `model_id` is None for a whole provider."""

    at: datetime
    kind: EventKind
    provider: str
    model_id: str | None = None
    before: Any = None
    after: Any = None
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """One cause that holds for many models of a provider; `closed_at` is None while it lasts."""

    provider: str
    scope: Scope
    reason: Reason
    opened_at: datetime
    closed_at: datetime | None = None
    model_ids: tuple[str, ...] = ()
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flip:
    """A change of a model's status: logged once when it happens. `before` is None for the first verdict."""

    model_id: str
    before: Status | None
    after: Status
    reason: Reason
    at: datetime


def stable_fraction(text: str) -> float:
    """Return a number in [0, 1) that depends on `text` alone: the same in every process and on every machine."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) / 2**64


def rfc3339(moment: datetime) -> str:
    """Return an aware datetime as RFC 3339 in UTC with milliseconds: `2025-12-08T03:13:29.000Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
