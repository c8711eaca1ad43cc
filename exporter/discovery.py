"""Ask the hub's free catalogue which models are served, at the pace it allows, and write them as YAML.

Sends no request for inference, changes no file.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final, TypeVar
from urllib.parse import urlencode, urljoin

import yaml
from yarl import URL

from exporter.classify import judge_listing, judge_refusal, retry_after_s
from exporter.clock import Clock
from exporter.config import Config, ConfigError, ProviderConfig, parse_model
from exporter.credentials import CredentialError, Token
from exporter.models import Listing, Model, Reason, Reply, Scope
from exporter.providers import HuggingFace, Wire
from exporter.providers.huggingface import SERVED_STATES, mapping_of
from exporter.tasks import TASKS, BadOutputError, decode

LISTED_FIELDS: Final = ("inferenceProviderMapping", "downloads", "likes", "gated")
# A page of a popular task is some 100 kB.
PAGE_MODELS: Final = 100
MAX_PAGES: Final = 100
MAX_BODY_BYTES: Final = 8 * 2**20
TIMEOUT_S: Final = 30.0
# The hub counts requests in windows of 300 s: it has no reason to ask for a longer wait.
MAX_WAIT_S: Final = 300.0
MAX_REFUSALS: Final = 3
DEFAULT_WAIT_S: Final = 30.0

T = TypeVar("T")


class DiscoveryError(Exception):
    """The hub could not be asked, or did not answer what was asked. One sentence for the user; it may echo the hub."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A model of the hub's list; `state` is the provider's in the hub's words, downloads are those of 30 days."""

    model_id: str
    state: str
    downloads: int | None = None
    likes: int | None = None
    gated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """Who serves a configured model now; `served` by its own provider, None where the hub does not say."""

    model: Model
    served: bool | None
    served_by: Mapping[str, str]
    note: str = ""

    @property
    def missing(self) -> bool:
        """True when the model is to be probed and its provider does not serve it."""
        return self.model.enabled and self.served is False


