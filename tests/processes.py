"""The command line as a process of its own: what it says as it says it, what it serves, how it ends."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp

from tests.until import until

ROOT: Final = Path(__file__).parent.parent
CLI: Final = ("-m", "exporter")
# Of the surroundings: a token of the developer's, and what makes a program think that it writes to a terminal.
NOT_INHERITED: Final = ("HF_TOKEN", "HF_TOKEN_FILE", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE")
# What Python says of a task, a file or a warning that nobody looked after, which ends no process.
UNTIDY: Final = (
    "Exception ignored",
    "never retrieved",
    "was destroyed",
    "never awaited",
    "Unclosed",
    "ResourceWarning",
)


@dataclass(kw_only=True)
class Process:
    """A started process. `out` and `err` grow while it runs."""

    process: asyncio.subprocess.Process
    out: bytearray = field(default_factory=bytearray)
    err: bytearray = field(default_factory=bytearray)

    @property
    def output(self) -> str:
        return (self.out + self.err).decode()

    @property
    def events(self) -> list[dict[str, Any]]:
        """The complete lines of the JSON log."""
        lines = self.err.decode("utf-8", "replace").split("\n")[:-1]
        return [json.loads(line) for line in lines if line.startswith("{")]

    async def event(self, name: str, count: int = 1) -> dict[str, Any]:
        """Wait for the `count`-th event of that name in the log."""

        def found() -> list[dict[str, Any]]:
            return [event for event in self.events if event["event"] == name][count - 1 : count]

        await until(lambda: bool(found()) or self.process.returncode is not None)
        assert found(), f"the process ended without {name}:\n{self.output}"
        return found()[0]

    async def url(self) -> str:
        urls: list[str] = (await self.event("started"))["urls"]
        return urls[0]

    async def text(self, path: str, status: int = 200, method: str = "GET") -> str:
        async with aiohttp.request(method, f"{await self.url()}{path}") as response:
            body = await response.text()
            assert response.status == status, body
            return body

    async def json(self, path: str, **more: Any) -> Any:
        return json.loads(await self.text(f"/api/ai-models{path}", **more))

    async def metric(self, series: str) -> str | None:
        """Return the value of a series as /metrics has it, None where there is none."""
        lines = (await self.text("/metrics")).splitlines()
        return next((line.rpartition(" ")[2] for line in lines if line.startswith(f"{series} ")), None)

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def ended(self, timeout_s: float = 20.0) -> int:
        """Wait for the end and return the exit code."""
        async with asyncio.timeout(timeout_s):
            return await self.process.wait()


@asynccontextmanager
async def started(*command: str, folder: Path, environ: Mapping[str, str] | None = None) -> AsyncIterator[Process]:
    """Start Python in `folder`, every warning an error; what still runs at the end of the block is killed."""
    inherited = {name: value for name, value in os.environ.items() if name not in NOT_INHERITED}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", *command),
        cwd=folder,
        env={**inherited, "PYTHONPATH": str(ROOT), "COLUMNS": "200", **(environ or {})},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    seen = Process(process=process)
    streams = ((process.stdout, seen.out), (process.stderr, seen.err))
    readers = [asyncio.ensure_future(_collect(stream, into)) for stream, into in streams]
    try:
        yield seen
    finally:
        if process.returncode is None:
            process.kill()
        await asyncio.gather(*readers, process.wait())
    assert not [text for text in UNTIDY if text in seen.output], seen.output


@asynccontextmanager
async def running(config: Path, *options: str, environ: Mapping[str, str] | None = None) -> AsyncIterator[Process]:
    """Run the daemon on a free port, in the folder of its configuration."""
    command = (*CLI, "run", "--config", str(config), "--web.listen-address", "127.0.0.1:0", *options)
    async with started(*command, folder=config.parent, environ=environ) as process:
        yield process


async def finished(*command: str, folder: Path, environ: Mapping[str, str] | None = None) -> tuple[int, str, str]:
    """Run Python to its end; return the exit code, and what was written to standard output and error."""
    async with started(*command, folder=folder, environ=environ) as process:
        code = await process.ended(60.0)
    return code, process.out.decode(), process.err.decode()


async def _collect(stream: asyncio.StreamReader | None, into: bytearray) -> None:
    assert stream is not None
    while chunk := await stream.read(65_536):
        into += chunk
