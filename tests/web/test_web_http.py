"""JSON is strict whatever it is given."""

from __future__ import annotations

import json
from typing import Any

import pytest

from exporter.web.http import json_response


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"a": 1.5, "ü": "é\u2028"}, {"a": 1.5, "ü": "é\u2028"}),
        ([float("nan"), float("inf"), -float("inf"), 1.0], [None, None, None, 1.0]),
        ({"deep": ({"x": float("nan")},)}, {"deep": [{"x": None}]}),
        ("\ud800", "?"),
        (2**70, 2**70),
    ],
    ids=["plain", "not finite", "not finite within", "half a surrogate", "large integer"],
)
def test_json_is_strict_utf_8(value: Any, expected: Any) -> None:
    body = json_response(value).body
    assert json.loads(body.decode("utf-8"), parse_constant=pytest.fail) == expected


def test_json_survives_any_depth() -> None:
    body = json_response(nested(100_000)).body
    assert body == b"[" * 64 + b"null" + b"]" * 64
