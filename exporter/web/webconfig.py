"""Read `--web.config.file` in the format of Prometheus' exporter-toolkit: TLS, response headers, users.

What the toolkit knows and Python's ssl cannot do is refused by name, never ignored: each of those keys restricts.
Format: https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from exporter.web.auth import Authenticator

_BCRYPT: Final = re.compile(r"\$2[aby]\$(0[4-9]|[12]\d|3[01])\$[./A-Za-z0-9]{53}", re.ASCII)
_TLS_VERSIONS: Final = {
    "TLS10": ssl.TLSVersion.TLSv1,
    "TLS11": ssl.TLSVersion.TLSv1_1,
    "TLS12": ssl.TLSVersion.TLSv1_2,
    "TLS13": ssl.TLSVersion.TLSv1_3,
}
_CLIENT_AUTH: Final = {
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
_UNVERIFIED: Final = ("RequestClientCert", "RequireAnyClientCert")
_UNSUPPORTED: Final = {
    "tls_server_config": ("cert", "key", "client_ca", "client_allowed_sans", "cipher_suites", "curve_preferences"),
    "http_server_config": (),
    "": ("rate_limit",),
}


class WebConfigError(Exception):
    """The web configuration is bad. `problems` holds them all, each with the file's name; str() is one a line."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True, kw_only=True)
class WebConfig:
    """How to serve: TLS (None is plain HTTP), headers of every answer, users (None: nobody is asked)."""

    ssl_context: ssl.SSLContext | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    users: Authenticator | None = None


def load_web_config(path: Path) -> WebConfig:
    """Read and check the file, and the certificates that it names. Raises WebConfigError with every problem."""
    shape = _read(path)
    problems: list[str] = []
    context = None if shape.tls_server_config is None else _context(shape.tls_server_config, path.parent, problems)
    if problems:
        raise WebConfigError(tuple(f"{path}: tls_server_config.{problem}" for problem in problems))
    headers = shape.http_server_config.headers.model_dump(by_alias=True, exclude_none=True)
    users = Authenticator(shape.basic_auth_users) if shape.basic_auth_users else None
    return WebConfig(ssl_context=context, headers=headers, users=users)


def _bcrypt_hash(value: str) -> str:
    if not _BCRYPT.fullmatch(value):
        raise ValueError("is not a bcrypt hash (make one with: htpasswd -nBC 10 \"\" | tr -d ':')")
    return value


def _user_name(value: str) -> str:
    if not value or ":" in value:
        raise ValueError("a user's name is not empty and holds no colon")
    return value


def _client_auth(value: str) -> str:
    if value in _UNVERIFIED:
        raise ValueError(f"{value} takes certificates without verifying them, which is not supported here")
    if value and value not in _CLIENT_AUTH:
        raise ValueError(f"must be one of {', '.join(_CLIENT_AUTH)}")
    return value or "NoClientCert"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)


_HeaderValue = Annotated[str, Field(pattern=r"^[\x20-\x7e]*$")]


class _Headers(_Strict):
    strict_transport_security: _HeaderValue | None = Field(None, alias="Strict-Transport-Security")
    x_content_type_options: Literal["nosniff"] | None = Field(None, alias="X-Content-Type-Options")
    x_frame_options: Literal["deny", "sameorigin"] | None = Field(None, alias="X-Frame-Options")
    x_xss_protection: _HeaderValue | None = Field(None, alias="X-XSS-Protection")
    content_security_policy: _HeaderValue | None = Field(None, alias="Content-Security-Policy")


class _HttpServer(_Strict):
    # HTTP/2 is negotiated, so a server without it is one that a client simply does not negotiate it with.
    http2: bool = True
    headers: _Headers = Field(default_factory=lambda: _Headers())


_TlsVersion = Literal["TLS10", "TLS11", "TLS12", "TLS13"]


