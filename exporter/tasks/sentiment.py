"""Sentiment analysis (the hub's text-classification): a sentence in, labels with scores out."""

from __future__ import annotations

from typing import Any, Final

from exporter.models import Answer, Model
from exporter.tasks.base import BadOutputError, Canary, Task, expected_label, rows, score, text_of

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


def wrong(answer: Answer, canary: Canary, model: Model) -> str:
    """The opposite polarity is wrong; neutral, and labels of unknown meaning (LABEL_0), are not judged."""
    if model.expect is not None:
        return expected_label(answer, model)
    polarity = POLARITY.get((answer.label or "").strip().casefold())
    if polarity is not None and any(OPPOSITE.get(expected) == polarity for expected in canary.expect):
        return f"{answer.label!r} for a text that is plainly {canary.expect[0]}: {canary.input!r}"
    return ""


TASK: Final = Task(
    name="sentiment-analysis",
    hub_tag="text-classification",
    canaries=(
        Canary(
            input="The company reported record profits and raised its outlook for the year.",
            expect=("positive",),
        ),
    ),
    payload=payload,
    read=read,
    wrong=wrong,
)
