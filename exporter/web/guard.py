"""Who may make the exporter act. Pure: judges a request by its peer and its headers; checks no password."""

from __future__ import annotations

import ipaddress
from typing import Final
from urllib.parse import urlsplit

from exporter.web.http import ApiError, Request

_PROXY_HEADERS: Final = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-real-ip")
_SAME_SITE: Final = ("same-origin", "none")
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


def check_acting(request: Request, *, credentials_configured: bool) -> None:
    """Raise ApiError 403 unless `request` may act. With credentials configured, they were checked before.

    Without them only the machine itself may act: the peer must be loopback and nothing in between, and the Host
    header must name loopback too, since a page of a hostile site can make its own name resolve to 127.0.0.1.
    """
    if is_cross_site(request):
        raise ApiError(403, "cross_site", "a page of another site may not do this")
    if credentials_configured:
        return
    if not (is_loopback(request.remote) and _names_loopback(request.headers.get("host", ""))):
        raise ApiError(
            403,
            "loopback_only",
            "without configured credentials this is answered only to requests from and to the loopback address; "
            "configure basic_auth_users with --web.config.file",
        )
    # A proxy on this machine makes everybody look local; such a header is never believed, but it gives a proxy away.
    if any(name in request.headers for name in _PROXY_HEADERS):
        raise ApiError(403, "loopback_only", "without configured credentials this is not answered through a proxy")


def is_cross_site(request: Request) -> bool:
    """Return True when a browser says that the request comes from a page of another origin."""
    if request.headers.get("sec-fetch-site", "none") not in _SAME_SITE:
        return True
    origin = request.headers.get("origin")
    if origin is None:
        return False
    scheme = origin.partition(":")[0]
    theirs = _host_port(origin, scheme)
    return theirs is None or theirs != _host_port(f"//{request.headers.get('host', '')}", scheme)


def is_loopback(address: str | None) -> bool:
    """Return True for 127.0.0.0/8, ::1, and 127.0.0.0/8 mapped into IPv6."""
    try:
        parsed = ipaddress.ip_address((address or "").partition("%")[0])
    except ValueError:
        return False
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return (mapped or parsed).is_loopback


def _names_loopback(host: str) -> bool:
    parsed = _host_port(f"//{host}", "http")
    return parsed is not None and (parsed[0] == "localhost" or is_loopback(parsed[0]))


def _host_port(url: str, scheme: str) -> tuple[str, int | None] | None:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if not parts.hostname or parts.username is not None:
        return None
    return parts.hostname, port or _DEFAULT_PORTS.get(scheme)
