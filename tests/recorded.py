"""Recorded exchanges with the real service, where somebody has put them beside the project; nothing of them is ours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

PATH = Path(__file__).resolve().parents[2] / "shared" / "recorded" / "hf-exchanges.json"
needed = pytest.mark.skipif(not PATH.exists(), reason="no recorded exchanges beside the project")


def exchanges() -> list[dict[str, Any]]:
    return json.loads(PATH.read_text(encoding="utf-8")) if PATH.exists() else []
