"""Put together what one turn saw: the observation to keep, and the facts to compare with what was known. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from exporter.changes import Facts
from exporter.classify import is_cached, retry_after_s
from exporter.models import Attempt, Listing, Model, Observation, Reply, Verdict
from exporter.tasks import Canary
from exporter.tasks.sentiment import TOP_K

# An idle model is loaded within the request: then the host was busy this much longer than it computed.
COLD_GAP_S: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What was asked of the model itself in a turn: the golden input, the last reply, all attempts, requests sent."""

    canary: Canary
    reply: Reply
    attempts: tuple[Attempt, ...]
    sent: int


def see(model: Model, listing: Listing, verdict: Verdict, at: datetime, asked: Asked | None = None) -> Observation:
    """Return the observation of a turn that finished at `at`; without `asked` the catalogue alone was heard."""
    reply = None if asked is None else asked.reply
    headers = {} if reply is None else reply.headers
    answer = verdict.answer
    return Observation(
        model_id=model.model_id,
        provider=model.provider,
        task=model.task,
        checked_at=at,
        status=verdict.status,
        reason=verdict.reason,
        scope=verdict.scope,
        counts=verdict.counts,
        success=verdict.success,
        message=verdict.message,
        http_status=(reply or listing.reply).http_status,
        response_time_ms=None if reply is None else _response_time_ms(reply),
        confidence=None if answer is None else answer.confidence,
        test_input=None if asked is None else asked.canary.input,
        test_output=None if answer is None else answer.output,
        timings=None if reply is None or not reply.method else reply.timings,
        attempts=() if asked is None else asked.attempts,
        canonical_id=listing.canonical_id,
        hub_sha=listing.sha,
        served_sha=headers.get("x-sha"),
        compute_type=headers.get("x-compute-type"),
        compute_time_s=None if reply is None else compute_s(reply),
        requests=0 if asked is None else asked.sent,
        cached=reply is not None and is_cached(reply),
        cold=None if asked is None else _is_cold(asked),
        canary=None if asked is None else asked.canary.name,
        correct=verdict.correct,
        checks=verdict.checks,
        hub_served=listing.served,
        retry_after_s=None if reply is None or verdict.success else retry_after_s(reply, at),
    )


def learn(
    model: Model, listing: Listing, at: datetime, asked: Asked | None = None, verdict: Verdict | None = None
) -> Facts:
    """Return the facts of a turn. An answer out of a cache tells nothing new of the model."""
    live = asked is not None and verdict is not None and not is_cached(asked.reply)
    answer = verdict.answer if live and verdict is not None else None
    ranking = answer.output if answer is not None and model.task == "sentiment-analysis" else ()
    heard = listing.reply.fault is None and listing.reply.http_status == 200
    return Facts(
        at=at,
        model_id=model.model_id,
        provider=model.provider,
        hub_sha=listing.sha,
        served_sha=asked.reply.headers.get("x-sha") if asked is not None and live else None,
        canonical_id=listing.canonical_id if heard else None,
        gated=listing.gated,
        disabled=listing.disabled,
        mapping=listing.served_by,
        undeployment_signs=listing.undeployment_signs,
        labels=tuple(row["label"] for row in ranking) if 0 < len(ranking) < TOP_K else None,
        golden=None if asked is None or answer is None else asked.canary.name,
        label=None if answer is None else answer.label,
        score=None if answer is None else answer.confidence,
    )


def attempt(started_at: datetime, reply: Reply, verdict: Verdict) -> Attempt:
    """Return one request for inference as the history keeps it."""
    return Attempt(
        started_at=started_at,
        status=verdict.status,
        reason=verdict.reason,
        http_status=reply.http_status,
        response_time_ms=_response_time_ms(reply),
        message=verdict.message,
    )


def compute_s(reply: Reply) -> float | None:
    """Return the seconds that the host computed for this answer, where it says so."""
    try:
        number = float(reply.headers.get("x-compute-time", ""))
    except ValueError:
        return None
    return number if 0 <= number < 1e6 else None


def as_result(observation: Observation) -> dict[str, Any]:
    """Return the short form of an observation that a scan lists."""
    return {
        "model_id": observation.model_id,
        "status": observation.status.value,
        "success": observation.success,
        "reason": observation.reason.value,
        "scope": observation.scope.value,
        "response_time_ms": observation.response_time_ms,
        "confidence": observation.confidence,
        "error_message": observation.message or None,
        "test_output": observation.test_output,
    }


def _is_cold(asked: Asked) -> bool | None:
    """Say whether the model had to be loaded for this answer; None where the host does not tell what it computed."""
    if len(asked.attempts) > 1:
        return True
    computed_s = compute_s(asked.reply)
    if computed_s is None or asked.reply.http_status != 200:
        return None
    timings = asked.reply.timings
    connected_s = sum(span or 0.0 for span in (timings.dns_s, timings.connect_s, timings.tls_s))
    return timings.total_s - connected_s - computed_s > COLD_GAP_S


def _response_time_ms(reply: Reply) -> float | None:
    """Return how long a complete HTTP answer took; a fault has no response time."""
    return None if reply.http_status is None else round(reply.timings.total_s * 1000, 3)
