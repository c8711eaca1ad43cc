"""One open service shared by all who use it at the same time: opened for the first, closed after the last."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import TypeVar

from exporter.service import Service

T = TypeVar("T")


class Session:
    """A service in one event loop, open until the last of its users is done."""

    def __init__(self, opening: AbstractAsyncContextManager[Service]) -> None:
        self.service: Service | None = None
        self._loop = asyncio.get_running_loop()
        self._opened = asyncio.Event()
        self._unused = asyncio.Event()
        self._users = 0
        # A task of its own, as the first user need not be the last; that one waits for its end.
        self._host = self._loop.create_task(self._run(opening))

    @property
    def ending(self) -> bool:
        """True when it takes no more users, or none from the running event loop."""
        closing = self._unused.is_set() or (self._opened.is_set() and self.service is None)
        return closing or self._host.done() or self._loop is not asyncio.get_running_loop()

    async def do(self, action: Callable[[Service], Awaitable[T]]) -> T:
        """Return what `action` makes of the service, once it is open.

        Raises what `action` raises, or what kept the service from opening or ended it meanwhile.
        """
        self._users += 1
        work = self._loop.create_task(self._act(action))
        try:
            await asyncio.wait([work, self._host], return_when=asyncio.FIRST_COMPLETED)
            if not work.done() or (work.cancelled() and self.ending):
                # A service that ends takes the work that it has begun with it.
                await asyncio.wait([self._host])
                self._raise_what_ended_it()
            return work.result()
        finally:
            work.cancel()
            self._users -= 1
            if not self._users:
                self._unused.set()
            await asyncio.wait([work] if self._users else [work, self._host])

    async def _run(self, opening: AbstractAsyncContextManager[Service]) -> None:
        async with opening as service:
            self.service = service
            self._opened.set()
            try:
                await self._unused.wait()
            finally:
                self.service = None

    async def _act(self, action: Callable[[Service], Awaitable[T]]) -> T:
        await self._opened.wait()
        assert self.service is not None, "it stays until its users are done"  # noqa: S101 -- for the type checker
        return await action(self.service)

    def _raise_what_ended_it(self) -> None:
        try:
            self._host.result()
        except BaseExceptionGroup as group:
            error: BaseException = group
            while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
                (error,) = error.exceptions
            raise error from None
