"""Metrics, life signs, reload, probe, configuration, the landing page."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import re
from base64 import b64encode
from html.parser import HTMLParser
from typing import Any
from urllib.parse import quote

import pytest

from exporter.config import ConfigError
from exporter.web.compress import accepts_gzip
from exporter.web.page import landing_page

OPENMETRICS = "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;q=0.3"


async def test_metrics_are_negotiated_by_the_accept_header(ask: Any, backend: Any) -> None:
    plain = await ask("/metrics", headers={"Accept": "*/*"})
    assert plain.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert plain.headers["vary"].startswith("Accept")
    answer = await ask("/metrics", headers={"Accept": OPENMETRICS})
    assert answer.headers["content-type"].startswith("application/openmetrics-text;")
    assert answer.body == b"# EOF\n"
    assert backend.metrics.accepted == ["*/*", OPENMETRICS]


@pytest.mark.parametrize("lines", [100, 100_000], ids=["small", "large"])
async def test_metrics_are_compressed_for_who_accepts_it(own: Any, backend: Any, lines: int) -> None:
    backend.metrics.lines = lines
    plain = await own("/metrics", headers={"Accept-Encoding": "identity"})
    packed = await own("/metrics", headers={"Accept-Encoding": "deflate, gzip;q=0.5"})
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.headers["vary"] == plain.headers["vary"] == "Accept, Accept-Encoding"
    assert int(packed.headers["content-length"]) == len(packed.body) < len(plain.body)
    assert gzip.decompress(packed.body) == plain.body == b"ai_model_info 1\n" * lines


async def test_a_tiny_answer_is_not_compressed(own: Any) -> None:
    answer = await own("/-/healthy", headers={"Accept-Encoding": "gzip"})
    assert "content-encoding" not in answer.headers


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", False),
        ("gzip", True),
        ("GZIP", True),
        ("x-gzip", True),
        ("identity", False),
        ("gzip;q=0", False),
        ("gzip; q=0.000", False),
        ("gzip;q=0.001", True),
        ("br, *", True),
        ("gzip;q=0, *", False),
        ("*;q=0", False),
        ("gzip;q=high", False),
        ("gzip;level=1", False),
        ("deflate, gzip;q=1.0, *;q=0.5", True),
    ],
)
def test_gzip_is_accepted_as_the_header_says(header: str, expected: bool) -> None:
    assert accepts_gzip(header) is expected


async def test_life_signs_are_plain_text(ask: Any, backend: Any) -> None:
    assert (await ask("/-/healthy")).status == 200
    assert (await ask("/-/ready")).status == 200
    backend.ready = False
    assert (await ask("/-/healthy")).status == 200
    answer = await ask("/-/ready")
    assert (answer.status, answer.headers["content-type"]) == (503, "text/plain; charset=utf-8")
    assert b"not ready" in answer.body


async def test_reload_tells_what_is_in_effect(ask: Any, backend: Any) -> None:
    answer = await ask("/-/reload", "POST")
    assert (answer.status, answer.json()) == (200, {"status": "reloaded", "models": 6, "warnings": []})
    assert backend.reloads == 1


async def test_a_bad_configuration_is_refused_with_every_problem(ask: Any, backend: Any, bad_config: Any) -> None:
    backend.reload_error = bad_config
    answer = await ask("/-/reload", "POST")
    assert (answer.status, answer.code) == (400, "config_invalid")
    assert answer.json()["error"]["message"] == str(bad_config)
    assert len(answer.json()["error"]["message"].splitlines()) == 2


@pytest.fixture
def bad_config() -> ConfigError:
    from exporter.config import Problem

    return ConfigError(
        tuple(Problem(file="models.yaml", line=line, path="models.gpt2", message="unknown key") for line in (5, 6))
    )


@pytest.mark.parametrize("name", ["gpt2", "ProsusAI/finbert", "off/model", "hostile"])
async def test_a_probe_answers_metrics_of_its_own(ask: Any, hostile: str, name: str) -> None:
    model_id = hostile if name == "hostile" else name
    answer = await ask(f"/probe?model={quote(model_id, safe='')}")
    assert (answer.status, answer.headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert answer.body == b"probe_success 1\n"


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("", "bad_parameter"),
        ("?model=", "bad_parameter"),
        ("?model=left/ghost", "unknown_model"),
        ("?model=http://169.254.169.254/", "unknown_model"),
        ("?target=gpt2", "bad_parameter"),
    ],
)
async def test_only_a_configured_model_is_probed(ask: Any, query: str, code: str) -> None:
    answer = await ask(f"/probe{query}")
    assert (answer.status, answer.code) == (400, code)


async def test_debug_shows_the_whole_exchange_and_no_secret(
    own: Any, backend: Any, reply: Any, observation: Any
) -> None:
    backend.monitor.trace = [reply]
    backend.monitor.observation = observation(
        "gpt2", "failed", "server_error", message="said \x1b[1mhf_SECRETsecret3", response_time_ms=250.0
    )
    answer = await own("/probe?model=gpt2&debug=true")
    text = answer.body.decode()
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    for expected in (
        "exchange 1: POST https://router.example/models/gpt2",
        '    {"inputs": "good"}',
        "status: 503",
        "timings: connect 10.0 ms, first_byte 200.0 ms, total 250.0 ms",
        "header x-request-id: abc\\x1b[31m",
        "header authorization: ***",
        "header set-cookie: ***",
        "\\x1b]0;title\\x07 echo ***",
        "Bearer ***",
        "    \\xffxxx",
        "more bytes",
        ": failed\n  reason: server_error\n  scope: model\n",
        "message: said \\x1b[1m***",
        "response time: 250.0 ms",
        "probe_success 0",
    ):
        assert expected in text
    assert not re.search(r"SECRET|topsecret|sid=1|[\x00-\x09\x0b-\x1f\x7f]", text)
    assert len(text) < 4000


async def test_debug_shows_a_fault(own: Any, backend: Any, reply: Any) -> None:
    from exporter.models import Fault, Reply

    backend.monitor.trace = [Reply(fault=Fault.DNS, error="no such host", method="GET", url="https://hub.example")]
    text = (await own("/probe?model=gpt2&debug=1")).body.decode()
    assert "fault: dns: no such host" in text
    assert "response time: 2500.0 ms" in text


async def test_debug_says_when_another_probe_was_joined(own: Any, backend: Any, observation: Any) -> None:
    backend.monitor.observation = observation("gpt2", "unknown", "budget")
    text = (await own("/probe?model=gpt2&debug=true")).body.decode()
    assert "no exchange" in text
    assert "response time: none" in text


async def test_the_configuration_in_effect_is_shown_as_yaml(ask: Any) -> None:
    answer = await ask("/config")
    assert (answer.status, answer.headers["content-type"]) == (200, "text/yaml; charset=utf-8")
    assert b"ProsusAI/finbert" in answer.body


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)
        if tag == "a":
            self.links.append(dict(attrs)["href"])


async def test_every_link_of_the_landing_page_leads_somewhere(own: Any) -> None:
    answer = await own("/")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    page = _Page()
    page.feed(answer.body.decode())
    assert len(page.links) >= 5
    statuses = await asyncio.gather(*(own(f"/{link}") for link in page.links))
    assert {answer.status for answer in statuses} == {200}
    assert "1.2.3" in answer.body.decode()
    assert "6 models" in answer.body.decode()


async def test_the_landing_page_allows_nothing_but_its_own_style(own: Any) -> None:
    answer = await own("/")
    style = re.search(r"<style>(.*)</style>", answer.body.decode())
    assert style is not None
    digest = b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    policy = answer.headers["content-security-policy"]
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}';")
    assert "frame-ancestors 'none'" in policy


@pytest.mark.parametrize("simulated", [True, False])
async def test_the_landing_page_says_when_the_models_are_simulated(own: Any, backend: Any, simulated: bool) -> None:
    backend.simulated = simulated
    assert (b"simulated" in (await own("/")).body) is simulated


def test_the_landing_page_escapes_what_is_not_its_own() -> None:
    assert "<script>" not in landing_page(version="<script>", models=0, simulated=False)
