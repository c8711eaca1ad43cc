"""Hugging Face: the hub says whether a model is served, the router's task route answers for it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from exporter.config import ProviderConfig
from exporter.credentials import CredentialError, Token
from exporter.models import Fault, Listing, Model, Reply, Secret
from exporter.providers.wire import Wire
from exporter.tasks import TASKS, Canary

EXPAND: Final = (
    "inference", "inferenceProviderMapping", "sha", "gated", "disabled", "private", "pipeline_tag", "tags", "downloads",
    "cardData",
)  # fmt: skip
# The deployer of hf-inference passes over models with fewer downloads in a month.
LEAST_DOWNLOADS: Final = 1000
# The hub answers in a fraction of a second; a slow hub must not use up the time of the probe.
HUB_TIMEOUT_S: Final = 10.0
# `error` means that the hub's own check failed last time, up to six hours ago: a real request knows better.
SERVED_STATES: Final = ("live", "error")


class HuggingFace:
    """Hosted inference through the router, with the hub as its catalogue."""

    def __init__(self, config: ProviderConfig, wire: Wire, token: Token) -> None:
        self._config = config
        self._wire = wire
        self._token = token

    async def look_up(self, model: Model) -> Listing:
        """Ask the hub who serves the model; a renamed one is followed and its present id returned."""
        secret, problem = self._secret()
        if problem:
            return Listing(reply=_nothing_sent(problem), canonical_id=model.model_id)
        query = "&".join(f"expand[]={field}" for field in EXPAND)
        reply = await self._wire.request(
            "GET",
            f"{self._config.hub_url}/api/models/{_path(model.model_id)}?{query}",
            timeout_s=min(HUB_TIMEOUT_S, model.timeout_s),
            token=secret,
            follow_redirects=True,
        )
        return read_listing(reply, model.model_id, self._config.hub_provider)

    async def infer(self, model: Model, canary: Canary, asked_id: str) -> Reply:
        """Post the task's payload to the model's route; a model that needs a token is not asked without one."""
        secret, problem = self._secret()
        if not problem and secret is None and model.requires_auth:
            problem = f"the model needs a token and none is set ({self._config.token_env})"
        if problem:
            return _nothing_sent(problem)
        task = TASKS[model.task]
        return await self._wire.request(
            "POST",
            f"{self._config.base_url}/models/{_path(asked_id)}{task.route(model)}",
            timeout_s=model.timeout_s,
            json_body=task.payload(model, canary),
            # An answer from the cache would say nothing of the model.
            headers={"X-Use-Cache": "false"},
            token=secret,
        )

    def _secret(self) -> tuple[Secret | None, str]:
        try:
            return self._token.get(), ""
        except CredentialError as error:
            return None, str(error)


def read_listing(reply: Reply, model_id: str, hub_provider: str) -> Listing:
    """Read the hub's document of a model; what it does not say, or says in another form, stays undecided."""
    document = _document(reply)
    mapping = mapping_of(document.get("inferenceProviderMapping"))
    canonical_id = document.get("id")
    sha = document.get("sha")
    return Listing(
        reply=reply,
        canonical_id=canonical_id if isinstance(canonical_id, str) and canonical_id else model_id,
        served=None if mapping is None else mapping.get(hub_provider) in SERVED_STATES,
        served_by=mapping,
        sha=sha if isinstance(sha, str) else None,
        gated=document["gated"] is not False if "gated" in document else None,
        disabled=document["disabled"] is True if "disabled" in document else None,
        undeployment_signs=_undeployment_signs(document) if mapping else None,
        task=_task(document, hub_provider),
    )


def _task(document: Mapping[str, Any], hub_provider: str) -> str | None:
    """Return what the provider serves the model for, else what its card says it is for."""
    mapping = document.get("inferenceProviderMapping")
    entry = mapping.get(hub_provider) if isinstance(mapping, Mapping) else None
    task = entry.get("task") if isinstance(entry, Mapping) else None
    found = task or document.get("pipeline_tag")
    return found if isinstance(found, str) else None


def _undeployment_signs(document: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what, by the rules of the host's deployer, makes a served model likely to be undeployed soon."""
    downloads, tags, card = document.get("downloads"), document.get("tags"), document.get("cardData")
    signs = {
        "few_downloads": isinstance(downloads, int) and downloads < LEAST_DOWNLOADS,
        "not_endpoints_compatible": isinstance(tags, list) and bool(tags) and "endpoints_compatible" not in tags,
        "custom_code": isinstance(tags, list) and "custom_code" in tags,
        "new_version": isinstance(card, Mapping) and bool(card.get("new_version")),
    }
    return tuple(sign for sign, there in signs.items() if there)


def _document(reply: Reply) -> Mapping[str, Any]:
    if reply.fault is not None or reply.http_status != 200:
        return {}
    try:
        document = json.loads(reply.body)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, Mapping) else {}


def mapping_of(value: Any) -> dict[str, str] | None:
    """Return provider -> state from the mapping, a dict for one model and a list in listings; None if there is none."""
    if isinstance(value, Mapping):
        entries = [(name, entry) for name, entry in value.items() if isinstance(entry, Mapping)]
    elif isinstance(value, list):
        entries = [(str(entry.get("provider")), entry) for entry in value if isinstance(entry, Mapping)]
    else:
        return None
    return {name: str(entry.get("status")) for name, entry in entries}


def _nothing_sent(problem: str) -> Reply:
    return Reply(fault=Fault.NO_TOKEN, error=problem)


def _path(model_id: str) -> str:
    return quote(model_id, safe="/")
