"""What a configuration is when it has been read, and what is told when it cannot be. No files, no YAML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from exporter.models import Model


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong, as an address and what to do. `line` counts from 1; 0 when no line could be read."""

    file: str
    line: int
    path: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        text = ": ".join(part for part in (place, self.path, self.message) if part)
        return f"{text}; {self.hint}" if self.hint else text


class ConfigError(Exception):
    """The configuration is refused. `problems` holds everything that is wrong, in the order of files and lines."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderConfig:
    """Where to ask, and which environment variable holds the token. URLs have no trailing slash and no credentials."""

    name: str
    kind: str = "huggingface"
    base_url: str = "https://router.huggingface.co/hf-inference"
    hub_url: str = "https://huggingface.co"
    hub_provider: str = "hf-inference"
    token_env: str = "HF_TOKEN"  # noqa: S105 -- a variable's name
    requests_per_month: int | None = None
    compute_s_per_month: float | None = None


def _default_providers() -> Mapping[str, ProviderConfig]:
    return MappingProxyType({"huggingface": ProviderConfig(name="huggingface")})


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The effective configuration: `models` enabled and not, in the order of the files. Equality ignores `sources`."""

    models: tuple[Model, ...]
    providers: Mapping[str, ProviderConfig] = field(default_factory=_default_providers)
    interval_s: float = 300.0
    timeout_s: float = 30.0
    concurrency: int = 8
    database: Path = Path("data/ai_models.db")
    history_s: float = 2_592_000.0
    cold_start_wait_s: float = 20.0
    max_body_bytes: int = 1_048_576
    connectivity_check: str | None = None
    sources: tuple[Path, ...] = field(default=(), compare=False)
    warnings: tuple[str, ...] = ()
    active: tuple[Model, ...] = field(init=False, repr=False, compare=False)
    """The enabled models."""
    _by_id: Mapping[str, Model] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "active", tuple(model for model in self.models if model.enabled))
        object.__setattr__(self, "_by_id", {model.model_id: model for model in self.models})

    def model(self, model_id: str) -> Model | None:
        """Return the configured model of that id, enabled or not."""
        return self._by_id.get(model_id)
