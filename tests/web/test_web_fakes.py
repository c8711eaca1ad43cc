"""The fakes of these tests are asked as the real parts are."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from exporter.board import Board
from exporter.metrics import Metrics
from exporter.prober import Monitor
from exporter.scheduler import Agent
from exporter.store import Store
from exporter.web.backend import Backend


def test_the_fake_service_has_what_the_handlers_need(backend: Any) -> None:
    needed = {name for name in vars(Backend) if not name.startswith("_")}
    assert "metrics" in needed
    assert needed <= set(dir(backend))


@pytest.mark.parametrize(
    ("name", "real"),
    [("store", Store), ("board", Board), ("monitor", Monitor), ("agent", Agent), ("metrics", Metrics)],
)
def test_a_fake_takes_what_the_real_part_takes(backend: Any, name: str, real: type) -> None:
    fake = type(getattr(backend, name))
    methods = [method for method in vars(fake) if not method.startswith("_")]
    assert methods
    for method in methods:
        taken = inspect.signature(getattr(real, method)).parameters
        assert set(inspect.signature(getattr(fake, method)).parameters) <= {*taken, "self"}, method
        assert inspect.iscoroutinefunction(getattr(fake, method)) is inspect.iscoroutinefunction(getattr(real, method))
