"""The answers that are not answers: status, body and headers of every refusal and failure, word for word. A table."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Any, Final

from exporter.demo.scenario import Kind, Scenario

JSON: Final = "application/json"
TEXT: Final = "text/plain; charset=utf-8"
HTML: Final = "text/html; charset=utf-8"

RETIRED_HOST: Final = (
    "https://api-inference.huggingface.co is no longer supported. Please use https://router.huggingface.co instead."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """One complete HTTP answer; `{model}` in the body stands for the model's id until `about` puts it in."""

    status: int
    body: str
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)

    def about(self, model_id: str) -> Refusal:
        """Return the same with the model's id in it, escaped as JSON is."""
        body = self.body.replace("{model}", json.dumps(model_id)[1:-1])
        headers = {name: value.replace("{model}", model_id) for name, value in self.headers.items()}
        return Refusal(status=self.status, body=body, content_type=self.content_type, headers=headers)


def refusal(status: int, error: object, headers: Mapping[str, str] | None = None, **more: Any) -> Refusal:
    """Return `{"error": error, ...}` as the services write it: compact JSON."""
    return Refusal(status=status, body=compact({"error": error, **more}), headers=headers or {})


def compact(value: object) -> str:
    """Return JSON without spaces; NaN is written as `NaN`, as Python servers do."""
    return json.dumps(value, separators=(",", ":"))


def html_page(status: int, title: str) -> Refusal:
    """Return a gateway's error page."""
    body = (
        f"<html>\r\n<head><title>{status} {title}</title></head>\r\n<body><h1>{status} {title}</h1></body>\r\n</html>"
    )
    return Refusal(status=status, body=body, content_type=HTML)


NOT_FOUND_ROUTE: Final = Refusal(status=404, body="Not Found", content_type="text/plain")
HOST_GONE: Final = refusal(410, RETIRED_HOST)
HOST_DOWN: Final = html_page(503, "Service Temporarily Unavailable")

NO_TOKEN: Final = refusal(401, "Invalid username or password.")
BAD_TOKEN: Final = refusal(
    401,
    "Invalid credentials in Authorization header",
    {
        "X-Error-Message": "Invalid credentials in Authorization header",
        "WWW-Authenticate": 'Bearer realm="Authentication required", charset="UTF-8"',
    },
)
NO_SCOPE: Final = refusal(
    403,
    "This authentication method does not have sufficient permissions to call Inference Providers"
    " on behalf of user demo",
)
DEPLETED: Final = refusal(
    402,
    "You have depleted your monthly included credits. Purchase pre-paid credits to continue using Inference Providers."
    " Alternatively, subscribe to PRO to get 20x more included usage.",
)
THROTTLED: Final = refusal(429, "Rate limit reached. Please log in or use a HF access token")
NOT_SUPPORTED: Final = refusal(400, "Model not supported by provider hf-inference")
_GATED = "Access to model {model} is restricted and you are not in the authorized list."
_DISABLED = "Access to this resource is disabled."
DISABLED: Final = refusal(403, _DISABLED, {"X-Error-Message": _DISABLED})
REPO_NOT_FOUND: Final = refusal(
    404, "Repository not found", {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"}
)
REPO_HIDDEN: Final = refusal(
    401,
    "Invalid username or password.",
    {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Invalid username or password."},
)

# What the router answers whatever it is asked.
BY_KIND: Final[Mapping[Kind, Refusal]] = {
    Kind.NOT_SERVED: NOT_SUPPORTED,
    Kind.UNSUPPORTED: NOT_SUPPORTED,
    Kind.DEPRECATED: refusal(410, "The requested model is deprecated and no longer supported by provider hf-inference"),
    Kind.GATED: refusal(403, _GATED, {"X-Error-Code": "GatedRepo", "X-Error-Message": _GATED}),
    Kind.DISABLED: DISABLED,
    Kind.MISSING: refusal(404, "Model {model} does not exist"),
    Kind.RENAMED: refusal(404, "Model {model} does not exist"),
    Kind.OVERLOADED: refusal(503, "Service temporarily unavailable, overload detected"),
    Kind.TGI_OVERLOADED: refusal(429, "Model is overloaded", error_type="overloaded"),
    Kind.RATE_LIMITED: THROTTLED,
    Kind.SERVER_ERROR: refusal(500, "unknown error"),
    Kind.BAD_GATEWAY: html_page(502, "Bad Gateway"),
    Kind.GATEWAY_TIMEOUT: html_page(504, "Gateway Time-out"),
    Kind.UNAVAILABLE: Refusal(status=503, body="Service Temporarily Unavailable", content_type=TEXT),
    Kind.MODEL_ERROR: refusal(400, "Could not load model {model} with any of the following classes."),
    Kind.GENERATION_ERROR: refusal(
        424, "Request failed during generation: Server error: Out of memory", error_type="generation"
    ),
    Kind.VALIDATION_ERROR: refusal(
        422,
        "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 1512."
        " Given: 2 `inputs` tokens and 10000 `max_new_tokens`",
        error_type="validation",
    ),
    Kind.TEMPLATE_ERROR: refusal(422, "Template error: template not found", error_type="template_error"),
    Kind.NO_CONTENT: Refusal(status=204, body=""),
}


def loading(model_id: str, estimated_s: float) -> Refusal:
    """Return the 503 of a model that is being loaded, with its estimate in seconds."""
    return refusal(503, f"Model {model_id} is currently loading", estimated_time=round(estimated_s, 3))


def unified(kind: Kind, model_id: str) -> Refusal | None:
    """Return how the route `/v1/chat/completions` says that a model is missing or not served; None for other kinds."""
    if kind in (Kind.MISSING, Kind.RENAMED):
        message, code = f"The requested model '{model_id}' does not exist.", "model_not_found"
    elif kind in (Kind.NOT_SERVED, Kind.UNSUPPORTED):
        message = f"The requested model '{model_id}' is not supported by any provider you have enabled."
        code = "model_not_supported"
    else:
        return None
    return refusal(400, {"message": message, "type": "invalid_request_error", "param": "model", "code": code})


def retry_after(scenario: Scenario, now: datetime) -> dict[str, str]:
    """Return the Retry-After header that the scenario asks for: seconds, an HTTP-date, or none."""
    if scenario.retry_after_s is None:
        return {}
    if not scenario.retry_after_date:
        return {"Retry-After": f"{scenario.retry_after_s:g}"}
    return {"Retry-After": format_datetime(now + timedelta(seconds=scenario.retry_after_s), usegmt=True)}
