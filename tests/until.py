"""Wait for what other processes and threads do, which have no event of ours to wait for."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Final

EVERY_S: Final = 1 / 50


async def until(condition: Callable[[], bool | Awaitable[bool]], *, timeout_s: float = 10) -> None:
    """Return as soon as `condition` holds, asked again and again. Raises TimeoutError after `timeout_s` seconds."""
    async with asyncio.timeout(timeout_s):
        while True:
            answer = condition()
            if await answer if inspect.isawaitable(answer) else answer:
                return
            await asyncio.sleep(EVERY_S)
