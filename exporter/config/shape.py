"""Which keys there are, of which types, and what each is for. Says nothing about how keys relate to each other."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainValidator, WithJsonSchema
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import PydanticCustomError, core_schema

from exporter.config import durations

TaskName = Literal["sentiment-analysis", "text-generation", "summarization", "zero-shot-classification"]
DAY_S: Final = 86_400.0
MAX_MODEL_ID: Final = 200
POLARITIES: Final = ("positive", "neutral", "negative")


def _refused(message: str, hint: str = "") -> PydanticCustomError:
    return PydanticCustomError("refused", "{message}", {"message": message, "hint": hint})


def _interval(value: object) -> float:
    seconds = durations.parse(value)
    if not 1 <= seconds <= 7 * DAY_S:
        raise _refused("must be from 1s to 7d")
    return seconds


def _duration_schema(**limits: float) -> WithJsonSchema:
    number = {"type": "number", **limits}
    return WithJsonSchema({"anyOf": [number, {"type": "string", "pattern": durations.SIMPLE_PATTERN}]})


def _word(value: str) -> str:
    if not value.isprintable() or value != value.strip():
        raise _refused("holds a control character, or a space at an end")
    return value


def _sendable(value: str) -> str:
    if not all(character.isprintable() or character in "\n\t" for character in value):
        raise _refused("holds a control character")
    return value


def _model_id(value: str) -> str:
    if not value.isprintable() or " " in value:
        raise _refused("holds a space or a control character", "an id looks like gpt2 or owner/name")
    if found := re.search(r"[?#%\\]", value):
        raise _refused(f"holds '{found[0]}', which has another meaning in a URL", "an id looks like gpt2 or owner/name")
    if ".." in value or any(part in ("", ".") for part in value.split("/")):
        raise _refused("has an empty part, '.' or '..'", "an id looks like gpt2 or owner/name")
    return value


def _polarity(value: str) -> str:
    if value not in POLARITIES:
        raise _refused("is no polarity", f"write {', '.join(POLARITIES)}")
    return value


def _url(value: str) -> str:
    # The value is never repeated: it may hold a password.
    try:
        parts = urlsplit(value)
        host = parts.port != 0 and parts.hostname
    except ValueError:
        raise _refused("is not a URL", "write https://host/path") from None
    if "@" in parts.netloc:
        raise _refused("must not hold a user name or a password", "name an environment variable with token_env")
    if parts.scheme not in ("http", "https") or not host or not value.isprintable() or re.search(r"[\s\\]", value):
        raise _refused("is not a URL", "write https://host/path")
    if "?" in value or "#" in value:
        raise _refused("must end with the path, without ? or #")
    return value.rstrip("/")


Duration = Annotated[
    float, PlainValidator(durations.parse), _duration_schema(exclusiveMinimum=0, maximum=durations.MAX_S)
]
Interval = Annotated[float, PlainValidator(_interval), _duration_schema(minimum=1, maximum=7 * DAY_S)]
Word = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(_word)]
PathText = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_word)]
Input = Annotated[str, Field(min_length=1, max_length=20_000), AfterValidator(_sendable)]
ModelId = Annotated[
    str,
    Field(min_length=1, max_length=MAX_MODEL_ID, json_schema_extra={"pattern": r"^[^\s?#%\\]+$"}),
    AfterValidator(_model_id),
]
Url = Annotated[str, Field(json_schema_extra={"pattern": "^https?://[^@?#]+$"}), AfterValidator(_url)]
Polarity = Annotated[str, AfterValidator(_polarity), Field(json_schema_extra={"enum": list(POLARITIES)})]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
EnvName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,99}$")]


def _key(description: str, *, default: Any = None, **more: Any) -> Any:
    """Return a key that may be left out. What is left out is None here; its default is a field of Config or Model."""
    extra = {} if default is None else {"default": default}
    return Field(None, description=description, json_schema_extra=extra, **more)


class Shape(BaseModel):
    """A mapping of which every key is known."""

    model_config = ConfigDict(
        strict=True,
        frozen=True,
        extra="forbid",
        model_title_generator=lambda shape: shape.__name__.removesuffix("Shape"),
    )


class BudgetShape(Shape):
    """What may be spent."""

    requests_per_month: int | None = _key(
        "Requests for inference in a calendar month (UTC); the pace is stretched so that it lasts, and beyond it "
        "nothing is sent.",
        ge=1,
        le=10**12,
    )
    compute_seconds_per_month: float | None = _key(
        "Seconds of compute in a calendar month (UTC), as the host counts them in x-compute-time; treated likewise.",
        gt=0,
        le=10**12,
        allow_inf_nan=False,
    )


class ProviderShape(Shape):
    """Who is asked."""

    kind: Literal["huggingface"] | None = _key("The protocol it speaks. Default: the provider's own name.")
    base_url: Url | None = _key(
        "Where requests for inference go; /models/{id} is added.",
        default="https://router.huggingface.co/hf-inference",
    )
    hub_url: Url | None = _key("Where metadata is read; /api/models/{id} is added.", default="https://huggingface.co")
    hub_provider: Word | None = _key(
        "The hub's name for this provider; tells whether a model is served at all.", default="hf-inference"
    )
    token_env: EnvName | None = _key(
        "The name of the environment variable that holds the token, or with _FILE added, that names a file of it. "
        "Never the token itself.",
        default="HF_TOKEN",
    )
    budget: BudgetShape | None = _key("What may be spent; without it nothing is held back.")


class TaskShape(Shape):
    """Settings for all models of one task."""

    interval: Interval | None = _key("Time between two probes of a model of this task.")
    timeout: Duration | None = _key("The longest that one request to a model of this task may take.")


class RetentionShape(Shape):
    """How long things are kept."""

    history: Duration | None = _key("How long each single check is kept.", default="30d")


class ExpectShape(Shape):
    """What the answer must say."""

    labels: list[Word] | None = _key(
        "The top label must be one of these, compared without case.", min_length=1, max_length=100
    )
    min_confidence: float | None = _key(
        "The least confidence, from 0 to 1, with which it must be given.", ge=0, le=1, allow_inf_nan=False
    )


class ModelShape(Shape):
    """One model to probe."""

    model_id: ModelId = Field(
        description="The id on the hub, with its owner if it has one.", examples=["gpt2", "ProsusAI/finbert"]
    )
    task: TaskName = Field(description="What it is asked to do; decides the input and how the answer is judged.")
    category: Word | None = _key("A group of your own choice, to filter and sum by.", default="general")
    provider: Name | None = _key("Who is asked: a key of providers. Default: the first one there.")
    model_key: Word | None = _key(
        "A short unique name. Default: made from the last part of model_id, with the owner if two would be the same."
    )
    requires_auth: bool | None = _key("It cannot be asked without a token.", default=False)
    enabled: bool | None = _key("false: kept here, but not probed.", default=True)
    interval: Interval | None = _key("Time between two probes. Default: that of its task, else the global one.")
    timeout: Duration | None = _key(
        "The longest that one request may take. Default: that of its task, else the global one."
    )
    input: Input | None = _key("A text to send instead of the task's own inputs.")
    expect: ExpectShape | None = _key("What the answer must say. Default: what the task knows of its own inputs.")
    polarity: dict[Word, Polarity] | None = _key(
        "What labels of its own mean, for sentiment-analysis: {LABEL_0: negative, LABEL_1: positive}.", max_length=100
    )
    multi_label: bool | None = _key("Its scores are independent of each other and need not sum to one.", default=False)
    latency_objective: Duration | None = _key("A good answer that took longer counts as degraded.")
    api: Literal["classic", "completions"] | None = _key(
        "For text-generation: post the task's own JSON, or the OpenAI form to /v1/completions.", default="classic"
    )
    fallback: list[ModelId] | None = _key(
        "Models of this file and of the same task to use instead when this one is down, best first.", max_length=20
    )


class FileShape(Shape):
    """Which models are probed, how often, and through whom."""

    interval: Interval | None = _key("Time between two probes of a model.", default="5m")
    timeout: Duration | None = _key("The longest that one request may take; at most the interval.", default="30s")
    concurrency: int | None = _key("Probes in flight at once, over all providers.", default=8, ge=1, le=10_000)
    database: PathText | None = _key(
        "The SQLite file of the history; relative to the working directory.", default="data/ai_models.db"
    )
    retention: RetentionShape | None = _key("How long the history is kept.")
    cold_start_wait: Duration | None = _key(
        "The longest wait before the second try at a model that says it is loading.", default="20s"
    )
    max_body: int | None = _key(
        "Bytes of an answer that are read; a longer one is bad output.", default=1_048_576, ge=1024, le=2**30
    )
    connectivity_check: Url | None = _key(
        "A URL that answers whenever our own network works; asked when a host cannot be reached, to tell the two "
        "apart. Default: the hosts of this file."
    )
    providers: dict[Name, ProviderShape] | None = _key("Who is asked, by a name of your own. Default: huggingface.")
    tasks: dict[TaskName, TaskShape] | None = _key("Settings for all models of a task.")
    models: list[ModelShape] | None = _key("The models to probe.")


class _Generator(GenerateJsonSchema):
    """Optional here means that a key may be left out, not that it may be null."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        found = super().dict_schema(schema)
        return found | {"additionalProperties": False} if "patternProperties" in found else found

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a configuration file, for editors and for `check`."""
    schema = FileShape.model_json_schema(schema_generator=_Generator)
    return {"$schema": GenerateJsonSchema.schema_dialect, **schema, "title": "ai-model-exporter configuration"}
