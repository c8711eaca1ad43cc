"""The real servers that tests run against. Without them a test is skipped by name, but never where CI is set."""

from __future__ import annotations

import os
import shutil

import pytest

_MISSING = [name for name in ("prometheus", "promtool") if shutil.which(name) is None]
prometheus_needed = pytest.mark.skipif(
    bool(_MISSING) and not os.environ.get("CI"), reason=f"not installed: {', '.join(_MISSING)}"
)
