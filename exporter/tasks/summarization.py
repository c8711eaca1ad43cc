"""Summarization: a paragraph in, a shorter text about the same things out."""

from __future__ import annotations

import re
from typing import Any, Final

from exporter.models import Answer, Model
from exporter.tasks.base import BadOutputError, Canary, Task, expected_label, rows, snippet, text_of

# A summary of ours shares most of its words with the source; the recorded garbage of distilbart-cnn-12-6 shares none.
MIN_OVERLAP: Final = 0.2
MIN_DISTINCT: Final = 0.3
MIN_WORDS_FOR_DISTINCT: Final = 15
WORD: Final = re.compile(r"\w{3,}")

# BART's own min_length of 56 tokens makes it ramble on a short text: the golden input has about a hundred words.
PARAGRAPH: Final = (
    "Shares of the country's largest carmaker rose on Tuesday after the company said that sales of electric cars had "
    "doubled in the third quarter. Revenue reached twelve billion dollars, well above the ten billion that analysts "
    "had expected, and the company raised its forecast for the full year. The chief executive said that a new battery "
    "factory would open in the spring and would create four thousand jobs. Some investors remain cautious because "
    "the price of lithium has risen by a third since January and because competitors have announced cheaper models "
    "for the coming year. The company also said that it would buy back shares worth one billion dollars."
)


def payload(_model: Model, canary: Canary) -> dict[str, Any]:
    """Return the request with a short target length: summaries are the dearest of the probes."""
    return {"inputs": canary.input, "parameters": {"min_length": 5, "max_length": 40}}


def read(data: Any, canary: Canary) -> Answer:
    """Read `[{summary_text}]`; raises BadOutputError on a text foreign to its source or repeating itself."""
    text = text_of(rows(data, what="summary")[0], "summary_text").strip()
    words = WORD.findall(text.casefold())
    if not words:
        raise BadOutputError("the summary is empty")
    source = set(WORD.findall(canary.input.casefold()))
    overlap = sum(word in source for word in words) / len(words)
    if source and overlap < MIN_OVERLAP:
        raise BadOutputError(f"garbage: {overlap:.0%} of the summary's words are in the source: {snippet(text)}")
    if len(words) >= MIN_WORDS_FOR_DISTINCT and len(set(words)) / len(words) < MIN_DISTINCT:
        raise BadOutputError(f"garbage: the summary repeats itself: {snippet(text)}")
    return Answer(output={"summary_text": text}, text=text)


def wrong(answer: Answer, canary: Canary, model: Model) -> str:
    """A summary that is longer than its source is none."""
    if len(answer.text or "") > len(canary.input):
        return "the summary is longer than its source"
    return expected_label(answer, model)


TASK: Final = Task(
    name="summarization",
    hub_tag="summarization",
    canaries=(Canary(input=PARAGRAPH),),
    payload=payload,
    read=read,
    wrong=wrong,
)
