"""Can anything be reached from here? Asked when a host cannot, to tell its outage from one of our own network."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from yarl import URL

from exporter.clock import Clock
from exporter.config import Config
from exporter.models import Fault
from exporter.providers.wire import Wire

TIMEOUT_S: Final = 5.0
# An outage makes every model ask at once: one answer serves them all.
HOLDS_S: Final = 30.0
SPOKE: Final = frozenset({Fault.REFUSED, Fault.RESET, Fault.TLS, Fault.PROTOCOL})


class Connectivity:
    """Asks the configured URL, else the hosts of the configuration, one after the other until one answers.

    The configured URL has to answer over HTTP. Of the hosts, whose own outage is in question, it is enough that
    something at their address spoke: a connection that is refused or reset has reached its other end.
    """

    def __init__(self, wire: Wire, clock: Clock) -> None:
        self._wire = wire
        self._clock = clock
        self._urls: tuple[str, ...] = ()
        self._configured = False
        self._known: tuple[float, bool] | None = None

    def plan(self, config: Config) -> None:
        """Take the URLs of a configuration."""
        hosts = (url for provider in config.providers.values() for url in (provider.hub_url, provider.base_url))
        urls = [config.connectivity_check] if config.connectivity_check else _origins(hosts)
        self._urls, self._known = tuple(urls), None
        self._configured = config.connectivity_check is not None

    async def reachable(self) -> bool:
        """Return whether anything answered, whatever it said; an answer of the last half minute is used again."""
        if self._known is not None and self._clock.monotonic() - self._known[0] < HOLDS_S:
            return self._known[1]
        reached = False
        for url in self._urls:
            # No token: that anybody answers is all that is asked.
            reply = await self._wire.request("HEAD", url, timeout_s=TIMEOUT_S)
            if reply.http_status is not None or (not self._configured and reply.fault in SPOKE):
                reached = True
                break
        self._known = (self._clock.monotonic(), reached)
        return reached


def _origins(urls: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(str(URL(url).origin()) + "/" for url in urls))
