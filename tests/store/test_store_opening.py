"""Every way in which a database cannot be opened has an error that names the path and helps; nothing is ever lost."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from store_kit import GPT2, Open, SetClock, make_database, observe, query, stored

from exporter.store import StorageError, Store

AS_ROOT = pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")


def refused(open_store: Open, path: Path, **options: object) -> StorageError:
    with pytest.raises(StorageError) as caught:
        open_store(path, **options)
    error = caught.value
    assert str(path) in str(error)
    assert error.path == path
    assert error.hint
    assert error.hint in str(error)
    return error


def grown(path: Path, open_store: Open) -> Path:
    """Make a sound database of many pages."""
    with open_store() as store:
        stored(store, *(observe(test_output="x" * 500) for _ in range(200)))
    return path


def test_folders_are_made(open_store: Open, tmp_path: Path) -> None:
    path = tmp_path / "a" / "b c" / "ü?#%.db"
    with open_store(path) as store:
        assert stored(store, observe()) == [True]
        assert store.path == path

    assert query(path, "SELECT count(*) FROM model_metrics") == [(1,)]
    assert sorted(path.parent.iterdir()) == [path]


def test_a_relative_path_is_where_the_program_was_started(
    open_store: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = open_store(Path("data/ai_models.db"))
    monkeypatch.chdir("/")

    assert store.count_history("gpt2") == 0
    assert (tmp_path / "data/ai_models.db").exists()


def test_the_columns_of_the_seed_are_there_in_wal_mode(open_store: Open, path: Path) -> None:
    open_store()

    seed = {
        "ai_models": "id, model_id, model_key, task, category, provider, requires_auth, is_active, created_at,"
        " updated_at",
        "model_metrics": "id, model_id, status, response_time_ms, success, error_message, test_input, test_output,"
        " confidence, checked_at",
        "model_stats": "model_id, total_checks, successful_checks, failed_checks, avg_response_time_ms,"
        " last_success_at, last_failure_at, success_rate",
    }
    for table, columns in seed.items():
        assert query(path, f"SELECT {columns} FROM {table}") == []
    assert query(path, "PRAGMA journal_mode") == [("wal",)]
    with pytest.raises(sqlite3.IntegrityError):
        query(path, "INSERT INTO ai_models (model_id) VALUES ('a'), ('a')")


def test_what_was_stored_is_there_the_next_time(open_store: Open) -> None:
    with open_store() as store:
        store.sync_models([GPT2])
        stored(store, observe(), observe())

    again = open_store()
    stored(again, observe())
    assert [row["id"] for row in again.get_model_history("gpt2")] == [3, 2, 1]
    assert again.get_all_models()[0]["total_checks"] == 3
    assert (again.set_aside, again.carried_over, again.predecessor_copy) == (None, None, None)


def test_two_processes_share_a_database(open_store: Open) -> None:
    one, other = open_store(), open_store()

    assert stored(one, observe()) == stored(other, observe()) == [True]
    assert one.count_history("gpt2") == other.count_history("gpt2") == 2


def test_an_empty_file_is_begun(open_store: Open, path: Path) -> None:
    path.touch()

    assert stored(open_store(), observe()) == [True]


def test_a_folder_is_no_database(open_store: Open, path: Path) -> None:
    path.mkdir()

    assert "is a folder" in str(refused(open_store, path))


def test_a_pipe_is_no_database(open_store: Open, path: Path) -> None:
    os.mkfifo(path)

    assert "no regular file" in str(refused(open_store, path))


@pytest.mark.parametrize("name", ["plain.txt/ai_models.db", "plain.txt/deeper/ai_models.db"])
def test_a_folder_that_cannot_be_made_is_named(open_store: Open, tmp_path: Path, name: str) -> None:
    (tmp_path / "plain.txt").write_text("not a folder")

    assert "cannot make its folder" in str(refused(open_store, tmp_path / name))


def test_a_path_that_is_none_is_refused(open_store: Open, tmp_path: Path) -> None:
    assert "cannot make its folder" in str(refused(open_store, tmp_path / "a\0b/ai_models.db"))


@AS_ROOT
def test_a_folder_without_permission_is_named(open_store: Open, tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)

    refused(open_store, closed / "ai_models.db")
    refused(open_store, closed / "deeper" / "ai_models.db")


@AS_ROOT
def test_a_file_without_permission_is_named(open_store: Open, path: Path) -> None:
    grown(path, open_store).chmod(0o400)

    assert "readonly" in str(refused(open_store, path))


@pytest.mark.parametrize("journal", ["WAL", "DELETE"])
def test_a_file_that_says_it_is_read_only_is_refused(open_store: Open, path: Path, journal: str) -> None:
    with closing(sqlite3.connect(grown(path, open_store))) as other:
        other.execute(f"PRAGMA journal_mode = {journal}")
    content = bytearray(path.read_bytes())
    content[18] = 3  # the header's write version: SQLite opens what it does not know how to write for reading only
    path.write_bytes(content)

    error = refused(open_store, path)
    assert "readonly" in str(error)
    assert "writable" in error.hint
    assert path.read_bytes() == content


@pytest.mark.parametrize("begun", [True, False], ids=["a-database-is-there", "nothing-is-there"])
def test_a_read_only_file_system_is_named(open_store: Open, small_disk: Path, begun: bool) -> None:
    path = small_disk / "ai_models.db"
    if begun:
        open_store(path).close()
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)

    refused(open_store, path)


@pytest.mark.parametrize("size", [1, 20, 300, 5000], ids=lambda size: f"{size}-bytes")
def test_garbage_is_refused_and_left_alone(open_store: Open, path: Path, size: int) -> None:
    path.write_bytes(garbage := b"GARBAGE " * size)

    assert "not a database" in str(refused(open_store, path))
    assert path.read_bytes() == garbage


@pytest.mark.parametrize("keep", [300, 4096, 20_000], ids=lambda keep: f"{keep}-bytes-left")
def test_a_truncated_file_is_refused_and_left_alone(open_store: Open, path: Path, keep: int) -> None:
    content = grown(path, open_store).read_bytes()[:keep]
    path.write_bytes(content)

    error = refused(open_store, path)
    assert "malformed" in str(error)
    assert "damaged" in error.hint
    assert path.read_bytes() == content


def test_a_newer_version_is_refused(open_store: Open, path: Path) -> None:
    make_database(path, ["PRAGMA user_version = 999"])

    assert "written by a newer version" in str(refused(open_store, path))
    assert query(path, "PRAGMA user_version") == [(999,)]


@pytest.mark.parametrize(
    "statements",
    [
        pytest.param(["CREATE TABLE songs (title)"], id="other-tables"),
        pytest.param(["CREATE TABLE ai_models (model_id)", "PRAGMA user_version = 1"], id="another-numbering"),
    ],
)
def test_the_database_of_another_program_is_refused(open_store: Open, path: Path, statements: list[str]) -> None:
    content = make_database(path, statements).read_bytes()

    assert "another program" in str(refused(open_store, path))
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    "begin",
    [
        pytest.param(lambda path, open_store: grown(path, open_store), id="ours"),
        pytest.param(lambda path, open_store: make_database(path, ["CREATE TABLE ai_models (a)"]), id="predecessors"),
        pytest.param(lambda path, open_store: path, id="just-begun"),
    ],
)
def test_a_locked_database_is_refused_until_it_is_free(
    open_store: Open, path: Path, begin: Callable[[Path, Open], Path]
) -> None:
    with closing(sqlite3.connect(begin(path, open_store), isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        error = refused(open_store, path)
        assert "locked" in str(error)
        assert "another process" in error.hint
        other.execute("ROLLBACK")

    assert stored(open_store(), observe()) == [True]


def test_a_full_disk_is_named(open_store: Open, small_disk: Path) -> None:
    filler = small_disk / "filler"
    written = subprocess.run(["dd", "if=/dev/zero", f"of={filler}", "bs=4096"], capture_output=True)
    assert b"No space left" in written.stderr

    refused(open_store, small_disk / "ai_models.db")
    filler.unlink()
    assert stored(open_store(small_disk / "ai_models.db"), observe()) == [True]


def test_closing_twice_is_closing_once_and_a_closed_store_says_so(open_store: Open, path: Path) -> None:
    store = open_store()
    assert (store.healthy, store.running) == (True, True)
    store.close()
    store.close()

    assert (store.healthy, store.running) == (False, False)
    for ask in (
        store.get_all_models,
        store.all_stats,
        store.last_observations,
        lambda: store.get_model_history("gpt2"),
        lambda: store.count_history("gpt2"),
        lambda: store.get_model_stats("gpt2"),
        lambda: store.uptime("gpt2"),
        lambda: store.sync_models([]),
        lambda: store.add_model({"model_id": "gpt2", "task": "text-generation"}),
    ):
        with pytest.raises(StorageError, match="the store is closed") as caught:
            ask()
        assert str(path) in str(caught.value)
    assert stored(store, observe()) == [False]
    assert store.rows_dropped == 1


def test_rows_that_wait_are_committed_by_closing(open_store: Open, path: Path) -> None:
    store = open_store()
    futures = [store.record(observe()) for _ in range(500)]
    store.close()

    assert all(future.result(0) for future in futures)
    assert query(path, "SELECT count(*) FROM model_metrics") == [(500,)]


def test_a_reader_that_is_still_reading_when_the_store_closes_ends_well(path: Path, clock: SetClock) -> None:
    store = Store.open(path, now=clock)
    with store._readers._connection() as connection:
        store.close()
        assert connection.execute("SELECT count(*) FROM model_metrics").fetchone()[0] == 0

    assert sorted(path.parent.iterdir()) == [path]  # the last one out has cleaned up -wal and -shm


def test_a_script_need_not_close_the_store(path: Path) -> None:
    script = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from exporter.store import Store
db = Store.open(Path(sys.argv[1]), now=lambda: datetime.now(UTC))
db.add_model({"model_id": "gpt2", "task": "text-generation"})
for model in db.get_all_models():
    print(model["model_id"], model.get("success_rate", 0))
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script, path],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        timeout=60,
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "gpt2 0\n", "")
    assert not path.with_name("ai_models.db-wal").exists()
