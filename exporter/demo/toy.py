"""A toy that reads and writes English by a word list. Pure and deterministic; it says nothing of any model's quality.

Sentiment is the sum of listed words (a negation before a word turns it), squeezed into (-1, 1) and compared with the
polarity of each label. A topic is a handful of words. A summary is the first sentences of the text. A continuation is
a shuffled list of plain clauses. An embedding adds up a hashed vector a word. Nothing is learned, nothing is random:
what varies is drawn from a hash of the seed, the model and the text.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Sequence
from typing import Final

from exporter.models import stable_fraction


def _listed(words: str) -> frozenset[str]:
    return frozenset(words.split())


Labels = tuple[tuple[str, float], ...]

# Label sets of real classifiers, with the polarity that each label stands for.
POSITIVE_NEGATIVE: Final[Labels] = (("POSITIVE", 1.0), ("NEGATIVE", -1.0))
LABEL_0_1: Final[Labels] = (("LABEL_0", -1.0), ("LABEL_1", 1.0))
LOWER_THREE: Final[Labels] = (("positive", 1.0), ("neutral", 0.0), ("negative", -1.0))
TITLE_THREE: Final[Labels] = (("Positive", 1.0), ("Neutral", 0.0), ("Negative", -1.0))
BULLISH_TITLE: Final[Labels] = (("Bullish", 1.0), ("Neutral", 0.0), ("Bearish", -1.0))
BULLISH_UPPER: Final[Labels] = (("BULLISH", 1.0), ("NEUTRAL", 0.0), ("BEARISH", -1.0))
POS_NEU_NEG: Final[Labels] = (("POS", 1.0), ("NEU", 0.0), ("NEG", -1.0))
FIVE_STARS: Final[Labels] = (("1 star", -1.0), ("2 stars", -0.5), ("3 stars", 0.0), ("4 stars", 0.5), ("5 stars", 1.0))

_POSITIVE: Final = _listed(
    """
    adoption amazing approval approved beat beats best better boom boost breakthrough bullish celebrate climb climbed
    delighted easy enjoy excellent exceeded fantastic fast gain gained gains glad good great growth happy helpful
    improved improvement improving increase increased innovation joy like liked likes love loved loves moon optimistic
    outperform outperformed perfect pleased positive profit profitable profits promising raised rallied rally record
    recovered recovery reward rise risen rises rising rose soar soared soaring strength strong stronger succeeded
    success successful surge surged surges surging thrilled top upbeat upgrade upgraded win winner winning wonderful
    """
)
_NEGATIVE: Final = _listed(
    """
    afraid angry awful bad bankrupt bankruptcy bearish broken bug collapse collapsed crash crashed crashes crashing
    crisis cut cuts decline declined default delay delayed disappointed disappointing disaster down downgrade
    downgraded drop dropped dump exploit exploited fail failed failing fails failure fall fallen falling falls fear
    fell fine fined fraud hack hacked hate hated hates horrible investigation lawsuit layoffs lose loses losing loss
    losses lost miss missed negative outage panic plunge plunged plunges plunging poor rejected sad scam scandal
    sell-off shutdown slow slump slumped stolen sued terrible theft tumble tumbled ugly unhappy warned warning weak
    weaker worried worse worst
    """
)
_NEGATIONS: Final = _listed("not no never without hardly")

_TOPICS: Final = {
    name: _listed(words)
    for name, words in {
        "economy": "bank banks central company economic financial inflation interest market money percentage price"
        " prices profit profits rate rates stock trade",
        "sports": "ball championship coach cup final football game games goal goals league match player players season"
        " team win won",
        "politics": "congress election government law minister parliament party policy president senate vote voters",
        "technology": "app chip code computer data device internet network phone robot software technology",
        "science": "discovery experiment galaxy physics planet planets research scientists solar space study theory",
        "health": "cancer disease doctor doctors drug health hospital medicine patient patients vaccine virus",
        "crypto": "bitcoin blockchain coin crypto ether ethereum exchange token wallet",
        "refund": "bought money refund reimbursed return returned working",
    }.items()
}
_SYNONYMS: Final = {
    "business": "economy",
    "economics": "economy",
    "finance": "economy",
    "markets": "economy",
    "football": "sports",
    "sport": "sports",
    "cryptocurrency": "crypto",
    "medicine": "health",
    "tech": "technology",
}

_CLAUSES: Final = (
    "a place where many small decisions meet",
    "watched closely by people who save for later",
    "calm in the morning and busy before the close",
    "shaped by earnings, rates and patience",
    "open again after a long weekend",
    "followed by traders in every large city",
    "quiet while everyone waits for the next report",
    "higher than last year and lower than last week",
    "easier to explain afterwards than in advance",
    "only one part of how families plan ahead",
    "described each evening on the radio news",
    "older than most of the firms listed there",
)
_SYLLABLES: Final = ("wum", "plor", "dax", "grib", "snel", "quo", "tav", "mip", "zor", "feb", "lun", "kra")

_SHARPNESS: Final = 4.5
_SUMMARY_WORDS: Final = 60
_DIMENSIONS: Final = 16


def sentiment(text: str) -> float:
    """Return the toy's mood of a text in (-1, 1); 0 when no listed word is in it."""
    words = _words(text)
    total = 0
    for position, word in enumerate(words):
        mood = (word in _POSITIVE) - (word in _NEGATIVE)
        before = words[max(0, position - 2) : position]
        negated = any(w in _NEGATIONS or w.endswith("n't") for w in before)
        total += -mood if negated else mood
    return math.tanh(1.2 * total)