class _Tls(_Strict):
    cert_file: str
    key_file: str
    client_ca_file: str = ""
    client_auth_type: Annotated[str, AfterValidator(_client_auth)] = "NoClientCert"
    min_version: _TlsVersion = "TLS12"
    max_version: _TlsVersion = "TLS13"
    prefer_server_cipher_suites: bool = True


class _File(_Strict):
    tls_server_config: _Tls | None = None
    http_server_config: _HttpServer = Field(default_factory=_HttpServer)
    basic_auth_users: dict[Annotated[str, AfterValidator(_user_name)], Annotated[str, AfterValidator(_bcrypt_hash)]] = (
        Field(default_factory=dict)
    )


def _read(path: Path) -> _File:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise WebConfigError((f"{path}: cannot be read: {error.strerror}",)) from None
    except UnicodeDecodeError:
        raise WebConfigError((f"{path}: is not UTF-8",)) from None
    except (yaml.YAMLError, ValueError) as error:  # ValueError: the 31st of February
        # The error's own text quotes the line, which may hold a hash.
        mark = error.problem_mark if isinstance(error, yaml.MarkedYAMLError) else None
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        raise WebConfigError((f"{where}: is not valid YAML",)) from None
    try:
        return _File.model_validate({} if content is None else content)
    except ValidationError as error:
        raise WebConfigError(tuple(f"{path}: {_explain(detail)}" for detail in error.errors())) from None


def _explain(detail: Any) -> str:
    location = [str(part) for part in detail["loc"]]
    where = ".".join(part for part in location if part != "[key]")
    if detail["type"] != "extra_forbidden":
        return f"{where or 'the file'}: {detail['msg'].removeprefix('Value error, ')}"
    parent = ".".join(location[:-1])
    if location[-1] in _UNSUPPORTED.get(parent, ()):
        return f"{where}: exporter-toolkit knows this key, but it is not supported here"
    return f"{where}: unknown key"


def _context(tls: _Tls, base: Path, problems: list[str]) -> ssl.SSLContext | None:
    verify = _CLIENT_AUTH[tls.client_auth_type]
    if verify is not ssl.CERT_NONE and not tls.client_ca_file:
        problems.append(f"client_auth_type: {tls.client_auth_type} needs client_ca_file")
    if verify is ssl.CERT_NONE and tls.client_ca_file:
        problems.append("client_ca_file: has no effect without a client_auth_type that verifies")
    if _TLS_VERSIONS[tls.min_version] > _TLS_VERSIONS[tls.max_version]:
        problems.append("min_version: is above max_version")
    files = {"cert_file": tls.cert_file, "key_file": tls.key_file, "client_ca_file": tls.client_ca_file}
    paths = {key: base / name for key, name in files.items() if name or key != "client_ca_file"}
    problems.extend(f"{key}: {path} cannot be read" for key, path in paths.items() if not _readable(path))
    if problems:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _TLS_VERSIONS[tls.min_version]
    context.maximum_version = _TLS_VERSIONS[tls.max_version]
    if tls.prefer_server_cipher_suites:
        context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    context.set_alpn_protocols(["http/1.1"])
    try:
        # An encrypted key asks for its password on the terminal, unless it is given one.
        context.load_cert_chain(paths["cert_file"], paths["key_file"], password="")
    except (ssl.SSLError, ValueError) as error:
        problems.append(f"cert_file, key_file: {paths['cert_file']}, {paths['key_file']}: {_reason(error)}")
    if tls.client_ca_file:
        try:
            context.load_verify_locations(paths["client_ca_file"])
        except ssl.SSLError as error:
            problems.append(f"client_ca_file: {paths['client_ca_file']}: {_reason(error)}")
    context.verify_mode = verify
    return context


def _reason(error: Exception) -> str:
    reason = getattr(error, "reason", None)
    return str(reason).lower().replace("_", " ") if reason else "cannot be used"


def _readable(path: Path) -> bool:
    try:
        with path.open("rb"):
            return True
    except OSError:
        return False
