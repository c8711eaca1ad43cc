"""What every test gets."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import structlog


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """A library gives its log to a host that has configured none; the next test is another host."""
    yield
    structlog.reset_defaults()
