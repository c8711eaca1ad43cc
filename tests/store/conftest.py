"""A database path, a clock, a patient writer, and stores that are closed again."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from store_kit import Open, SetClock, Waits

from exporter.store import Store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ai_models.db"


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def waits() -> Waits:
    return Waits()


@pytest.fixture
def open_store(path: Path, clock: SetClock) -> Iterator[Open]:
    """Open a store, at `path` if nothing else is said, that the end of the test closes."""
    with ExitStack() as stack:

        def opened(where: Path = path, **options: Any) -> Store:
            return stack.enter_context(Store.open(where, now=clock, **({"busy_timeout_s": 0.05} | options)))

        yield opened


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a disk of one megabyte; only root can."""
    folder = tmp_path / "disk"
    folder.mkdir()
    try:
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True)
    except FileNotFoundError:
        pytest.skip("there is no mount command here")
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)
