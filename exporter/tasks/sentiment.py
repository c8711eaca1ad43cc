"""Sentiment analysis (the hub's text-classification): a sentence in, labels with scores out."""

from __future__ import annotations

from typing import Any, Final

from exporter.models import Answer, Check, CheckName, Model
from exporter.tasks.base import BadOutputError, Canary, Task, expectation, rows, score, sum_to_one, text_of

# Without top_k the server cuts a ranking at five labels; the whole label set is wanted.
TOP_K: Final = 20

POLARITY: Final = {
    "positive": "positive",
    "pos": "positive",
    "very positive": "positive",
    "bullish": "positive",
    "4 stars": "positive",
    "5 stars": "positive",
    "neutral": "neutral",
    "neu": "neutral",
    "3 stars": "neutral",
    "negative": "negative",
    "neg": "negative",
    "very negative": "negative",
    "bearish": "negative",
    "1 star": "negative",
    "2 stars": "negative",
}
OPPOSITE: Final = {"positive": "negative", "negative": "positive"}


def payload(_model: Model, canary: Canary) -> dict[str, Any]:
    """Return the request of hf-inference's text-classification."""
    return {"inputs": canary.input, "parameters": {"top_k": TOP_K}}


def read(data: Any, _canary: Canary) -> Answer:
    """Read `[[{label, score}]]` or `[{label, score}]`, sorted here by score; confidence is the highest score."""
    ranking = [(text_of(row, "label"), score(row.get("score"))) for row in rows(data, what="labels")]
    if len({label for label, _ in ranking}) != len(ranking):
        raise BadOutputError(f"a label is there twice: {[label for label, _ in ranking]}")
    ranking.sort(key=lambda pair: -pair[1])
    label, confidence = ranking[0]
    return Answer(
        output=[{"label": name, "score": value} for name, value in ranking], label=label, confidence=confidence
    )


def check(answer: Answer, canary: Canary, model: Model) -> tuple[tuple[Check, ...], bool | None]:
    """The opposite polarity is wrong. Neutral is not what was hoped for, and counts in the accuracy alone.

    A label of unknown meaning (LABEL_0) is not judged, unless the configuration says what it means.
    """
    checks = [*expectation(answer, model)]
    if not model.multi_label and len(answer.output) < TOP_K:
        checks.append(sum_to_one([row["score"] for row in answer.output]))
    label = (answer.label or "").strip().casefold()
    polarity = model.polarity.get(label, POLARITY.get(label))
    if polarity is None or not canary.expect:
        return tuple(checks), None
    opposite = any(OPPOSITE.get(expected) == polarity for expected in canary.expect)
    message = f"{answer.label!r} for a text that is plainly {canary.expect[0]}: {canary.input!r}" if opposite else ""
    checks.append(Check(name=CheckName.LABEL, passed=not opposite, message=message))
    return tuple(checks), polarity in canary.expect


TASK: Final = Task(
    name="sentiment-analysis",
    hub_tag="text-classification",
    # Plain for a model of finance, of crypto and of everyday language alike; the negation catches models that only
    # count words, the change of polarity those that always say the same.
    canaries=(
        Canary(
            name="profits",
            input="The company reported record profits and raised its outlook for the year.",
            expect=("positive",),
        ),
        Canary(
            name="fraud",
            input="The company reported heavy losses and its shares crashed after the fraud was revealed.",
            expect=("negative",),
        ),
        Canary(
            name="rally",
            input="Bitcoin rallied to a record high and investors are delighted with the strong gains.",
            expect=("positive",),
        ),
        Canary(
            name="negation",
            input="The results were not good and the customers are not happy.",
            expect=("negative",),
        ),
    ),
    checks=(CheckName.READABLE, CheckName.SCORES, CheckName.LABEL, CheckName.EXPECTATION),
    payload=payload,
    read=read,
    check=check,
)
