"""Simulated checks and real ones never share a database, and neither is ever deleted."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from store_kit import Open, make_database, observe, query, stored

from exporter.store import StorageError

ASIDE = "ai_models.db.simulated-20251208T031329"


def test_a_simulated_database_is_taken_up_by_the_next_simulation(open_store: Open) -> None:
    with open_store(simulated=True) as store:
        stored(store, observe())

    again = open_store(simulated=True)
    assert again.count_history("gpt2") == 1
    assert again.set_aside is None


@pytest.mark.parametrize("kind", ["ours", "predecessors"])
def test_a_simulation_does_not_touch_a_real_database(open_store: Open, path: Path, kind: str) -> None:
    if kind == "ours":
        open_store().close()
    else:
        make_database(path, ["CREATE TABLE ai_models (model_id TEXT)"])
    content = path.read_bytes()

    with pytest.raises(StorageError, match="holds real checks") as caught:
        open_store(simulated=True)
    assert str(path) in str(caught.value)
    assert "--database" in caught.value.hint
    assert path.read_bytes() == content
    assert sorted(path.parent.iterdir()) == [path]


def test_a_simulated_database_is_set_aside_for_a_real_one(open_store: Open, path: Path) -> None:
    with open_store(simulated=True) as store:
        stored(store, observe(), observe())

    store = open_store()
    assert store.set_aside == path.with_name(ASIDE)
    assert store.count_history("gpt2") == 0
    assert query(store.set_aside, "SELECT count(*) FROM model_metrics") == [(2,)]
    store.close()
    assert open_store().set_aside is None


def test_what_a_killed_simulation_left_in_its_log_is_set_aside_with_it(open_store: Open, path: Path) -> None:
    with open_store(simulated=True) as store:
        stored(store, observe())
        log = path.with_name("ai_models.db-wal")
        left, logged = path.read_bytes(), log.read_bytes()
    path.write_bytes(left)
    log.write_bytes(logged)
    assert len(logged) > 0

    store = open_store()
    assert query(path.with_name(ASIDE), "SELECT count(*) FROM model_metrics") == [(1,)]
    assert stored(store, observe()) == [True]
    store.close()
    assert sorted(file.name for file in path.parent.iterdir()) == ["ai_models.db", ASIDE]


def test_nothing_that_was_set_aside_is_overwritten(open_store: Open, path: Path) -> None:
    path.with_name(ASIDE).write_text("precious")
    open_store(simulated=True).close()

    assert open_store().set_aside == path.with_name(f"{ASIDE}-2")
    assert path.with_name(ASIDE).read_text() == "precious"


def test_a_simulation_that_still_runs_is_not_set_aside(open_store: Open, path: Path) -> None:
    running = open_store(simulated=True)

    with pytest.raises(StorageError, match="set aside: database is locked"):
        open_store()
    assert stored(running, observe()) == [True]
    assert running.count_history("gpt2") == 1


def test_a_database_that_does_not_say_is_real(open_store: Open, path: Path) -> None:
    open_store(simulated=True).close()
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("DELETE FROM store_meta")

    assert open_store().set_aside is None
