"""The landing page: plain HTML with links. Pure; everything that is not ours is escaped."""

from __future__ import annotations

import base64
import hashlib
from html import escape
from typing import Final

_STYLE: Final = (
    "body{font:1rem/1.5 system-ui,sans-serif;max-width:44rem;margin:2rem auto;padding:0 1rem;"
    "color:#1b1b1b;background:#fff}"
    "a{color:#0b57d0}"
    ".demo{border:2px solid #8a5a00;background:#fff4dc;padding:.5rem 1rem}"
    "@media(prefers-color-scheme:dark){body{color:#eee;background:#161616}a{color:#9cc3ff}"
    ".demo{background:#3a2a00;border-color:#e0a030}}"
)
_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
CONTENT_SECURITY_POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_LINKS: Final = (
    ("metrics", "Metrics", "what Prometheus scrapes"),
    ("api/ai-models/dashboard", "Dashboard", "the state of everything in one answer"),
    ("api/ai-models/models", "Models", "every model with its statistics"),
    ("api/ai-models/models/available", "Available models", "those that work now"),
    ("api/ai-models/stats/summary", "Summary", "success rates by category"),
    ("api/ai-models/incidents", "Incidents", "the causes that hold for many models at once"),
    ("api/ai-models/budget", "Budget", "what the month has cost and will"),
    ("api/ai-models/agent/status", "Agent", "whether it probes, and when next"),
    ("api/ai-models/health", "Health", "how the exporter itself is"),
    ("api/ai-models/openapi.json", "OpenAPI", "the description of this API"),
    ("config", "Configuration", "what is in effect"),
)


def landing_page(*, version: str, models: int, simulated: bool) -> str:
    """Return the page; its links are relative, so that it works under any prefix."""
    banner = (
        '<p class="demo" role="note"><strong>Demo:</strong> these models are simulated; no hosted service is asked.</p>'
        if simulated
        else ""
    )
    links = "".join(f'<li><a href="{href}">{name}</a>: {what}</li>' for href, name, what in _LINKS)
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>AI model exporter</title><style>{_STYLE}</style></head>"
        f"<body><main><h1>AI model exporter</h1>{banner}"
        f"<p>Version {escape(version)}, {models} models configured.</p>"
        f'<nav aria-label="Endpoints"><ul>{links}</ul></nav></main></body></html>'
    )
