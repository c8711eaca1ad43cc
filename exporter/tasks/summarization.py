"""Summarization: a paragraph in, a shorter text about the same things out."""

from __future__ import annotations

import re
from typing import Any, Final

from exporter.models import Answer, Check, CheckName, Model
from exporter.tasks.base import (
    BadOutputError,
    Canary,
    Task,
    not_repeating,
    rows,
    snippet,
    text_of,
    written_like,
)

# A summary of ours shares most of its words with the source; the recorded garbage of distilbart-cnn-12-6 shares none.
MIN_OVERLAP: Final = 0.2
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

HARBOUR: Final = (
    "The city council voted on Monday to rebuild the old harbour, which has stood empty since the last ferry left nine "
    "years ago. The plan provides for two hundred apartments, a public library and a market hall beneath the restored "
    "cranes. Engineers will first have to remove contaminated soil, which is expected to take until the end of next "
    "year and to cost forty million euros. Neighbours welcomed the library but complained that too few of the "
    "apartments would be affordable for families who live in the district today. The mayor answered that one third "
    "of them would be let at reduced rents, and that construction would begin in the autumn after next."
)


def payload(_model: Model, canary: Canary) -> dict[str, Any]:
    """Return the request with a short target length: summaries are the dearest of the probes."""
    return {"inputs": canary.input, "parameters": {"min_length": 5, "max_length": 40}}


def read(data: Any, _canary: Canary) -> Answer:
    """Read `[{summary_text}]`; raises BadOutputError when there is no word in it."""
    text = text_of(rows(data, what="summary")[0], "summary_text").strip()
    if not WORD.search(text):
        raise BadOutputError("the summary is empty")
    return Answer(output={"summary_text": text}, text=text)


def check(answer: Answer, canary: Canary, model: Model) -> tuple[tuple[Check, ...], bool | None]:
    """A summary is about its source, in its language, does not repeat itself, and is shorter."""
    text = answer.text or ""
    words = WORD.findall(text.casefold())
    source = set(WORD.findall(canary.input.casefold()))
    overlap = sum(word in source for word in words) / len(words)
    foreign = bool(source) and overlap < MIN_OVERLAP
    longer = len(text) > len(canary.input)
    garbage = f"garbage: {overlap:.0%} of the summary's words are in the source: {snippet(text)}"
    checks = (
        Check(name=CheckName.OVERLAP, passed=not foreign, message=garbage if foreign else "", fatal=True),
        not_repeating(words),
        written_like(text, canary.input),
        Check(
            name=CheckName.LENGTH,
            passed=not longer,
            message="the summary is longer than its source" if longer else "",
        ),
    )
    return checks, None


TASK: Final = Task(
    name="summarization",
    hub_tag="summarization",
    canaries=(Canary(name="carmaker", input=PARAGRAPH), Canary(name="harbour", input=HARBOUR)),
    checks=(
        CheckName.READABLE,
        CheckName.OVERLAP,
        CheckName.REPETITION,
        CheckName.LANGUAGE,
        CheckName.LENGTH,
    ),
    payload=payload,
    read=read,
    check=check,
)
