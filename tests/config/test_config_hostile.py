"""Whatever is in a file: a Config or a ConfigError, soon. With libyaml and without."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from exporter.config import Config, ConfigError, as_yaml, yaml_nodes
from exporter.config.document import MAX_BYTES
from exporter.config.load import assemble
from exporter.config.messages import _SHAPES, TASKS

LOADERS = [loader for name in ("CSafeLoader", "SafeLoader") if (loader := getattr(yaml, name, None))]
# A busy machine is no failure.
UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
BOMB = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{below}'] * 10)}]\n"
    for below, name in zip("abcdefghij", "bcdefghijk", strict=True)
)


@pytest.fixture(params=LOADERS, ids=lambda loader: loader.__name__, autouse=True, scope="module")
def _loader(request: pytest.FixtureRequest) -> Iterator[None]:
    before = yaml_nodes.LOADER
    yaml_nodes.LOADER = request.param
    yield
    yaml_nodes.LOADER = before


def outcome(raw: bytes) -> Config | ConfigError:
    try:
        config = assemble([(Path("models.yaml"), raw)])
    except ConfigError as refused:
        result = refused
    else:
        assert assemble([(Path("models.yaml"), as_yaml(config).encode())]) == config
        return config
    assert result.problems
    for problem in result.problems:
        assert problem.file == "models.yaml"
        assert problem.message
        assert str(problem).isprintable(), "a problem is one line and forges no other"
    return result


def refusal(text: str) -> str:
    result = outcome(text.encode("utf-8", "surrogatepass"))
    assert isinstance(result, ConfigError)
    return str(result)


@UNHURRIED
@given(st.binary(max_size=200))
def test_any_bytes_give_a_config_or_a_config_error(raw: bytes) -> None:
    outcome(raw)


@UNHURRIED
@given(st.text(alphabet=st.one_of(st.sampled_from("[]{}:,-&*!|>'\"%@`?#<\\ \n\tax01"), st.characters()), max_size=80))
@example('"\\UFFFFFFFF"')
@example('"\\ud800"')
@example('x: "\\ud800"')
@example("*a : b")
@example("? *a")
@example("&a [*a]: 1")
@example("<<: *a")
@example("%YAML 3.0\n---\n")
@example("!!float x: 1")
@example("x: !!float y")
@example("a: " + "9" * 5000)
def test_any_text_gives_a_config_or_a_config_error(text: str) -> None:
    outcome(text.encode("utf-8", "surrogatepass"))


_KEYS = sorted({key for shape in _SHAPES.values() for key in shape.model_fields} | {"huggingface", "x", "", "a\nb"})
_SCALARS = st.one_of(
    st.sampled_from(["gpt2", "a/b", "5m", "1h", "1:30", "hf-inference", "https://x", "http://[", "classic", *TASKS]),
    st.integers(),
    st.floats(),
    st.booleans(),
    st.none(),
    st.text(max_size=10),
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_KEYS), inner, max_size=4),
    max_leaves=10,
)
_MODEL = st.fixed_dictionaries(
    {"model_id": st.sampled_from(["gpt2", "a/b", "c"]) | _VALUES, "task": st.sampled_from(TASKS) | _VALUES},
    optional=dict.fromkeys(_SHAPES["models", "*"].model_fields.keys() - {"model_id", "task"}, _VALUES),
)
_FILE = st.fixed_dictionaries(
    {"models": st.lists(_MODEL | _VALUES, max_size=4)},
    optional=dict.fromkeys(_SHAPES[()].model_fields.keys() - {"models"}, _VALUES) | {"zzz": _VALUES},
)


@UNHURRIED
@given(_FILE)
def test_any_values_under_our_keys_give_a_config_or_a_config_error(data: dict[str, Any]) -> None:
    outcome(yaml.safe_dump(data, allow_unicode=True).encode("utf-8", "surrogatepass"))


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? ", "a: [", "[{a: ", "&a ["], ids=repr)
def test_deep_nesting_is_refused_without_touching_the_bottom(opening: str) -> None:
    assert "nested more than 50 deep" in refusal(opening * 100_000)


@pytest.mark.parametrize(
    "use",
    ["", "models: *k\n", "models: [*k]\n", "models: [{model_id: *k, task: *k, fallback: *k}]\n", "interval: *k\n"],
    ids=["unused", "models", "model", "keys of a model", "duration"],
)
def test_a_billion_laughs_cost_nothing(use: str) -> None:
    assert "unknown key" in refusal(BOMB + use)


def test_a_billion_merges_cost_little() -> None:
    keys = ", ".join(f"k{index}: 1" for index in range(3000))
    assert "too much is merged" in refusal(f"a: &a {{{keys}}}\nb: {{<<: [{','.join(['*a'] * 1000)}]}}\n")


def test_many_equal_models_by_alias_are_refused_at_their_own_lines() -> None:
    text = "models:\n- &m {model_id: a, task: summarization}\n" + "- *m\n" * 3
    assert [line.split(": ")[0] for line in refusal(text).splitlines()] == [f"models.yaml:{line}" for line in (3, 4, 5)]


def test_near_names_are_not_looked_for_without_end() -> None:
    models = "".join(f"- {{model_id: m{i}, task: summarization, fallback: [n{i}]}}\n" for i in range(300))
    lines = refusal(f"models:\n{models}").splitlines()
    assert len(lines) == 300
    assert lines[-1].endswith("configure it as a model too")


def test_a_file_beyond_all_measure_is_refused() -> None:
    result = outcome(b"#" * (MAX_BYTES + 1))
    assert str(result) == "models.yaml: larger than 32 MiB; is this the right file?"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('database: "\\ud800"', "models.yaml:1: "),
        ('"\\UFFFFFFFF": 1', "models.yaml:1: "),
        ("\x01", "models.yaml:1: a control character (U+0001); is this a text file?"),
        ("a: \ud800", "models.yaml:1: not UTF-8; save the file as UTF-8"),
        ("%TAG ! x\n%YAML 9.9\n--- [", "models.yaml:"),
    ],
    ids=["surrogate", "beyond Unicode", "control", "raw surrogate", "directives"],
)
def test_characters_that_are_none_are_refused(text: str, message: str) -> None:
    assert refusal(text).startswith(message)


@pytest.mark.parametrize("model_id", ['a"b', "a{b}", "é/ü", "a,b", "a=b", "a'b", "a:b", "(a)", "a/b/c"])
def test_ids_that_break_labels_or_urls_of_others_are_kept_as_they_are(model_id: str) -> None:
    text = yaml.safe_dump({"models": [{"model_id": model_id, "task": "summarization"}]}, allow_unicode=True)
    config = outcome(text.encode())
    assert isinstance(config, Config)
    assert config.models[0].model_id == model_id
