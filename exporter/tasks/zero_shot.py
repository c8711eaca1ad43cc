"""Zero-shot classification: a sentence and candidate labels in, a score for each label out."""

from __future__ import annotations

from typing import Any, Final

from exporter.models import Answer, Check, CheckName, Model
from exporter.tasks.base import BadOutputError, Canary, Task, expectation, rows, score, sum_to_one, text_of


def payload(model: Model, canary: Canary) -> dict[str, Any]:
    """Return the request; two candidates only, because each costs one pass of the model."""
    several = {"multi_label": True} if model.multi_label else {}
    return {"inputs": canary.input, "parameters": {"candidate_labels": list(canary.candidates), **several}}


def read(data: Any, canary: Canary) -> Answer:
    """Read `{sequence, labels, scores}`, the same in a list, or `[{label, score}]`; all candidates must be there."""
    found = rows(data, what="labels")
    ranking = _columns(found[0]) if "labels" in found[0] else [(text_of(r, "label"), r.get("score")) for r in found]
    scored = sorted(((label, score(value)) for label, value in ranking), key=lambda pair: -pair[1])
    if sorted(label for label, _ in scored) != sorted(canary.candidates):
        raise BadOutputError(f"asked for {list(canary.candidates)}, got {[label for label, _ in scored]}")
    label, confidence = scored[0]
    return Answer(
        output=[{"label": name, "score": value} for name, value in scored], label=label, confidence=confidence
    )


def check(answer: Answer, canary: Canary, model: Model) -> tuple[tuple[Check, ...], bool | None]:
    """The label that every reader would choose must come first, and the scores share one whole."""
    checks = [*expectation(answer, model)]
    if not model.multi_label:
        checks.append(sum_to_one([row["score"] for row in answer.output]))
    if not canary.expect:
        return tuple(checks), None
    correct = answer.label in canary.expect
    message = "" if correct else f"expected {' or '.join(canary.expect)}, got {answer.label!r} for {canary.input!r}"
    checks.append(Check(name=CheckName.LABEL, passed=correct, message=message))
    return tuple(checks), correct


def _columns(row: Any) -> list[tuple[str, Any]]:
    labels, scores = row.get("labels"), row.get("scores")
    if not isinstance(labels, list) or not isinstance(scores, list) or not labels or len(labels) != len(scores):
        raise BadOutputError("labels and scores do not belong together")
    if not all(isinstance(label, str) for label in labels):
        raise BadOutputError("a label is not a text")
    return list(zip(labels, scores, strict=True))


TASK: Final = Task(
    name="zero-shot-classification",
    hub_tag="zero-shot-classification",
    canaries=(
        Canary(
            name="rates",
            input="The central bank raised interest rates by half a percentage point.",
            candidates=("economy", "sports"),
            expect=("economy",),
        ),
        Canary(
            name="match",
            input="The home team won the final match with a goal in the last minute.",
            candidates=("economy", "sports"),
            expect=("sports",),
        ),
    ),
    checks=(CheckName.READABLE, CheckName.SCORES, CheckName.LABEL, CheckName.EXPECTATION),
    payload=payload,
    read=read,
    check=check,
)
