"""The web configuration file: everything wrong is told at once, with the file's name, and no hash is shown."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from exporter.web.server import make_app
from exporter.web.webconfig import WebConfig, WebConfigError, load_web_config

HASH = "$2b$04$XcfPpFOZ5BJINga9wU7Ss.ETgprs65DllkSmcavFv6Go4oU5ntVbu"  # of "sesame"
TLS = "tls_server_config: {cert_file: server.pem, key_file: server.key"


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def folder(tmp_path: Path, authority: trustme.CA) -> Path:
    certificate = authority.issue_cert("localhost", "127.0.0.1")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "server.pem")
    certificate.private_key_pem.write_to_path(tmp_path / "server.key")
    authority.issue_cert("other").private_key_pem.write_to_path(tmp_path / "other.key")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    key = load_pem_private_key(certificate.private_key_pem.bytes(), None)
    locked = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"word"))
    (tmp_path / "locked.key").write_bytes(locked)
    (tmp_path / "garbage.pem").write_text("garbage")
    return tmp_path


def load(folder: Path, text: str | bytes) -> WebConfig:
    path = folder / "web.yml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_web_config(path)


@pytest.mark.parametrize("text", ["", "# nothing\n", "{}", "basic_auth_users: {}", "http_server_config: {http2: true}"])
def test_an_empty_file_serves_plainly(folder: Path, text: str) -> None:
    config = load(folder, text)
    assert (config.ssl_context, dict(config.headers), config.users) == (None, {}, None)


def test_a_whole_file_is_taken(folder: Path) -> None:
    config = load(
        folder,
        f"""
tls_server_config:
  cert_file: server.pem
  key_file: {folder}/server.key
  client_ca_file: ca.pem
  client_auth_type: RequireAndVerifyClientCert
  min_version: TLS13
  max_version: TLS13
  prefer_server_cipher_suites: false
http_server_config:
  http2: false
  headers:
    Strict-Transport-Security: max-age=31536000
    X-Content-Type-Options: nosniff
    X-Frame-Options: deny
    X-XSS-Protection: "0"
    Content-Security-Policy: "default-src 'none'"
basic_auth_users:
  alice: {HASH}
  bob: {HASH.replace("$2b$", "$2y$")}
