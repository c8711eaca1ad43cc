"""kill -9 at any moment: what was said to be committed is there, the statistics fit, the file is sound."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from store_kit import Open, query, statistics_kept, statistics_of_rows

ROUNDS = 5


def test_a_killed_process_loses_no_row_that_was_said_to_be_committed(open_store: Open, path: Path) -> None:
    here = Path(__file__).parent
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(here), str(here.parents[1])])}
    committed: set[int] = set()
    for attempt in range(ROUNDS):
        first = 1 + attempt * 1_000_000
        with subprocess.Popen(
            [sys.executable, here / "writes_until_killed.py", path, str(first)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
        ) as writer:
            assert writer.stdout is not None
            assert writer.stderr is not None
            said = [writer.stdout.readline() for _ in range(100 + 77 * attempt)]
            writer.kill()
            said += writer.stdout.readlines()
            assert writer.stderr.read() == b""
        committed |= {int(line) for line in said if line.endswith(b"\n")}

        store = open_store()  # the log that the killed process left is taken up here
        stored = {int(message) for (message,) in query(path, "SELECT error_message FROM model_metrics")}
        assert committed <= stored
        assert len(committed) > 50 * (attempt + 1)
        assert statistics_kept(path) == statistics_of_rows(path)
        assert query(path, "PRAGMA integrity_check") == [("ok",)]
        assert sum(store.count_history(f"model/{n}") for n in range(5)) == len(stored)
        store.close()
