"""The JSON Schema: checked in, complete, and of one mind with the loader."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from jsonschema import Draft202012Validator

from exporter.config import TASKS, Config, as_yaml, json_schema, load
from exporter.config.load import assemble
from exporter.config.messages import _CHOICES, _SHAPES, SYNONYMS
from exporter.config.shape import ModelShape, ProviderShape, Shape

ROOT = Path(__file__).parents[2]
MODELS = ROOT / "config" / "models.yaml"
SCHEMA = json_schema()
VALIDATOR = Draft202012Validator(SCHEMA)


def read(text: str) -> Config:
    return assemble([(Path("models.yaml"), text.encode())])


def properties(schema: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(schema, dict):
        for name, value in schema.get("properties", {}).items():
            yield f"{path}.{name}", value
        for name, value in schema.items():
            yield from properties(value, f"{path}.{name}")


def test_the_checked_in_schema_is_the_generated_one() -> None:
    assert json.loads((ROOT / "config" / "models.schema.json").read_text(encoding="utf-8")) == SCHEMA


def test_the_schema_is_a_valid_schema_of_draft_2020_12() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_every_key_has_a_title_or_a_reference_and_a_description() -> None:
    found = dict(properties(SCHEMA))
    assert len(found) > 30
    for path, value in found.items():
        assert value["description"].endswith("."), path
        assert "title" in value or "$ref" in value, path


def test_every_mapping_is_closed_and_no_key_may_be_null() -> None:
    for definition in (SCHEMA, *SCHEMA["$defs"].values()):
        assert definition["additionalProperties"] is False
    assert '"null"' not in json.dumps(SCHEMA)


def test_the_models_file_names_the_schema_and_agrees_with_it() -> None:
    text = MODELS.read_text(encoding="utf-8")
    assert text.startswith("# yaml-language-server: $schema=models.schema.json\n")
    VALIDATOR.validate(yaml.safe_load(text))


def test_the_effective_configuration_agrees_with_the_schema() -> None:
    VALIDATOR.validate(yaml.safe_load(as_yaml(load(MODELS))))


@pytest.mark.parametrize(
    "text",
    [
        "models: [{model_id: gpt2}]",
        "models: [{model_id: gpt2, task: chess}]",
        "models: [{model_id: a b, task: summarization}]",
        "models: [{model_id: gpt2, task: summarization, timeot: 5s}]",
        "models: [{model_id: gpt2, task: summarization, fallback: x}]",
        "interval: 5 minutes",
        "interval: 0",
        "interval: 604801",
        "interval: null",
        "concurrency: 0",
        "tasks: {chess: {}}",
        "providers: {'my own': {kind: huggingface}}",
        "providers: {x: {kind: other}}",
        "providers: {x: {base_url: 'https://user:password@host'}}",
    ],
)
def test_the_schema_refuses_what_the_loader_refuses(text: str) -> None:
    assert not VALIDATOR.is_valid(yaml.safe_load(text))
    with pytest.raises(Exception, match=r"models\.yaml:1"):
        read(text)


def test_the_defaults_that_the_schema_names_are_those_that_hold() -> None:
    def defaults(schema: dict[str, Any]) -> dict[str, Any]:
        return {name: value["default"] for name, value in schema["properties"].items() if "default" in value}

    retention = defaults(SCHEMA["$defs"]["RetentionShape"])
    provider = defaults(SCHEMA["$defs"]["ProviderShape"])
    model = defaults(SCHEMA["$defs"]["ModelShape"]) | {"model_id": "gpt2", "task": "text-generation"}
    assert len(defaults(SCHEMA)) == 6
    assert len(provider) == 4
    written = defaults(SCHEMA) | {"retention": retention, "providers": {"huggingface": provider}, "models": [model]}
    bare = read("models: [{model_id: gpt2, task: text-generation}]")
    assert read(yaml.safe_dump(written)) == bare
    assert bare == replace(Config(models=bare.models))


@pytest.mark.parametrize("synonym", SYNONYMS)
def test_a_synonym_is_no_choice_and_leads_to_one(synonym: str) -> None:
    choices = {choice for group in _CHOICES.values() for choice in group}
    assert synonym not in choices
    assert SYNONYMS[synonym] in choices


def test_the_choices_of_the_hints_are_those_of_the_shapes() -> None:
    def literals(shape: type[Shape], key: str) -> tuple[str, ...]:
        annotation = shape.model_fields[key].annotation
        inner = [part for part in get_args(annotation) if part is not type(None)]
        return get_args(inner[0]) or tuple(inner)

    assert literals(ModelShape, "task") == TASKS == _CHOICES["tasks"]
    assert literals(ModelShape, "api") == _CHOICES["api"]
    assert literals(ProviderShape, "kind") == _CHOICES["kind"]
    assert set(_SHAPES.values()) == set(Shape.__subclasses__())
