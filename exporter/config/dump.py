"""Config -> YAML with every default written out; what is read again is an equal Config."""

from __future__ import annotations

from typing import Any

import yaml

from exporter.config.durations import show
from exporter.config.values import Config, ProviderConfig
from exporter.models import Model


def as_yaml(config: Config) -> str:
    """Return the effective configuration as YAML. There is no secret in a Config, so there is none here."""
    data = {
        "interval": show(config.interval_s),
        "timeout": show(config.timeout_s),
        "concurrency": config.concurrency,
        "database": str(config.database),
        "retention": {"history": show(config.history_s)},
        "cold_start_wait": show(config.cold_start_wait_s),
        "max_body": config.max_body_bytes,
        **({"connectivity_check": config.connectivity_check} if config.connectivity_check else {}),
        "providers": {provider.name: _provider(provider) for provider in config.providers.values()},
        "models": [_model(model) for model in config.models],
    }
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=1000)


def _provider(provider: ProviderConfig) -> dict[str, Any]:
    limits = {
        "requests_per_month": provider.requests_per_month,
        "compute_seconds_per_month": provider.compute_s_per_month,
    }
    budget = {key: limit for key, limit in limits.items() if limit is not None}
    return {
        "kind": provider.kind,
        "base_url": provider.base_url,
        "hub_url": provider.hub_url,
        "hub_provider": provider.hub_provider,
        "token_env": provider.token_env,
        **({"budget": budget} if budget else {}),
    }


def _model(model: Model) -> dict[str, Any]:
    expect, objective = model.expect, model.latency_objective_s
    labels = {"labels": list(expect.labels)} if expect and expect.labels else {}
    confidence = {"min_confidence": expect.min_confidence} if expect and expect.min_confidence is not None else {}
    return {
        "model_id": model.model_id,
        "task": model.task,
        "category": model.category,
        "provider": model.provider,
        "model_key": model.model_key,
        "requires_auth": model.requires_auth,
        "enabled": model.enabled,
        "interval": show(model.interval_s),
        "timeout": show(model.timeout_s),
        **({"input": model.input} if model.input is not None else {}),
        **({"expect": labels | confidence} if expect else {}),
        **({"polarity": dict(model.polarity)} if model.polarity else {}),
        **({"multi_label": True} if model.multi_label else {}),
        **({"latency_objective": show(objective)} if objective is not None else {}),
        **({"api": model.api} if model.task == "text-generation" else {}),
        **({"fallback": list(model.fallback)} if model.fallback else {}),
    }
