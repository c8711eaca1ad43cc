"""The toy reads plain English well enough for a demo, and always the same way."""

from __future__ import annotations

import pytest

from exporter.demo import toy
from tests.demo.conftest import BAD_NEWS, GOOD_NEWS


@pytest.mark.parametrize(
    ("text", "sign"),
    [
        (GOOD_NEWS, 1),
        ("I love this great product", 1),
        ("Bitcoin rallied and gains were strong", 1),
        ("The shares surged after growth beat forecasts", 1),
        ("not bad", 1),
        (BAD_NEWS, -1),
        ("The exchange was hacked and the coin crashed", -1),
        ("I hate it", -1),
        ("not good", -1),
        ("It isn't good", -1),
        ("The committee meets on Tuesday", 0),
        ("", 0),
    ],
)
def test_mood_has_the_right_sign(text: str, sign: int) -> None:
    mood = toy.sentiment(text)
    assert -1 < mood < 1
    assert (mood > 0) - (mood < 0) == sign


ALL_LABELS = [
    toy.POSITIVE_NEGATIVE,
    toy.LABEL_0_1,
    toy.LOWER_THREE,
    toy.TITLE_THREE,
    toy.BULLISH_TITLE,
    toy.BULLISH_UPPER,
    toy.POS_NEU_NEG,
    toy.FIVE_STARS,
]


@pytest.mark.parametrize("labels", ALL_LABELS, ids=["-".join(name for name, _ in labels) for labels in ALL_LABELS])
def test_the_extreme_labels_win_for_good_and_bad_news(labels: toy.Labels) -> None:
    def winner(text: str) -> float:
        scores = toy.softmax(toy.sentiment_logits(text, labels, "salt"))
        assert sum(scores) == pytest.approx(1)
        assert max(scores) > 0.8
        return labels[scores.index(max(scores))][1]

    assert winner(GOOD_NEWS) == 1.0
    assert winner(BAD_NEWS) == -1.0


def test_models_differ_a_little_and_each_is_constant() -> None:
    one, same, other = (toy.sentiment_logits(GOOD_NEWS, toy.LOWER_THREE, salt) for salt in ("a", "a", "b"))
    assert one == same
    assert one != other
    assert one == pytest.approx(other, abs=0.2)


@pytest.mark.parametrize(
    ("text", "labels", "best"),
    [
        ("The central bank raised interest rates by half a percentage point.", ["economy", "sports"], "economy"),
        ("The team won the cup final.", ["economy", "Sports"], "Sports"),
        ("Their rocket reached the moon.", ["rocket", "law"], "rocket"),
        ("Shares trade at a higher price.", ["finance", "politics"], "finance"),
    ],
)
def test_topics_are_found(text: str, labels: list[str], best: str) -> None:
    logits = toy.topic_logits(text, labels)
    assert labels[logits.index(max(logits))] == best
    assert sorted(logits)[-1] > sorted(logits)[-2]


@pytest.mark.parametrize(
    ("text", "words", "wanted"),
    [
        ("One two three. Four five six. Seven eight nine ten.", 60, "One two three. Four five six."),
        ("One two three four five six seven eight nine ten", 4, "One two three four"),
        ("One.", 60, "One."),
        ("", 60, ""),
        ("One two three.", -3, "One"),
    ],
    ids=["whole sentences", "cut", "one word", "nothing", "a length below nothing"],
)
def test_a_summary_is_cut_from_the_text(text: str, words: int, wanted: str) -> None:
    assert toy.summary(text, words) == wanted


def test_a_continuation_is_constant_and_differs_by_prompt() -> None:
    words, cut = toy.continuation("The stock market is", 12, "salt")
    assert (words, cut) == toy.continuation("The stock market is", 12, "salt")
    assert words != toy.continuation("The weather is", 12, "salt")[0]
    assert (len(words), cut) == (12, True)
    assert toy.continuation("x", 10_000, "salt")[1] is False


def test_similarity_is_highest_for_the_same_words() -> None:
    assert toy.similarity("a b", "b a") == pytest.approx(1)
    assert toy.similarity("a b", "c d") < 0.99
