"""A stand-in for the hosted service, for the demo and the tests: it speaks the protocol, its answers are a toy's.

What `run --demo` shows (the other models answer well, after a load at the first request or after a minute's idleness):

| model | what it plays |
| --- | --- |
| ElKulako/cryptobert | gated: 403 |
| mayurjadhav/crypto-sentiment-model | does not exist: 404 |
| mathugo/crypto_news_bert | cold: 503 with an estimate of 3 s, then well |
| burakutf/finetuned-finbert-crypto | deprecated: 410 |
| yiyanghkust/finbert-tone | well, but slow: 2.4 s |
| StephanAkkerman/FinTwitBERT-sentiment | wrong: the labels are flipped |
| finiteautomata/bertweet-base-sentiment-analysis | overloaded: 503 |
| nlptown/bert-base-multilingual-uncased-sentiment | broken: 500 |
| OpenC/crypto-gpt-o3-mini | not served: nobody in the hub's mapping |
| gpt2 | not served, and renamed on the hub |
| distilgpt2 | not served, and renamed on the hub |
| distilbert-base-uncased-finetuned-sst-2-english | well, and renamed on the hub |
| sshleifer/distilbart-cnn-12-6 | 200 with garbage |
| FurkanGozukara/Crypto-Financial-News-Summarizer | loading: 503, for ever |

Nothing here says anything of the quality of the models whose ids it uses: scores and texts come from a word list
(see `exporter.demo.toy`).
"""

from exporter.demo.scenario import Kind, Scenario
from exporter.demo.scenes import DEMO_SCENARIOS
from exporter.demo.standin import StandIn
from exporter.demo.world import ALIASES, DEMO_TOKEN, DEPLETED_TOKEN, NO_SCOPE_TOKEN, HostFault, Received

__all__ = [
    "ALIASES",
    "DEMO_SCENARIOS",
    "DEMO_TOKEN",
    "DEPLETED_TOKEN",
    "NO_SCOPE_TOKEN",
    "HostFault",
    "Kind",
    "Received",
    "Scenario",
    "StandIn",
]