class Hub:
    """The catalogue that belongs to one provider. `tell` gets a sentence for each wait and each gap in a list."""

    def __init__(
        self, config: ProviderConfig, wire: Wire, token: Token, clock: Clock, tell: Callable[[str], None]
    ) -> None:
        self.config = config
        self._wire = wire
        self._token = token
        self._clock = clock
        self._tell = tell
        self._provider = HuggingFace(config, wire, token)
        self._wait_s = 0.0

    async def models(self, task: str, *, search: str | None = None, limit: int | None = None) -> list[Found]:
        """Return the models of a task that the provider serves, most downloaded first, at most `limit`.

        Raises DiscoveryError.
        """
        query = {
            "inference_provider": self.config.hub_provider,
            "pipeline_tag": TASKS[task].hub_tag,
            **({"search": search} if search else {}),
            "sort": "downloads",
            "limit": PAGE_MODELS if limit is None else min(limit, PAGE_MODELS),
            "expand[]": LISTED_FIELDS,
        }
        url = f"{self.config.hub_url}/api/models?{urlencode(query, doseq=True, errors='replace')}"
        found: dict[str, Found] = {}
        for _ in range(MAX_PAGES):
            rows, link = await self._list(url)
            for row in rows:
                if (one := read_found(row, self.config.hub_provider)) is not None:
                    found.setdefault(one.model_id, one)
            following = next_page(link, url)
            if following is None or (limit is not None and len(found) >= limit):
                break
            if not _same_origin(following, url):
                self._tell(f"{self.config.hub_url}: the next page is at another host and is not read; there are more")
                break
            url = following
        else:
            self._tell(f"{self.config.hub_url}: no more than {MAX_PAGES} pages are read; there are more")
        return list(found.values())[:limit]

    async def look_up(self, model: Model) -> Listing:
        """Return what the catalogue says of one model. Raises DiscoveryError when it could not be asked."""
        listing = await self._politely(partial(self._provider.look_up, model), lambda listing: listing.reply)
        verdict = judge_listing(listing, self.config.hub_provider)
        if verdict is None or verdict.scope is not Scope.MODEL:
            self._refuse(listing.reply)
        return listing

    async def _list(self, url: str) -> tuple[list[Any], str]:
        """Return the rows of one page and its Link header."""
        try:
            token = self._token.get()
        except CredentialError as error:
            raise DiscoveryError(str(error)) from None
        send = partial(self._wire.request, "GET", url, timeout_s=TIMEOUT_S, token=token, follow_redirects=True)
        reply = await self._politely(send, lambda reply: reply)
        self._refuse(reply)
        try:
            rows = decode(reply.body, reply.headers.get("content-type", ""))
        except BadOutputError as error:
            raise DiscoveryError(f"{self.config.hub_url}: {error}") from None
        if not isinstance(rows, list):
            raise DiscoveryError(f"{self.config.hub_url}: the answer is not a list of models")
        return rows, reply.headers.get("link", "")

    async def _politely(self, send: Callable[[], Awaitable[T]], reply_of: Callable[[T], Reply]) -> T:
        """Send when the hub is ready for it, and again when it says that it was not."""
        for _ in range(MAX_REFUSALS):
            await self._pause()
            answer = await send()
            self._wait_s = wait_s(reply_of(answer), self._clock.now())
            if reply_of(answer).http_status != 429:
                return answer
        raise DiscoveryError(f"{self.config.hub_url}: asked too often (HTTP 429), {MAX_REFUSALS} times in a row")

    async def _pause(self) -> None:
        if self._wait_s > MAX_WAIT_S:
            raise DiscoveryError(f"{self.config.hub_url}: asks for a wait of {self._wait_s:.0f} s, try again then")
        if self._wait_s > 0:
            self._tell(f"{self.config.hub_url}: asks for a wait of {self._wait_s:.0f} s, waiting")
            await self._clock.sleep(self._wait_s)

    def _refuse(self, reply: Reply) -> None:
        verdict = judge_refusal(reply)
        if verdict is None:
            return
        source = self._token.source if verdict.reason is Reason.AUTH else ""
        hint = f" (the token is from {source})" if source else ""
        raise DiscoveryError(f"{self.config.hub_url}: {verdict.message}{hint}")


async def discover(hub: Hub, config: Config, task: str, *, search: str | None = None, limit: int | None = None) -> str:
    """Return what the hub's provider serves for a task as entries of `models` in YAML. Raises DiscoveryError."""
    if task not in TASKS:
        raise DiscoveryError(f"unknown task {task!r}; one of: {', '.join(TASKS)}")
    found = await hub.models(task, search=search, limit=limit)
    return as_entries(found, task=task, provider=hub.config, config=config, known=await _known(hub, found, config))


async def check(config: Config, hubs: Mapping[str, Hub]) -> list[Serving]:
    """Return who serves each configured model, with `hubs` by the name of the provider. Raises DiscoveryError."""
    found = []
    for model in config.models:
        hub = hubs[model.provider]
        listing = await hub.look_up(model)
        verdict = judge_listing(listing, hub.config.hub_provider)
        notes = (
            "" if verdict is None else verdict.message,
            f"renamed to {listing.canonical_id}" if listing.canonical_id != model.model_id else "",
            "gated" if listing.gated else "",
            "" if model.enabled else "not enabled",
        )
        found.append(
            Serving(
                model=model,
                served=listing.served if verdict is None else False,
                served_by=listing.served_by or {},
                note="; ".join(filter(None, notes)),
            )
        )
    return found


def provider_of(config: Config, hub_provider: str | None) -> ProviderConfig:
    """Return the configured provider of that name on the hub; the first one for None. Raises DiscoveryError."""
    for provider in config.providers.values():
        if hub_provider in (None, provider.hub_provider):
            return provider
    names = ", ".join(provider.hub_provider for provider in config.providers.values())
    raise DiscoveryError(f"no configured provider is {hub_provider!r} on the hub; there are: {names}")


