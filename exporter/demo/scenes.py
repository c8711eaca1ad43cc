"""What each of the 21 configured models plays in the demo: every state within a minute. Data only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from exporter.demo import toy
from exporter.demo.scenario import Kind, Scenario

_NOT_SERVED: Final = Scenario(kind=Kind.NOT_SERVED, task="text-generation")

DEMO_SCENARIOS: Final[Mapping[str, Scenario]] = {
    "ElKulako/cryptobert": Scenario(kind=Kind.GATED, labels=toy.BULLISH_TITLE),
    "kk08/CryptoBERT": Scenario(labels=toy.LABEL_0_1),
    "mayurjadhav/crypto-sentiment-model": Scenario(kind=Kind.MISSING),
    "mathugo/crypto_news_bert": Scenario(kind=Kind.LEGACY_COLD, load_s=3.0, labels=toy.LOWER_THREE),
    "burakutf/finetuned-finbert-crypto": Scenario(kind=Kind.DEPRECATED, labels=toy.LOWER_THREE),
    "ProsusAI/finbert": Scenario(labels=toy.LOWER_THREE),
    "yiyanghkust/finbert-tone": Scenario(kind=Kind.WARM, delay_s=2.4, labels=toy.TITLE_THREE),
    "StephanAkkerman/FinTwitBERT-sentiment": Scenario(kind=Kind.FLIPPED, labels=toy.BULLISH_UPPER),
    "mrm8488/distilroberta-finetuned-financial-news-sentiment-analysis": Scenario(labels=toy.LOWER_THREE),
    "cardiffnlp/twitter-roberta-base-sentiment-latest": Scenario(labels=toy.LOWER_THREE),
    "finiteautomata/bertweet-base-sentiment-analysis": Scenario(kind=Kind.OVERLOADED, labels=toy.POS_NEU_NEG),
    "distilbert-base-uncased-finetuned-sst-2-english": Scenario(labels=toy.POSITIVE_NEGATIVE),
    "nlptown/bert-base-multilingual-uncased-sentiment": Scenario(kind=Kind.SERVER_ERROR, labels=toy.FIVE_STARS),
    "OpenC/crypto-gpt-o3-mini": _NOT_SERVED,
    "agarkovv/CryptoTrader-LM": Scenario(task="text-generation"),
    "gpt2": _NOT_SERVED,
    "distilgpt2": _NOT_SERVED,
    "facebook/bart-large-cnn": Scenario(task="summarization"),
    "sshleifer/distilbart-cnn-12-6": Scenario(kind=Kind.GARBAGE, task="summarization"),
    "FurkanGozukara/Crypto-Financial-News-Summarizer": Scenario(kind=Kind.LOADING, load_s=20.0, task="summarization"),
    "facebook/bart-large-mnli": Scenario(task="zero-shot-classification"),
}