def sentiment_logits(text: str, labels: Labels, salt: str) -> list[float]:
    """Return one logit a label, in the order of `labels`; `salt` adds a small fixed wobble that makes models differ."""
    mood = sentiment(text)
    return [
        -_SHARPNESS * abs(polarity - mood) + 0.2 * stable_fraction(f"{salt}:{label}:{text}")
        for label, polarity in labels
    ]


def topic_logits(text: str, labels: Sequence[str]) -> list[float]:
    """Return one logit a candidate label: two for each word of the text that belongs to the label's topic."""
    words = _words(text)
    logits = []
    for label in labels:
        name = label.strip().lower()
        topic = _TOPICS.get(_SYNONYMS.get(name, name), frozenset()) | set(_words(label))
        logits.append(2.0 * sum(word in topic for word in words))
    return logits


def softmax(logits: Sequence[float]) -> list[float]:
    """Return probabilities that sum to 1, in the order of `logits`."""
    top = max(logits, default=0.0)
    powers = [math.exp(logit - top) for logit in logits]
    return [power / sum(powers) for power in powers]


def sigmoid(logit: float) -> float:
    """Return a probability in (0, 1)."""
    return 1 / (1 + math.exp(-logit))


def summary(text: str, max_words: int = _SUMMARY_WORDS) -> str:
    """Return the first sentences of a text, at most `max_words` words and at most six tenths of it."""
    words_left = max(min(max_words, math.ceil(0.6 * len(text.split()))), 1)
    kept: list[str] = []
    for sentence in re.split(r"(?<=[.!?])\s+", text.strip()):
        words = sentence.split()
        if kept and len(words) > words_left:
            break
        kept.append(" ".join(words[:words_left]))
        words_left -= len(words)
        if words_left <= 0:
            break
    return " ".join(kept)


def continuation(prompt: str, max_tokens: int, salt: str) -> tuple[list[str], bool]:
    """Return at most `max_tokens` words, each with its leading space, and whether they were cut short."""
    order = sorted(_CLAUSES, key=lambda clause: stable_fraction(f"{salt}:{prompt}:{clause}"))
    words = [f" {word}" for word in ", ".join(order).split()] + ["."]
    return words[:max_tokens], max_tokens < len(words)


def nonsense(salt: str) -> str:
    """Return made-up words, each said several times: the kind of text that a broken summarizer writes."""
    words = []
    for position in range(12):
        draws = [stable_fraction(f"{salt}:{position}:{n}") for n in range(3)]
        word = "".join(_SYLLABLES[int(draw * len(_SYLLABLES))] for draw in draws[:2])
        words += [word] * (3 + int(draws[2] * 3))
    return " ".join(words)


def embedding(text: str) -> list[float]:
    """Return a unit vector of 16 numbers: the sum of a hashed vector for each word."""
    total = [0.0] * _DIMENSIONS
    for word in _words(text) or [""]:
        digest = hashlib.blake2b(word.encode(), digest_size=_DIMENSIONS).digest()
        total = [value + byte / 127.5 - 1 for value, byte in zip(total, digest, strict=True)]
    norm = math.sqrt(sum(value * value for value in total)) or 1.0
    return [value / norm for value in total]


def similarity(one: str, other: str) -> float:
    """Return the cosine of two texts' embeddings, in [-1, 1]."""
    return sum(a * b for a, b in zip(embedding(one), embedding(other), strict=True))


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z][a-z'-]*", text.lower())
