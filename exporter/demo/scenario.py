"""What the stand-in plays for one model: a kind of behaviour and its few parameters. Data only: no I/O, no clock."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, Literal

from exporter.demo.toy import POSITIVE_NEGATIVE, Labels
from exporter.models import stable_fraction

HF_INFERENCE: Final = "hf-inference"

Providers = tuple[tuple[str, str], ...]


class Kind(StrEnum):
    """Every behaviour that can be played; each has a row in tests/demo/test_kinds.py."""

    # answers well
    IDLE_UNLOAD = "idle_unload"  # unloads after 60 s without a request; the next one waits for the load (the default)
    WARM = "warm"
    GZIP = "gzip"
    # cold, as the old host said it
    LEGACY_COLD = "legacy_cold"  # 503 with a decreasing estimate until loaded; X-Wait-For-Model holds the request
    LOADING = "loading"  # 503 with an estimate, for ever
    # refused
    NOT_SERVED = "not_served"  # the hub's mapping is {}, the router says 400
    UNSUPPORTED = "unsupported"  # the hub says live, the router says 400
    DEPRECATED = "deprecated"
    GATED = "gated"
    DISABLED = "disabled"
    MISSING = "missing"
    RENAMED = "renamed"  # the hub redirects to `renamed_to`; the router does not know the old id
    # busy or broken
    OVERLOADED = "overloaded"
    TGI_OVERLOADED = "tgi_overloaded"
    RATE_LIMITED = "rate_limited"
    SERVER_ERROR = "server_error"
    BAD_GATEWAY = "bad_gateway"
    GATEWAY_TIMEOUT = "gateway_timeout"
    UNAVAILABLE = "unavailable"
    MODEL_ERROR = "model_error"
    GENERATION_ERROR = "generation_error"
    VALIDATION_ERROR = "validation_error"
    TEMPLATE_ERROR = "template_error"
    NO_CONTENT = "no_content"
    # a connection that misbehaves
    HANG = "hang"
    RESET = "reset"
    SLOW_BODY = "slow_body"
    ENDLESS_BODY = "endless_body"
    HUGE_BODY = "huge_body"
    TRUNCATED_BODY = "truncated_body"
    # 200 with a body that is not the answer
    INVALID_JSON = "invalid_json"
    WRONG_CONTENT_TYPE = "wrong_content_type"
    INVALID_UTF8 = "invalid_utf8"
    DEEP_NESTING = "deep_nesting"
    STREAM_ERROR = "stream_error"
    EMPTY_LIST = "empty_list"
    NESTED_EMPTY_LIST = "nested_empty_list"
    # 200 with an answer that is wrong; the score kinds change rankings only, the text kinds texts (and labels)
    EMPTY_TEXT = "empty_text"
    GARBAGE = "garbage"
    NAN_SCORES = "nan_scores"
    UNNORMALISED_SCORES = "unnormalised_scores"
    SCORE_OUT_OF_RANGE = "score_out_of_range"
    LABELS_RENAMED = "labels_renamed"
    SCORE_DRIFT = "score_drift"
    FLIPPED = "flipped"


_MAPPING_IS_EMPTY: Final = frozenset({Kind.NOT_SERVED})
_DEFAULT_DELAY_S: Final = {Kind.GATEWAY_TIMEOUT: 30.0, Kind.SLOW_BODY: 10.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """The behaviour of one model, on the router and on the hub.

    `task` is the hub's pipeline_tag, `labels` the label set of a classifier with polarities in [-1, 1].
    `load_s`: seconds of a cold load, and the estimate of `loading`; None draws 2 to 8 s from the seed.
    `delay_s`: seconds before an answer, for a slow body over the whole body; None: 30 s for a gateway timeout,
    10 s for a slow body, else none. `retry_after_s` in seconds, sent as an HTTP-date if `retry_after_date`.
    `providers`: the hub's mapping as (provider, status) pairs; None follows from the kind. `mapping_task`: the task
    in the mapping, where it differs from `task`. `revision` makes the hub's sha, `served_revision` the one of the
    answers (None: the same). `drift`: how far a drifted score is mixed with the uniform one, in [0, 1].
    `batches`: how a list without top_k is grouped, `[[a], [b]]` (per_input) or the old `[[a, b]]` (joined).
    Raises ValueError for a renamed model without a target.
    """

    kind: Kind = Kind.IDLE_UNLOAD
    task: str = "text-classification"
    labels: Labels = POSITIVE_NEGATIVE
    load_s: float | None = None
    delay_s: float | None = None
    retry_after_s: float | None = None
    retry_after_date: bool = False
    renamed_to: str | None = None
    providers: Providers | None = None
    mapping_task: str | None = None
    gated: Literal["auto", "manual"] | None = None
    disabled: bool = False
    private: bool = False
    new_version: str | None = None
    revision: int = 1
    served_revision: int | None = None
    drift: float = 0.3
    batches: Literal["per_input", "joined"] = "per_input"
    zero_shot: Literal["pairs", "object", "object_list"] = "pairs"
    size_bytes: int = 100 * 1024 * 1024
    script: tuple[Scenario, ...] = ()

    def __post_init__(self) -> None:
        if self.kind is Kind.RENAMED and not self.renamed_to:
            raise ValueError("a renamed model needs renamed_to")

    @classmethod
    def sequence(cls, *parts: Scenario) -> Scenario:
        """Return a scenario that plays one part a request for inference, and stays at the last.

        The hub shows the part that comes next. Raises ValueError without parts.
        """
        if not parts:
            raise ValueError("a sequence needs at least one part")
        return replace(parts[0], script=parts)

    def part(self, turn: int) -> Scenario:
        """Return what is played at the `turn`-th request, counted from 0."""
        return self.script[min(turn, len(self.script) - 1)] if self.script else self

    @property
    def wait_s(self) -> float:
        """Seconds of delay, the kind's default included."""
        return self.delay_s if self.delay_s is not None else _DEFAULT_DELAY_S.get(self.kind, 0.0)

    @property
    def mapping(self) -> Providers:
        """The hub's inferenceProviderMapping as (provider, status) pairs."""
        if self.providers is not None:
            return self.providers
        return () if self.kind in _MAPPING_IS_EMPTY else ((HF_INFERENCE, "live"),)

    @property
    def hub_gated(self) -> str | bool:
        """The hub's `gated` field: False, "auto" or "manual"."""
        return self.gated or ("manual" if self.kind is Kind.GATED else False)

    def load_seconds(self, seed: int, model_id: str) -> float:
        """Return how long a cold load of this model takes, in seconds."""
        return self.load_s if self.load_s is not None else 2 + 6 * stable_fraction(f"{seed}:{model_id}:load")
