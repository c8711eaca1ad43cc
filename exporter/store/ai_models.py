"""The rows of ai_models: what may be written into them and how, and the list of the active ones."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, Final

from exporter.models import Model
from exporter.store.rows import clean_text

TEXTS: Final = ("model_id", "model_key", "task", "category", "provider")
FLAGS: Final = ("requires_auth", "is_active")

# What is None keeps its value in a row that exists, and has its default in a new one.
UPSERT: Final = """
INSERT INTO ai_models (
    model_id, model_key, task, category, provider, requires_auth, is_active, created_at, updated_at
) VALUES (
    :model_id, coalesce(:model_key, ''), :task, coalesce(:category, 'general'), coalesce(:provider, 'huggingface'),
    coalesce(:requires_auth, 0), coalesce(:is_active, 1), :now, :now
) ON CONFLICT (model_id) DO UPDATE SET
    model_key = coalesce(:model_key, model_key), task = :task, category = coalesce(:category, category),
    provider = coalesce(:provider, provider), requires_auth = coalesce(:requires_auth, requires_auth),
    is_active = coalesce(:is_active, is_active), updated_at = :now
WHERE (model_key, task, category, provider, requires_auth, is_active) IS NOT (
    coalesce(:model_key, model_key), :task, coalesce(:category, category), coalesce(:provider, provider),
    coalesce(:requires_auth, requires_auth), coalesce(:is_active, is_active))
"""
ACTIVE: Final = """
SELECT m.model_id, model_key, task, category, provider, requires_auth, is_active, created_at, updated_at,
    (SELECT status FROM model_metrics h WHERE h.model_id = m.model_id
     ORDER BY h.checked_at DESC, h.id DESC LIMIT 1) AS status,
    coalesce(total_checks, 0) AS total_checks, coalesce(successful_checks, 0) AS successful_checks,
    coalesce(failed_checks, 0) AS failed_checks, avg_response_time_ms, last_success_at, last_failure_at, success_rate
FROM ai_models m LEFT JOIN model_stats s ON s.model_id = m.model_id WHERE is_active ORDER BY m.id
"""


def of_model(model: Model) -> dict[str, Any]:
    """Return a configured model as the parameters of UPSERT, `now` left out."""
    texts = {name: clean_text(getattr(model, name)) for name in TEXTS}
    return texts | {"requires_auth": int(model.requires_auth), "is_active": int(model.enabled)}


def checked(model: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a caller made up as the parameters of UPSERT, `now` left out. Raises ValueError naming the key."""
    known = (*TEXTS, *FLAGS)
    for key, value in model.items():
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            raise ValueError(f"{key}: unknown key" + (f"; did you mean {near[0]!r}?" if near else ""))
        if key in TEXTS and not isinstance(value, str):
            raise ValueError(f"{key}: must be a text, not {type(value).__name__}")
        if key in FLAGS and value not in (True, False):
            raise ValueError(f"{key}: must be true or false, not {value!r}")
    for key in ("model_id", "task"):
        if not model.get(key):
            raise ValueError(f"{key}: is required")
    texts = {key: clean_text(model[key]) if key in model else None for key in TEXTS}
    return texts | {key: int(model[key]) if key in model else None for key in FLAGS}
