"""The JSON Schemas (draft 2020-12) of every JSON answer and the parameters, as data."""

from __future__ import annotations

from typing import Any, Final

from exporter.models import EventKind, Reason, Scope, Status

Schema = dict[str, Any]


def _object(properties: Schema, *, closed: bool = True) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": not closed,
    }


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _parameter(
    name: str, description: str, schema: Schema, *, place: str = "query", required: bool = False, **more: Any
) -> Schema:
    return {"name": name, "in": place, "description": description, "required": required, "schema": schema, **more}


_TEXT: Final[Schema] = {"type": "string"}
_FLAG: Final[Schema] = {"type": "boolean"}
_COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
_POSITIVE: Final[Schema] = {"type": "integer", "minimum": 1}
_NUMBER: Final[Schema] = {"type": "number", "minimum": 0}
_PERCENT: Final[Schema] = {"type": "number", "minimum": 0, "maximum": 100}
_RATIO: Final[Schema] = {"type": "number", "minimum": 0, "maximum": 1}
_TIME: Final[Schema] = {"type": "string", "format": "date-time"}

_SUMMARY: Final[Schema] = {
    "total_models": _COUNT,
    "models_with_checks": _COUNT,
    "overall_success_rate": _PERCENT,
    "by_category": {"type": "object", "additionalProperties": _ref("Category")},
    "by_status": _object({str(status): _COUNT for status in Status}),
}
_INCIDENT: Final[Schema] = {
    "provider": _TEXT,
    "scope": _ref("Scope"),
    "reason": _ref("Reason"),
    "opened_at": _TIME,
    "model_ids": _list(_TEXT),
    "message": _TEXT,
}
_RESOLUTION: Final[Schema] = {
    "status": _ref("Status"),
    "reason": _or_null(_ref("Reason")),
    "wanted": _or_null(_TEXT),
    "why": _TEXT,
    "chain": _list(_TEXT),
}
_ERROR: Final[Schema] = {"error": _object({"code": _TEXT, "message": _TEXT})}