def as_entries(
    found: Sequence[Found], *, task: str, provider: ProviderConfig, config: Config, known: Mapping[str, str]
) -> str:
    """Return the models as entries to put under `models:`; those of `known`, hub id -> configured id, as comments."""
    lines = [f"  # served by {provider.hub_provider} for {task}: {len(found)}, of which configured: {len(known)}"]
    for one in found:
        if one.model_id in known:
            same = known[one.model_id] == one.model_id
            lines.append(f"  # {one.model_id}: already configured" + ("" if same else f" as {known[one.model_id]}"))
            continue
        entry: dict[str, Any] = {"model_id": one.model_id, "task": task}
        if provider.name != next(iter(config.providers)):
            entry["provider"] = provider.name
        if one.gated:
            entry["requires_auth"] = True
        try:
            parse_model(entry, config)
        except ConfigError as error:
            lines.append(_comment(f"left out, {error}"))
            continue
        first, *rest = yaml.safe_dump([entry], sort_keys=False, allow_unicode=True, width=1000).splitlines()
        lines += [f"  {first}  # {_about(one)}", *(f"  {line}" for line in rest)]
    return "\n".join(lines) + "\n"


def read_found(row: Any, hub_provider: str) -> Found | None:
    """Read one row of the hub's list; None for what is no model, or not served by the provider now."""
    if not isinstance(row, Mapping) or not isinstance(row.get("id"), str):
        return None
    state = (mapping_of(row.get("inferenceProviderMapping")) or {}).get(hub_provider, "")
    if state not in SERVED_STATES:
        return None
    return Found(
        model_id=row["id"],
        state=state,
        downloads=_count(row.get("downloads")),
        likes=_count(row.get("likes")),
        gated=row.get("gated") not in (None, False),
    )


def next_page(link: str, url: str) -> str | None:
    """Return the absolute URL of `rel="next"` in a Link header of `url`'s answer (RFC 8288)."""
    target: str
    for target, parameters in re.findall(r"<([^<>]*)>([^<>]*)", link):
        if re.search(r";\s*rel\s*=\s*\"?next\b", parameters, re.IGNORECASE):
            try:
                return urljoin(url, target)
            except ValueError:  # no URL at all: at no host that could be asked
                return target
    return None


def wait_s(reply: Reply, now: datetime) -> float:
    """Return the seconds to wait before the next request: Retry-After of a refusal, else the end of the RateLimit."""
    limit = re.search(r";\s*r=([0-9]{1,9})\s*;\s*t=([0-9]{1,9})", reply.headers.get("ratelimit", ""))
    left, reset_s = (int(limit[1]), float(limit[2])) if limit else (1, DEFAULT_WAIT_S)
    if reply.http_status != 429:
        return reset_s if left == 0 else 0.0
    asked = retry_after_s(reply, now)
    return max(reset_s if asked is None else asked, 1.0)


async def _known(hub: Hub, found: Sequence[Found], config: Config) -> dict[str, str]:
    """Return hub id -> configured id of what is configured already; the hub is asked where only the owner differs."""
    of_name: dict[str, list[Model]] = defaultdict(list)
    for model in config.models:
        of_name[_name(model.model_id)].append(model)
    known = {one.model_id: one.model_id for one in found if config.model(one.model_id)}
    new = {one.model_id for one in found} - known.keys()
    for model in [model for name in sorted({_name(model_id) for model_id in new}) for model in of_name.get(name, ())]:
        canonical_id = (await hub.look_up(model)).canonical_id
        if canonical_id in new:
            known[canonical_id] = model.model_id
    return known


def _name(model_id: str) -> str:
    return model_id.rpartition("/")[2]


def _about(one: Found) -> str:
    facts = (
        None if one.downloads is None else f"{one.downloads:,} downloads a month",
        None if one.likes is None else f"{one.likes:,} likes",
        "gated: its owner grants access" if one.gated else None,
        "the hub's last check of it failed" if one.state == "error" else None,
    )
    return ", ".join(filter(None, facts))


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _comment(text: str) -> str:
    """Return a comment of one line: what is in it may be another's text."""
    return "  # " + "".join(character if character.isprintable() else " " for character in text)


def _same_origin(url: str, other: str) -> bool:
    try:
        return URL(url).origin() == URL(other).origin()
    except ValueError:
        return False