""",
    )
    context = config.ssl_context
    assert context is not None
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.minimum_version is context.maximum_version is ssl.TLSVersion.TLSv1_3
    assert config.headers == {
        "Strict-Transport-Security": "max-age=31536000",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "deny",
        "X-XSS-Protection": "0",
        "Content-Security-Policy": "default-src 'none'",
    }
    assert config.users is not None
    assert HASH not in repr(config)


@pytest.mark.parametrize(
    ("more", "mode"),
    [
        ("", ssl.CERT_NONE),
        (", client_auth_type: ''", ssl.CERT_NONE),
        (", client_auth_type: NoClientCert", ssl.CERT_NONE),
        (", client_auth_type: VerifyClientCertIfGiven, client_ca_file: ca.pem", ssl.CERT_OPTIONAL),
    ],
)
def test_tls_begins_at_1_2_and_asks_for_the_certificates_it_is_told_to(folder: Path, more: str, mode: Any) -> None:
    context = load(folder, f"{TLS}{more}}}").ssl_context
    assert context is not None
    assert context.verify_mode is mode
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.maximum_version is ssl.TLSVersion.TLSv1_3


def test_an_old_version_of_tls_is_allowed_to_who_asks_for_it(folder: Path) -> None:
    with pytest.deprecated_call():
        config = load(folder, f"{TLS}, min_version: TLS10}}")
    assert config.ssl_context is not None
    assert config.ssl_context.minimum_version is ssl.TLSVersion.TLSv1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("- a list", ["the file: "]),
        ("surprise: 1", ["surprise: unknown key"]),
        ("rate_limit: {interval: 1s}", ["rate_limit: exporter-toolkit knows this key, but it is not supported here"]),
        ("tls_server_config: {}", ["tls_server_config.cert_file: Field required", "tls_server_config.key_file: "]),
        (f"{TLS}, ciphers: []}}", ["tls_server_config.ciphers: unknown key"]),
        (f"{TLS}, cipher_suites: []}}", ["tls_server_config.cipher_suites: exporter-toolkit knows this key, but"]),
        (f"{TLS}, client_allowed_sans: [a]}}", ["tls_server_config.client_allowed_sans: exporter-toolkit knows"]),
        (
            f"{TLS}, client_auth_type: RequireAnyClientCert}}",
            ["tls_server_config.client_auth_type: RequireAnyClientCert takes certificates without verifying them"],
        ),
        (f"{TLS}, client_auth_type: Perhaps}}", ["tls_server_config.client_auth_type: must be one of NoClientCert,"]),
        (
            f"{TLS}, client_auth_type: VerifyClientCertIfGiven}}",
            ["tls_server_config.client_auth_type: VerifyClientCertIfGiven needs client_ca_file"],
        ),
        (f"{TLS}, client_ca_file: ca.pem}}", ["tls_server_config.client_ca_file: has no effect without"]),
        (f"{TLS}, min_version: SSL3}}", ["tls_server_config.min_version: Input should be 'TLS10'"]),
        (f"{TLS}, min_version: TLS13, max_version: TLS12}}", ["tls_server_config.min_version: is above max_version"]),
        (
            "tls_server_config: {cert_file: none.pem, key_file: '.'}",
            ["tls_server_config.cert_file: ", "tls_server_config.key_file: "],
        ),
        (
            "tls_server_config: {cert_file: server.pem, key_file: other.key}",
            ["tls_server_config.cert_file, key_file: "],
        ),
        (
            "tls_server_config: {cert_file: server.pem, key_file: locked.key}",
            ["tls_server_config.cert_file, key_file: "],
        ),
        (
            "tls_server_config: {cert_file: garbage.pem, key_file: server.key, client_ca_file: garbage.pem, "
            "client_auth_type: RequireAndVerifyClientCert}",
            ["tls_server_config.cert_file, key_file: ", "tls_server_config.client_ca_file: "],
        ),
        ("http_server_config: {http2: 'yes'}", ["http_server_config.http2: Input should be a valid boolean"]),
        ("http_server_config: {headers: {Server: x}}", ["http_server_config.headers.Server: unknown key"]),
        ("http_server_config: {headers: {X-Frame-Options: ALLOW}}", ["http_server_config.headers.X-Frame-Options: "]),
        (
            'http_server_config: {headers: {X-XSS-Protection: "0\\r\\nSet-Cookie: a=b"}}',
            ["http_server_config.headers.X-XSS-Protection: "],
        ),
        ("basic_auth_users: {alice: sesame}", ["basic_auth_users.alice: is not a bcrypt hash"]),
        ("basic_auth_users: {alice: 5}", ["basic_auth_users.alice: Input should be a valid string"]),
        (f"basic_auth_users: {{alice: {HASH.replace('$04$', '$99$')}}}", ["basic_auth_users.alice: is not a bcrypt"]),
        (f"basic_auth_users: {{'a:b': {HASH}}}", ["basic_auth_users.a:b: a user's name is not empty"]),
        (
            "surprise: 1\nbasic_auth_users: {alice: hush-1, bob: hush-2}\nhttp_server_config: {http2: 3}",
            ["http_server_config.http2: ", "basic_auth_users.alice: ", "basic_auth_users.bob: ", "surprise: "],
        ),
    ],
)
def test_everything_wrong_is_told_at_once_with_the_name_of_the_file(
    folder: Path, text: str, expected: list[str]
) -> None:
    with pytest.raises(WebConfigError) as refused:
        load(folder, text)
    problems = refused.value.problems
    assert len(problems) == len(expected)
    for problem, beginning in zip(problems, expected, strict=True):
        assert problem.startswith(f"{folder / 'web.yml'}: {beginning}")
    assert str(refused.value) == "\n".join(problems)
    for secret in (HASH[7:], "sesame", "hush"):
        assert secret not in str(refused.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"basic_auth_users:\n  alice: [$2b$secret", "web.yml:2: is not valid YAML"),
        (b"a: !!python/object:os.system {}", "web.yml:1: is not valid YAML"),
        (b"a: \x00", "web.yml: is not valid YAML"),
        (b"a: 2025-02-31", "web.yml: is not valid YAML"),
        (b"\xff\xfe\xfa", "web.yml: is not UTF-8"),
    ],
    ids=["syntax", "a tag that would run code", "a control character", "no such day", "not UTF-8"],
)
def test_what_is_not_yaml_is_refused_without_quoting_it(folder: Path, content: bytes, message: str) -> None:
    with pytest.raises(WebConfigError) as refused:
        load(folder, content)
    assert str(refused.value) == f"{folder}/{message}"


def test_a_file_that_is_not_there_is_named(folder: Path) -> None:
    with pytest.raises(WebConfigError, match=r"none\.yml: cannot be read: No such file"):
        load_web_config(folder / "none.yml")


async def test_tls_and_users_hold_on_a_real_socket(
    folder: Path, authority: trustme.CA, serve: Any, backend: Any
) -> None:
    config = load(
        folder,
        f"{TLS}, client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.pem}}\n"
        f"basic_auth_users: {{alice: {HASH}}}\n"
        "http_server_config: {headers: {Strict-Transport-Security: max-age=5, X-Frame-Options: deny}}",
    )
    ask = await serve(make_app(backend, config), ssl=config.ssl_context)
    trusted = ssl.create_default_context(cadata=authority.cert_pem.bytes().decode())
    with pytest.raises(aiohttp.ClientError):
        await ask("/metrics", ssl=trusted)
    authority.issue_cert("prometheus").configure_cert(trusted)
    assert (await ask("/metrics", ssl=trusted)).status == 401
    assert (await ask("/-/healthy", ssl=trusted)).status == 200
    answer = await ask(
        "/-/reload", "POST", ssl=trusted, headers={"Authorization": aiohttp.encode_basic_auth("alice", "sesame")}
    )
    assert answer.status == 200
    assert answer.headers["strict-transport-security"] == "max-age=5"
    assert answer.headers["x-frame-options"] == "deny"
