"""Who may act, without credentials and with them."""

from __future__ import annotations

import base64
from typing import Any

import bcrypt
import pytest

from exporter.web.auth import Authenticator
from exporter.web.dispatch import dispatch
from exporter.web.guard import check_acting, is_loopback
from exporter.web.http import ApiError, Request
from exporter.web.routes import ROUTES
from exporter.web.webconfig import WebConfig

HASH = bcrypt.hashpw(b"open:sesame", bcrypt.gensalt(4)).decode()
API = "/api/ai-models"


def basic(user: str, password: str) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("::1%lo", True),
        ("128.0.0.1", False),
        ("10.0.0.1", False),
        ("0.0.0.0", False),
        ("::", False),
        ("::ffff:10.0.0.1", False),
        ("fe80::1%eth0", False),
        ("localhost", False),
        ("", False),
        (None, False),
    ],
)
def test_loopback_is_what_the_kernel_calls_so(address: str | None, expected: bool) -> None:
    assert is_loopback(address) is expected


LOCAL = {"host": "localhost:10021"}


@pytest.mark.parametrize(
    ("remote", "headers", "code"),
    [
        ("127.0.0.1", LOCAL, None),
        ("::1", {"host": "[::1]:10021"}, None),
        ("127.0.0.1", {"host": "127.0.0.1"}, None),
        ("127.0.0.1", {"host": "LOCALHOST"}, None),
        ("10.0.0.1", LOCAL, "loopback_only"),
        (None, LOCAL, "loopback_only"),
        ("10.0.0.1", LOCAL | {"x-forwarded-for": "127.0.0.1"}, "loopback_only"),
        ("127.0.0.1", LOCAL | {"x-forwarded-for": "10.0.0.1"}, "loopback_only"),
        ("127.0.0.1", LOCAL | {"forwarded": "for=10.0.0.1"}, "loopback_only"),
        ("127.0.0.1", {}, "loopback_only"),
        ("127.0.0.1", {"host": "evil.example:10021"}, "loopback_only"),
        ("127.0.0.1", {"host": "localhost.evil.example"}, "loopback_only"),
        ("127.0.0.1", {"host": "127.0.0.1.evil.example"}, "loopback_only"),
        ("127.0.0.1", {"host": "localhost@evil.example"}, "loopback_only"),
        ("127.0.0.1", {"host": "localhost, evil.example"}, "loopback_only"),
        ("127.0.0.1", {"host": "[::1"}, "loopback_only"),
        ("127.0.0.1", {"host": "localhost:port"}, "loopback_only"),
        ("127.0.0.1", LOCAL | {"sec-fetch-site": "same-origin"}, None),
        ("127.0.0.1", LOCAL | {"sec-fetch-site": "none"}, None),
        ("127.0.0.1", LOCAL | {"sec-fetch-site": "same-site"}, "cross_site"),
        ("127.0.0.1", LOCAL | {"sec-fetch-site": "cross-site"}, "cross_site"),
        ("127.0.0.1", LOCAL | {"origin": "http://localhost:10021"}, None),
        ("127.0.0.1", {"host": "localhost", "origin": "http://localhost:80"}, None),
        ("127.0.0.1", {"host": "localhost", "origin": "https://localhost:443"}, None),
        ("127.0.0.1", LOCAL | {"origin": "http://localhost:3000"}, "cross_site"),
        ("127.0.0.1", LOCAL | {"origin": "https://evil.example"}, "cross_site"),
        ("127.0.0.1", LOCAL | {"origin": "null"}, "cross_site"),
        ("127.0.0.1", LOCAL | {"origin": ""}, "cross_site"),
        ("127.0.0.1", LOCAL | {"origin": "http://[x"}, "cross_site"),
    ],
)
def test_without_credentials_only_this_machine_acts(remote: str | None, headers: Any, code: str | None) -> None:
    request = Request(method="POST", path="/-/reload", remote=remote, headers=headers)
    if code is None:
        check_acting(request, credentials_configured=False)
        return
    with pytest.raises(ApiError) as refused:
        check_acting(request, credentials_configured=False)
    assert (refused.value.status, refused.value.code) == (403, code)