SCHEMAS: Final[dict[str, Schema]] = {
    "Error": _object(_ERROR),
    "Status": {"type": "string", "enum": [str(status) for status in Status]},
    "Reason": {"type": "string", "enum": [str(reason) for reason in Reason]},
    "Scope": {"type": "string", "enum": [str(scope) for scope in Scope]},
    "EventKind": {"type": "string", "enum": [str(kind) for kind in EventKind]},
    "Model": _object(
        {
            "model_id": _TEXT,
            "model_key": _TEXT,
            "task": _TEXT,
            "category": _TEXT,
            "provider": _TEXT,
            "requires_auth": _FLAG,
            "enabled": _FLAG,
            "status": _ref("Status"),
            "reason": _or_null(_ref("Reason")),
            "scope": _or_null(_ref("Scope")),
            "message": _TEXT,
            "success": _or_null(_FLAG),
            "counted": _or_null(_FLAG),
            "incident": _or_null(_ref("Reason")),
            "fallback": _or_null(_TEXT),
            "canonical_id": _or_null(_TEXT),
            "effective_interval_s": _or_null(_NUMBER),
            "last_probe_at": _or_null(_TIME),
            "response_time_ms": _or_null(_NUMBER),
            "confidence": _or_null(_RATIO),
            "total_checks": _COUNT,
            "successful_checks": _COUNT,
            "failed_checks": _COUNT,
            "success_rate": _or_null(_PERCENT),
            "avg_response_time_ms": _or_null(_NUMBER),
            "last_success_at": _or_null(_TIME),
            "last_failure_at": _or_null(_TIME),
        }
    ),
    "Models": _list(_ref("Model")),
    "Available": _object({"total": _COUNT, "models": _list(_ref("Model"))}),
    "Check": _object(
        {
            "id": _POSITIVE,
            "model_id": _TEXT,
            "provider": _or_null(_TEXT),
            "status": _TEXT,
            "reason": _or_null(_TEXT),
            "scope": _or_null(_TEXT),
            "http_status": _or_null({"type": "integer"}),
            "response_time_ms": _or_null(_NUMBER),
            "success": _FLAG,
            "error_message": _or_null(_TEXT),
            "test_input": _or_null(_TEXT),
            "test_output": True,
            "confidence": _or_null(_RATIO),
            "checked_at": _TIME,
            "counted": _FLAG,
            "requests": _COUNT,
            "cached": _FLAG,
            "cold": _or_null(_FLAG),
            "canary": _or_null(_TEXT),
            "correct": _or_null(_FLAG),
            "attempts": _list({"type": "object"}),
            "timings": {"type": "object"},
            "canonical_id": _or_null(_TEXT),
            "hub_sha": _or_null(_TEXT),
            "served_sha": _or_null(_TEXT),
            "compute_type": _or_null(_TEXT),
            "compute_time_s": _or_null(_NUMBER),
        },
        closed=False,
    ),
    "History": _object({"model_id": _TEXT, "total_records": _COUNT, "history": _list(_ref("Check"))}),
    "Stats": _object(
        {
            "model_info": _ref("Model"),
            "recent_checks": _list(_ref("Check")),
            "uptime": _object({window: _or_null(_PERCENT) for window in ("1h", "24h", "7d", "30d")}),
            "accuracy": _object({"correct": _COUNT, "judged": _COUNT, "ratio": _or_null(_RATIO)}),
        }
    ),
    "Event": _object(
        {
            "id": _POSITIVE,
            "at": _TIME,
            "kind": _ref("EventKind"),
            "provider": _TEXT,
            "model_id": _or_null(_TEXT),
            "before": True,
            "after": True,
            "message": _TEXT,
        }
    ),
    "Events": _object({"model_id": _TEXT, "events": _list(_ref("Event"))}),
    "Resolution": _object({"model_id": _TEXT, "provider": _TEXT, **_RESOLUTION}),
    "NoneWorks": _object({"model_id": {"type": "null"}, "provider": _or_null(_TEXT), **_RESOLUTION, **_ERROR}),
    "Incident": _object({**_INCIDENT, "next_try": _or_null(_TIME)}),
    "Incidents": _object(
        {
            "incidents": _list(_ref("Incident")),
            "recent": _list(_object({**_INCIDENT, "closed_at": _TIME})),
            "runtime_changes": _list(_ref("Event")),
        }
    ),
    "Budgets": _object(
        {
            "providers": _list(
                _object(
                    {
                        "provider": _TEXT,
                        "month": {"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}$"},
                        "requests": _object(
                            {
                                "limit": _or_null(_COUNT),
                                "used": _COUNT,
                                "projected": _COUNT,
                                "projected_without_limit": _COUNT,
                            }
                        ),
                        "compute_seconds": _object({"limit": _or_null(_NUMBER), "used": _NUMBER}),
                        "models": _list(
                            _object({"model_id": _TEXT, "interval_s": _NUMBER, "effective_interval_s": _NUMBER})
                        ),
                    }
                )
            )
        }
    ),
    "Category": _object(
        {"total": _COUNT, "models_with_checks": _COUNT, "avg_success_rate": _PERCENT, "models": _list(_TEXT)}
    ),
    "Summary": _object(_SUMMARY),
    "TimedSummary": _object({**_SUMMARY, "timestamp": _TIME}),
    "Dashboard": _object(
        {
            "summary": _ref("Summary"),
            "top_models": _list(_ref("Model")),
            "failed_models": _list(_ref("Model")),
            "incidents": _list(_ref("Incident")),
            "agent_running": _FLAG,
            "total_models": _COUNT,
            "simulated": _FLAG,
            "timestamp": _TIME,
        }
    ),
    "Scan": _object(
        {
            "total": _COUNT,
            **{str(status): _COUNT for status in Status},
            "models": _list(
                _object(
                    {
                        "model_id": _TEXT,
                        "status": _ref("Status"),
                        "response_time_ms": _or_null(_NUMBER),
                        "success": _FLAG,
                        "reason": _ref("Reason"),
                    },
                    closed=False,
                )
            ),
        },
        closed=False,
    ),
    "AgentStatus": _object(
        {
            "running": _FLAG,
            "interval_minutes": _NUMBER,
            "last_scan": _or_null(_TIME),
            "next_scan": _or_null(_TIME),
            "incidents": _list(_ref("Incident")),
        }
    ),
    "AgentStart": _object({"status": _TEXT, "message": _TEXT, "interval_minutes": _NUMBER}),
    "Done": _object({"status": _TEXT, "message": _TEXT}),
    "Health": _object(
        {
            "status": {"type": "string", "enum": ["healthy", "degraded"]},
            "database": _object(
                {
                    "status": {"type": "string", "enum": ["ok", "failing", "dead"]},
                    "queue_rows": _COUNT,
                    "last_error": _or_null(_TEXT),
                }
            ),
            "alive": {"type": "object", "additionalProperties": _FLAG},
            "agent_running": _FLAG,
            "timestamp": _TIME,
        }
    ),
    "Reloaded": _object({"status": _TEXT, "models": _COUNT, "warnings": _list(_TEXT)}),
    "OpenApi": {"type": "object", "required": ["openapi", "info", "paths"]},
}

PARAMETERS: Final[dict[str, Schema]] = {
    "id": _parameter("id", "A configured model's id; a slash in it raw or as %2F", _TEXT, place="path", required=True),
    "wait": _parameter("wait", "false: do not wait for the scan's end", {**_FLAG, "default": True}),
    "status": _parameter("status", "Only models of this status", _ref("Status")),
    "task": _parameter("task", "Only models of this task", _TEXT),
    "category": _parameter("category", "Only models of this category", _TEXT),
    "limit": _parameter("limit", "At most so many; without it, all", _POSITIVE),
    "offset": _parameter("offset", "Skip so many", {**_COUNT, "default": 0}),
    "page_limit": _parameter("limit", "At most so many", {**_POSITIVE, "maximum": 1000, "default": 100}),
    "since": _parameter("since", "Only from this time on", _TIME),
    "until": _parameter("until", "Only before this time", _TIME),
    "before": _parameter("before", "Only what is older than the one with this id", _POSITIVE),
    "kinds": _parameter("kinds", "Only events of these kinds", _list(_ref("EventKind")), style="form", explode=False),
    "wanted_task": _parameter("task", "The best model of this task", _TEXT),
    "wanted_category": _parameter("category", "The best model of this category", _TEXT),
    "wanted_model": _parameter("model", "This model, or what is in its place", _TEXT),
    "model": _parameter("model", "A configured model's id", _TEXT, required=True),
    "debug": _parameter("debug", "true: show the whole exchange as text", _FLAG),
}
