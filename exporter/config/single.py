"""One model given as a mapping, as the library is called with, judged by the same rules as one of a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import yaml

from exporter.config.dump import as_yaml
from exporter.config.load import assemble
from exporter.config.values import Config
from exporter.models import Model

SOURCE: Final = Path("model")
# What a row of the store has beside the keys of a model; a row can be handed in as it is.
ROW_COLUMNS: Final = frozenset(
    {
        "id",
        "is_active",
        "created_at",
        "updated_at",
        "status",
        "total_checks",
        "successful_checks",
        "failed_checks",
        "avg_response_time_ms",
        "last_success_at",
        "last_failure_at",
        "success_rate",
    }
)


def parse_model(given: Mapping[str, Any], config: Config) -> Model:
    """Return the model that `given` describes, with the providers and defaults of `config`.

    Raises ConfigError, at the place `model:LINE`, on a key or value that a file could not have either.
    """
    entry = {key: value for key, value in given.items() if key not in ROW_COLUMNS and value is not None}
    document = yaml.safe_load(as_yaml(replace(config, models=(), warnings=())))
    document["models"] = [{key: _plain(value) for key, value in entry.items()}]
    return assemble([(SOURCE, yaml.safe_dump(document, sort_keys=False).encode())]).models[0]


def _plain(value: Any) -> Any:
    """Return a value that YAML can hold; what it cannot is shown as text and then refused by its type."""
    return value if isinstance(value, bool | int | float | str | list | dict) else repr(value)