def test_with_credentials_anybody_acts_but_a_page_of_another_site() -> None:
    headers = {"host": "exporter.example"}
    check_acting(Request(method="POST", path="/", remote="10.0.0.1", headers=headers), credentials_configured=True)
    crossed = Request(method="POST", path="/", remote="10.0.0.1", headers=headers | {"sec-fetch-site": "cross-site"})
    with pytest.raises(ApiError, match="another site"):
        check_acting(crossed, credentials_configured=True)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.path)
async def test_from_elsewhere_everything_is_read_and_nothing_is_done(backend: Any, route: Any) -> None:
    path = route.path.replace("{id}", "gpt2")
    request = Request(
        method=route.methods[0],
        path=path,
        query_string="model=gpt2",
        remote="10.0.0.1",
        headers={"host": "exporter.example"},
    )
    response = await dispatch(backend, WebConfig(), request)
    assert response.status == (403 if route.acts else 200)
    assert (backend.monitor.scans, backend.reloads, backend.agent.running) == (0, 0, True)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.path)
async def test_with_users_every_route_but_the_life_signs_asks_who_it_is(backend: Any, route: Any) -> None:
    web = WebConfig(users=Authenticator({"alice": HASH}))
    path = route.path.replace("{id}", "gpt2")

    async def ask(headers: dict[str, str]) -> Any:
        request = Request(
            method=route.methods[0],
            path=path,
            query_string="model=gpt2",
            remote="10.0.0.1",
            headers=headers | {"host": "exporter.example"},
        )
        return await dispatch(backend, web, request)

    stranger = await ask({})
    assert stranger.status == (200 if route.public else 401)
    if not route.public:
        assert stranger.headers["WWW-Authenticate"].startswith("Basic realm=")
    assert (await ask(basic("alice", "open:sesame"))).status == 200


async def test_with_users_a_stranger_does_not_learn_what_exists(backend: Any) -> None:
    web = WebConfig(users=Authenticator({"alice": HASH}))
    for path, method in (("/nothing", "GET"), ("/%zz", "GET"), ("/metrics", "DELETE")):
        assert (await dispatch(backend, web, Request(method=method, path=path))).status == 401
        known = Request(method=method, path=path, headers=basic("alice", "open:sesame"))
        assert (await dispatch(backend, web, known)).status in (400, 404, 405)


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Basic",
        "Basic ",
        "Bearer abc",
        "Basic !!!",
        "Basic \u00fc",
        "Basic " + base64.b64encode(b"alice").decode(),
        "Basic " + base64.b64encode(b"\xff:open:sesame").decode(),
        basic("alice", "")["authorization"],
        basic("alice", "wrong")["authorization"],
        basic("alice", "x" * 500)["authorization"],
        basic("alice", "open:sesame\0")["authorization"],
        basic("nobody", "open:sesame")["authorization"],
        basic("Alice", "open:sesame")["authorization"],
    ],
)
async def test_wrong_credentials_are_refused(authorization: str | None) -> None:
    assert not await Authenticator({"alice": HASH}).allows(authorization)


async def test_right_credentials_are_hashed_once_and_wrong_ones_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[tuple[bytes, bytes]] = []
    real = bcrypt.checkpw

    def counting(password: bytes, expected: bytes) -> bool:
        hashed.append((password, expected))
        return real(password, expected)

    monkeypatch.setattr(bcrypt, "checkpw", counting)
    users = Authenticator({"alice": HASH, "bob": bcrypt.hashpw(b"b", bcrypt.gensalt(5)).decode()})
    right, wrong = (basic("alice", word)["authorization"] for word in ("open:sesame", "wrong"))
    assert [await users.allows(right) for _ in range(3)] == [True, True, True]
    assert len(hashed) == 1
    assert [await users.allows(wrong) for _ in range(2)] == [False, False]
    assert len(hashed) == 3
    assert await users.allows(right)
    assert len(hashed) == 3
    # The one that does not exist costs as much as the dearest that does.
    assert not await users.allows(basic("nobody", "open:sesame")["authorization"])
    assert hashed[-1][1].startswith(b"$2b$05$")


async def test_a_long_password_is_cut_as_bcrypt_does() -> None:
    long = "p" * 80
    users = Authenticator({"alice": bcrypt.hashpw(long[:72].encode(), bcrypt.gensalt(4)).decode()})
    assert await users.allows(basic("alice", long)["authorization"])


async def test_a_dummy_hash_matches_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bcrypt, "checkpw", lambda password, expected: True)
    assert not await Authenticator({"alice": HASH}).allows(basic("nobody", "x")["authorization"])
