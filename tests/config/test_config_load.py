"""What a good configuration becomes; directories; warnings; the way out as YAML and in again."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from typing import Any

import pytest

from exporter.config import Config, ConfigError, ProviderConfig, as_yaml, load, yaml_nodes
from exporter.config.load import assemble
from exporter.models import Expectation, Model

MODELS = Path(__file__).parents[2] / "config" / "models.yaml"

CATEGORIES = {
    "ElKulako/cryptobert": "crypto",
    "kk08/CryptoBERT": "crypto",
    "mayurjadhav/crypto-sentiment-model": "crypto",
    "mathugo/crypto_news_bert": "crypto_news",
    "burakutf/finetuned-finbert-crypto": "crypto",
    "ProsusAI/finbert": "financial",
    "yiyanghkust/finbert-tone": "financial",
    "StephanAkkerman/FinTwitBERT-sentiment": "financial",
    "mrm8488/distilroberta-finetuned-financial-news-sentiment-analysis": "news",
    "cardiffnlp/twitter-roberta-base-sentiment-latest": "twitter",
    "finiteautomata/bertweet-base-sentiment-analysis": "twitter",
    "distilbert-base-uncased-finetuned-sst-2-english": "general",
    "nlptown/bert-base-multilingual-uncased-sentiment": "general",
    "OpenC/crypto-gpt-o3-mini": "crypto",
    "agarkovv/CryptoTrader-LM": "trading",
    "gpt2": "general",
    "distilgpt2": "general",
    "facebook/bart-large-cnn": "news",
    "sshleifer/distilbart-cnn-12-6": "news",
    "FurkanGozukara/Crypto-Financial-News-Summarizer": "crypto_news",
    "facebook/bart-large-mnli": "general",
}
TASKS = ["sentiment-analysis"] * 13 + ["text-generation"] * 4 + ["summarization"] * 3 + ["zero-shot-classification"] * 1
FULL = """
interval: 10m
timeout: 20s
concurrency: 3
database: /var/lib/models.db
retention: {history: 7d}
cold_start_wait: 10
max_body: 2_000_000
providers:
  hub: {kind: huggingface, base_url: "http://127.0.0.1:8080/x/", hub_url: "https://[::1]/", hub_provider: other,
        token_env: MY_TOKEN, budget: {requests_per_month: 9_000_000}}
  huggingface: {}
tasks:
  summarization: {interval: 1h, timeout: 1m}
models:
  - model_id: a/summary
    task: summarization
    fallback: [b/summary]
  - model_id: b/summary
    task: summarization
    timeout: 0.5
    enabled: off
  - model_id: 'quo"te/é'
    task: text-generation
    category: mine
    provider: huggingface
    model_key: q
    requires_auth: yes
    interval: 90s
    input: "two\\nlines"
    latency_objective: 1500ms
    api: completions
  - model_id: s/entiment
    task: sentiment-analysis
    expect: {labels: [Up, down], min_confidence: 1}
    polarity: {Up: positive, LABEL_0: negative}
    multi_label: true
