"""Record rows as fast as the store takes them, and print the number of each that it says is committed."""

import os
import sys
from concurrent.futures import Future
from datetime import UTC, datetime
from pathlib import Path

from store_kit import failed, observe

from exporter.store import Store

FOLDER, FIRST = Path(sys.argv[1]), int(sys.argv[2])


def tell(number: int, future: Future[bool]) -> None:
    """Say it without a buffer: what was said is said even if the next moment is the last."""
    if future.result():
        os.write(1, f"{number}\n".encode())


store = Store.open(FOLDER, now=lambda: datetime.now(UTC))
for number in range(FIRST, FIRST + 1_000_000):
    make = observe if number % 3 else failed
    future = store.record(make(f"model/{number % 5}", message=str(number), response_time_ms=float(number)))
    future.add_done_callback(lambda done, number=number: tell(number, done))
    if number % 7 == 0:
        future.result()
