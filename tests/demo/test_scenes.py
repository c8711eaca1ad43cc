"""The demo: the 21 models, what each shows within a minute, and that the docstring tells the same."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest

import exporter.demo
from exporter.demo import DEMO_SCENARIOS, Kind, StandIn
from tests.demo.conftest import PAYLOADS, Bench
from tests.fakes import FakeClock


@pytest.fixture
async def demo() -> AsyncIterator[Bench]:
    clock = FakeClock(auto=True)
    stand_in = StandIn(clock=clock)
    async with stand_in.serve() as base, aiohttp.ClientSession() as session:
        yield Bench(stand_in, clock, base, session)


TOP_LABELS = {
    "kk08/CryptoBERT": "LABEL_1",
    "ProsusAI/finbert": "positive",
    "yiyanghkust/finbert-tone": "Positive",
    "StephanAkkerman/FinTwitBERT-sentiment": "BEARISH",
    "mrm8488/distilroberta-finetuned-financial-news-sentiment-analysis": "positive",
    "cardiffnlp/twitter-roberta-base-sentiment-latest": "positive",
    "distilbert-base-uncased-finetuned-sst-2-english": "POSITIVE",
}
REFUSALS = {
    "ElKulako/cryptobert": 403,
    "mayurjadhav/crypto-sentiment-model": 404,
    "mathugo/crypto_news_bert": 503,
    "burakutf/finetuned-finbert-crypto": 410,
    "finiteautomata/bertweet-base-sentiment-analysis": 503,
    "nlptown/bert-base-multilingual-uncased-sentiment": 500,
    "OpenC/crypto-gpt-o3-mini": 400,
    "gpt2": 400,
    "distilgpt2": 400,
    "FurkanGozukara/Crypto-Financial-News-Summarizer": 503,
}
TEXTS = {
    "agarkovv/CryptoTrader-LM": "The stock market is ",
    "facebook/bart-large-cnn": "The council opened a new library on Monday",
}


@pytest.mark.parametrize(("model_id", "label"), TOP_LABELS.items(), ids=TOP_LABELS.keys())
async def test_good_news_gets_its_label(demo: Bench, model_id: str, label: str) -> None:
    [ranking] = (await demo.ask(model=model_id)).json
    assert ranking[0]["label"] == label
    assert ranking[0]["score"] > 0.8
    assert {row["label"] for row in ranking} == {name for name, _ in DEMO_SCENARIOS[model_id].labels}


@pytest.mark.parametrize(("model_id", "status"), REFUSALS.items(), ids=REFUSALS.keys())
async def test_what_does_not_answer_says_why(demo: Bench, model_id: str, status: int) -> None:
    assert (await demo.ask(PAYLOADS[DEMO_SCENARIOS[model_id].task], model=model_id)).status == status


@pytest.mark.parametrize(("model_id", "text"), TEXTS.items(), ids=TEXTS.keys())
async def test_texts_are_written(demo: Bench, model_id: str, text: str) -> None:
    [item] = (await demo.ask(PAYLOADS[DEMO_SCENARIOS[model_id].task], model=model_id)).json
    assert next(iter(item.values())).startswith(text)


async def test_the_zero_shot_model_knows_the_economy(demo: Bench) -> None:
    body = (await demo.ask(PAYLOADS["zero-shot-classification"], model="facebook/bart-large-mnli")).json
    assert body[0]["label"] == "economy"
    assert body[0]["score"] > 0.9


async def test_one_summarizer_writes_words_that_are_not_in_the_text(demo: Bench) -> None:
    payload = PAYLOADS["summarization"]
    [item] = (await demo.ask(payload, model="sshleifer/distilbart-cnn-12-6")).json
    assert not set(item["summary_text"].lower().split()) & set(payload["inputs"].lower().split())


async def test_the_cold_model_is_ready_at_the_second_attempt(demo: Bench) -> None:
    first = await demo.ask(model="mathugo/crypto_news_bert")
    assert first.json["estimated_time"] == 3.0
    demo.clock.advance(first.json["estimated_time"])
    second = await demo.ask(model="mathugo/crypto_news_bert")
    assert (second.status, second.json[0][0]["label"]) == (200, "positive")


async def test_the_slow_model_takes_two_to_three_seconds_each_time(demo: Bench) -> None:
    for text in ("good", "bad"):
        before = demo.clock.monotonic()
        assert (await demo.ask({"inputs": text}, model="yiyanghkust/finbert-tone")).status == 200
        assert 2.0 < demo.clock.monotonic() - before < 3.0


async def test_every_model_answers_within_fifteen_seconds(demo: Bench) -> None:
    for model_id, scenario in DEMO_SCENARIOS.items():
        before = demo.clock.monotonic()
        await demo.ask(PAYLOADS[scenario.task], model=model_id)
        assert demo.clock.monotonic() - before < 15.0, model_id


async def test_the_hub_knows_all_but_the_missing_one(demo: Bench) -> None:
    found = {model_id: (await demo.hub(f"models/{model_id}")).status for model_id in DEMO_SCENARIOS}
    assert {model_id for model_id, status in found.items() if status != 200} == {"mayurjadhav/crypto-sentiment-model"}


def test_all_21_models_are_in_one_of_the_tables_and_every_oddity_is_in_the_docstring() -> None:
    others = {"facebook/bart-large-mnli", "sshleifer/distilbart-cnn-12-6"}
    assert TOP_LABELS.keys() | REFUSALS.keys() | TEXTS.keys() | others == DEMO_SCENARIOS.keys()
    assert len(DEMO_SCENARIOS) == 21
    documented = exporter.demo.__doc__ or ""
    odd = [model_id for model_id, scenario in DEMO_SCENARIOS.items() if scenario.kind is not Kind.IDLE_UNLOAD]
    assert [model_id for model_id in odd if f"| {model_id} |" not in documented] == []