"""


def read(*texts: str) -> Config:
    return assemble([(Path(f"{chr(97 + index)}.yaml"), text.encode()) for index, text in enumerate(texts)])


def refusal(*texts: str) -> str:
    with pytest.raises(ConfigError) as refused:
        read(*texts)
    return str(refused.value)


def model(model_id: str, **more: Any) -> str:
    return f"  - {{model_id: {model_id}, task: summarization{''.join(f', {k}: {v}' for k, v in more.items())}}}\n"


def test_the_models_file_holds_the_21_models_in_their_categories_and_tasks() -> None:
    config = load(MODELS)
    assert {model.model_id: model.category for model in config.models} == CATEGORIES
    assert [model.task for model in config.models] == TASKS
    assert [model.model_id for model in config.models if model.requires_auth] == ["ElKulako/cryptobert"]
    assert all(model.expect is None and model.enabled for model in config.models)


def test_the_models_file_holds_the_defaults_and_warns_of_what_it_would_cost_without_a_budget() -> None:
    config = load(MODELS)
    assert config == Config(models=config.models, warnings=config.warnings)
    assert [warning.partition(";")[0] for warning in config.warnings] == [
        "provider huggingface: 21 models at their intervals need up to 181,440 requests in 30 days, 6.0 times the "
        "30,000 that are free"
    ]
    assert config.providers["huggingface"] == ProviderConfig(name="huggingface")
    assert config.sources == (MODELS,)


def test_the_budget_and_the_task_settings_that_the_models_file_shows_in_comments_can_be_used() -> None:
    text = MODELS.read_text(encoding="utf-8")
    for line in (
        "budget: {requests_per_month: 30000, compute_seconds_per_month: 833}",
        "tasks:",
        "  summarization: {interval: 1h, timeout: 60s}",
    ):
        assert f"# {line}\n" in text
        text = text.replace(f"# {line}\n", f"{line}\n")
    config = read(text)
    assert config.providers["huggingface"].requests_per_month == 30_000
    assert [model.interval_s for model in config.models if model.task == "summarization"] == [3600.0] * 3


def test_the_example_of_all_keys_in_the_models_file_can_be_used() -> None:
    lines = MODELS.read_text(encoding="utf-8").splitlines()
    start = next(index for index, line in enumerate(lines) if line.startswith("#  - model_id"))
    block = [line.removeprefix("#") for line in lines[start : lines.index("", start)]]
    example = "\n".join(line for line in block if "api:" not in line)
    config = read(f"models:\n{example}\n{model('owner/other').replace('summarization', 'sentiment-analysis')}")
    assert config.models[0].expect == Expectation(labels=("negative", "bearish"), min_confidence=0.5)


def test_every_key_reaches_the_config() -> None:
    config = read(FULL)
    hub = ProviderConfig(
        name="hub",
        base_url="http://127.0.0.1:8080/x",
        hub_url="https://[::1]",
        hub_provider="other",
        token_env="MY_TOKEN",
        requests_per_month=9_000_000,
    )
    assert config == Config(
        interval_s=600.0,
        timeout_s=20.0,
        concurrency=3,
        database=Path("/var/lib/models.db"),
        history_s=604_800.0,
        cold_start_wait_s=10.0,
        max_body_bytes=2_000_000,
        providers={"hub": hub, "huggingface": ProviderConfig(name="huggingface")},
        models=(
            Model(
                model_id="a/summary",
                task="summarization",
                category="general",
                provider="hub",
                model_key="a_summary",
                interval_s=3600.0,
                timeout_s=60.0,
                fallback=("b/summary",),
            ),
            Model(
                model_id="b/summary",
                task="summarization",
                category="general",
                provider="hub",
                model_key="b_summary",
                interval_s=3600.0,
                timeout_s=0.5,
                enabled=False,
            ),
            Model(
                model_id='quo"te/é',
                task="text-generation",
                category="mine",
                provider="huggingface",
                model_key="q",
                requires_auth=True,
                interval_s=90.0,
                timeout_s=20.0,
                input="two\nlines",
                latency_objective_s=1.5,
                api="completions",
            ),
            Model(
                model_id="s/entiment",
                task="sentiment-analysis",
                category="general",
                provider="hub",
                model_key="entiment",
                interval_s=600.0,
                timeout_s=20.0,
                expect=Expectation(labels=("Up", "down"), min_confidence=1.0),
                polarity={"up": "positive", "label_0": "negative"},
                multi_label=True,
            ),
        ),
    )


def test_a_model_is_found_by_its_id_enabled_or_not_and_active_are_the_enabled_ones() -> None:
    config = read(FULL)
    assert config.model("b/summary") is config.models[1]
    assert config.model("nobody") is None
    assert config.active == (config.models[0], *config.models[2:])
    fewer = replace(config, models=config.models[:1])
    assert fewer.model("b/summary") is None
    assert fewer.active == config.models[:1]


def test_a_config_cannot_be_changed() -> None:
    config = read(FULL)
    with pytest.raises(FrozenInstanceError):
        config.concurrency = 1  # type: ignore[misc]
    with pytest.raises(TypeError):
        config.providers["x"] = ProviderConfig(name="x")  # type: ignore[index]


@pytest.mark.parametrize("text", [FULL, MODELS.read_text(encoding="utf-8"), "models: []"], ids=["full", "ours", "none"])
def test_the_effective_configuration_is_read_again_as_an_equal_config(text: str) -> None:
    config = read(text)
    assert read(as_yaml(config)) == config


def test_the_effective_configuration_quotes_what_yaml_would_take_for_something_else() -> None:
    config = read("models:\n" + model("'no'") + model("'123'") + model("'1:30'"))
    again = read(as_yaml(config))
    assert [model.model_id for model in again.models] == ["no", "123", "1:30"]


@pytest.mark.parametrize(
    ("written", "keys"),
    [
        (["a/One-Two.3"], ["one_two_3"]),
        (["a/x", "b/x", "c/y"], ["a_x", "b_x", "y"]),
        (["a/x", "c/y, model_key: x"], ["a_x", "x"]),
        (["a.b", "a-b", "a_b"], ["a_b", "a_b_2", "a_b_3"]),
        (["a.b", "a-b", "z, model_key: a_b_2"], ["a_b", "a_b_3", "a_b_2"]),
        (["_", "漢/字"], ["model", "字"]),
    ],
    ids=["last part", "owner when two are the same", "given keys come first", "numbers", "numbers taken", "no letters"],
)
def test_a_model_key_is_made_from_the_id_and_unique(written: list[str], keys: list[str]) -> None:
    config = read("models:\n" + "".join(map(model, written)))
    assert [model.model_key for model in config.models] == keys


def test_aliases_and_merge_keys_share_settings_and_the_own_key_wins() -> None:
    text = (
        "models:\n  - &base {model_id: a, task: summarization, category: x, timeout: 5s}\n"
        "  - &second {<<: *base, model_id: b, timeout: 6s}\n"
        "  - {model_id: c, <<: [{category: z}, *second]}\n"
        "  - {model_id: d, task: summarization, category: *cat}\n".replace("*cat", "y")
    )
    models = read(text).models
    assert [(model.category, model.timeout_s) for model in models] == [("x", 5), ("x", 6), ("z", 6), ("y", 30)]


@pytest.mark.parametrize("text", ["\ufeffmodels: []\n", "--- \nmodels: []\n...\n", "models: []\r\n", '{"models": []}'])
def test_other_spellings_of_a_file_are_read(text: str) -> None:
    assert read(text).models == ()


def test_an_alias_of_a_text_can_stand_for_a_key() -> None:
    models = read("models:\n  - {model_id: &key category, task: summarization, *key : x}\n").models
    assert models[0].category == "x"


# --- files and directories


def test_the_files_of_a_directory_are_merged_in_the_order_of_their_names(tmp_path: Path) -> None:
    (tmp_path / "20.yml").write_text("models:\n" + model("b", fallback="[a]"))
    (tmp_path / "10.yaml").write_text("interval: 1m\nproviders: {huggingface: {}}\nmodels:\n" + model("a"))
    (tmp_path / "30.yaml").write_text("tasks: {summarization: {timeout: 9s}}\nproviders: {x: {kind: huggingface}}\n")
    (tmp_path / ".40.yaml").write_text("not: ours")
    (tmp_path / "models.schema.json").write_text("{}")
    config = load(tmp_path)
    assert [(model.model_id, model.timeout_s, model.interval_s) for model in config.models] == [
        ("a", 9.0, 60.0),
        ("b", 9.0, 60.0),
    ]
    assert {model.provider for model in config.models} == {"huggingface"}
    assert list(config.providers) == ["huggingface", "x"]
    assert config.sources == tuple(tmp_path / name for name in ("10.yaml", "20.yml", "30.yaml"))


def test_what_two_files_set_is_refused_naming_both() -> None:
    first = "interval: 5m\nproviders: {huggingface: {}}\ntasks: {summarization: {}}\nmodels:\n" + model("a")
    second = "models:\n" + model("a") + "tasks: {summarization: {}}\nproviders: {huggingface: {}}\ninterval: 5m\n"
    assert refusal(first, second).splitlines() == [
        "b.yaml:2: models.a: the same model as in a.yaml:5; keep one of them",
        "b.yaml:3: tasks.summarization: already set in a.yaml:3; keep one of them",
        "b.yaml:4: providers.huggingface: already set in a.yaml:2; keep one of them",
        "b.yaml:5: interval: already set in a.yaml:1; keep one of them",
    ]


def test_problems_of_all_files_are_told_at_once_and_a_broken_file_blames_no_other() -> None:
    assert refusal("models: [\n", "intervall: 1\nmodels:\n" + model("a", fallback="[b]")).splitlines() == [
        "a.yaml:2: not valid YAML: did not find expected node content",
        "b.yaml:1: intervall: unknown key; did you mean 'interval'?",
    ]


def test_a_model_that_is_wrong_itself_is_still_known_to_others() -> None:
    text = "models:\n" + model("a", fallback="[b]") + model("b", timeot="5s") + model("b")
    assert refusal(text).splitlines() == [
        "a.yaml:3: models.b.timeot: unknown key; did you mean 'timeout'?",
        "a.yaml:4: models.b: the same model as in a.yaml:3; keep one of them",
    ]


def test_a_wrong_provider_or_interval_brings_no_other_problems_with_it() -> None:
    text = "interval: x\nproviders: {p: {kind: z}}\nmodels:\n" + model("a", provider="p", timeout="1h")
    assert [line.split(": ")[1] for line in refusal(text).splitlines()] == ["interval", "providers.p.kind"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing.yaml", "missing.yaml: no such file; name one with --config"),
        ("empty", "empty: a directory without *.yaml or *.yml"),
        ("holder", "holder/models.yaml: cannot be read (Is a directory)"),
        ("file.yaml/x", "file.yaml/x: cannot be read (Not a directory)"),
        ("nul\0", "nul\0: cannot be read (a bad path)"),
    ],
    ids=["missing", "empty directory", "directory", "below a file", "NUL"],
)
def test_what_cannot_be_read_is_refused_by_name(
    name: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "holder" / "models.yaml").mkdir(parents=True)
    (tmp_path / "file.yaml").write_text("models: []")
    with pytest.raises(ConfigError) as refused:
        load(Path(name))
    assert str(refused.value) == message


def test_a_directory_that_may_not_be_listed_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def iterdir(_: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", iterdir)
    with pytest.raises(ConfigError, match=r"cannot be read \(Permission denied\)"):
        load(tmp_path)


# --- warnings


@pytest.mark.parametrize(
    ("text", "warnings"),
    [
        ("models: []", ["no models are configured: nothing is probed"]),
        ("models:\n" + model("a", enabled="false"), ["all 1 models are disabled: nothing is probed"]),
        ("concurrency: 1\ninterval: 2m\ntimeout: 2m\nmodels:\n" + model("a"), []),
        (
            "concurrency: 1\ninterval: 6m\ntimeout: 3m\nmodels:\n" + model("a") + model("b") + model("c"),
            [
                "if every probe timed out, 1.5 would be in flight at once, and concurrency is 1: "
                "raise concurrency to 2, lengthen the interval or shorten the timeout"
            ],
        ),
        (
            "concurrency: 1\ninterval: 4m\ntimeout: 2m\nmodels:\n"
            + model("a")
            + model("b")
            + model("c", enabled="false"),
            [],
        ),
        (
            "interval: 1m\nmodels:\n" + model("a"),
            [
                "provider huggingface: 1 models at their intervals need up to 43,200 requests in 30 days, 1.4 times "
                "the 30,000 that are free; nothing is held back without a budget: set one (budget: "
                "{requests_per_month: …}) to have the pace stretched to it"
            ],
        ),
        ("providers: {huggingface: {budget: {requests_per_month: 8640}}}\nmodels:\n" + model("a"), []),
        (
            "providers: {huggingface: {budget: {requests_per_month: 30000}}}\nmodels:\n"
            + "".join(model(f"m{index}") for index in range(21)),
            [
                "provider huggingface: 21 models at their intervals need up to 181,440 requests in 30 days, 6.0 times "
                "the budget of 30,000: the intervals are stretched about 6.1 times so that it lasts"
            ],
        ),
    ],
    ids=[
        "none",
        "all disabled",
        "just enough",
        "crowded",
        "disabled do not count",
        "more than is free",
        "within budget",
        "over budget",
    ],
)
def test_what_will_not_work_as_meant_is_warned_of_with_the_numbers(text: str, warnings: list[str]) -> None:
    assert list(read(text).warnings) == warnings


def test_ten_thousand_models_are_read() -> None:
    config = read("concurrency: 1000\nmodels:\n" + "".join(model(f"owner/m-{index}") for index in range(10_000)))
    assert len(config.active) == 10_000
    assert len(config.warnings) == 1
    assert yaml_nodes.LOADER.__name__ in ("CSafeLoader", "SafeLoader")
