"""One model given as a mapping, as the library is called with, judged by the same rules as one of a file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from exporter.config.document import Document
from exporter.config.load import model_shape
from exporter.config.meaning import Draft, Entry, Placed, check_models, models_of
from exporter.config.values import Config, ConfigError
from exporter.config.yaml_nodes import Node
from exporter.models import Model

# A row of the store, or an item of the API's list, can be handed in as it is: these tell it from a model of a file.
_ROW_MARKS: Final = frozenset({"id", "is_active", "created_at", "status", "total_checks", "success_rate"})
_ROW_KEYS: Final = ("model_id", "model_key", "task", "category", "provider", "requires_auth")


def parse_model(given: Mapping[str, Any], config: Config) -> Model:
    """Return the model that `given` describes, with the providers and defaults of `config`.

    A row of a configured model is that model. The ids of `fallback` need not be configured, and are left out.
    Raises ConfigError, without a file, on a key or value that a file could not have either.
    """
    data = {key: value for key, value in given.items() if value is not None}
    if _ROW_MARKS & given.keys():
        if configured := config.model(str(data.get("model_id"))):
            return configured
        data = {key: data[key] for key in _ROW_KEYS if data.get(key)}
        data["requires_auth"] = bool(data.get("requires_auth"))
    node = Node(data, 0, keys={str(key): (0, Node(value, 0)) for key, value in data.items()})
    document = Document("", Node(None, 0, keys={"models": (0, Node(None, 0, items=[node]))}))
    draft = Draft(
        documents=[document],
        problems=[],
        providers={name: Placed(None, document, ()) for name in config.providers},
    )
    if shape := model_shape(data, document, 0, draft):
        draft.entries.append(Entry(document, 0, shape.model_id, shape.model_copy(update={"fallback": None})))
    first = next(iter(config.providers))
    check_models(draft, first)
    if draft.problems:
        raise ConfigError(tuple(draft.problems))
    return next(models_of(draft, first, config))
