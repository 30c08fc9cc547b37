"""Tells hosts of applications, while some host wants to know."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from msgspec import UNSET, UnsetType

from guestmux_protocol.events import AppExited, AppFocused, AppStarted
from guestmux_protocol.registry import Data
from guestmux_session.backoff import Backoff
from guestmux_session.desktop.app_news import AppNews, Item
from guestmux_session.desktop.app_source import REST_SECONDS, AppSource
from guestmux_session.desktop.app_sources import AppSources
from guestmux_session.desktop.app_table import AppTable
from guestmux_session.desktop.errors import DisplayError, DisplayLost
from guestmux_session.errors import Disconnected, NotRegistered
from guestmux_session.news import News
from guestmux_session.telling import EventHost, tell

EVENTS = {"started": "APP_STARTED", "exited": "APP_EXITED", "focused": "APP_FOCUSED"}

logger = logging.getLogger(__name__)


class AppWatch:
    """Follows the session's applications.

    Args:
        host: whom events go to.
        sources: where it is known from.
    """

    def __init__(self, host: EventHost, sources: AppSources) -> None:
        self._host = host
        self._sources = sources
        self._trouble = News(logger, "apps")
        self._loaded: tuple[AppSource, AppTable] | None = None

    async def run(self) -> None:
        """Watch while somebody wants to know; for as long as the agent is registered."""
        while True:
            await self._host.until_wanted(*EVENTS.values())
            async with anyio.create_task_group() as group:
                group.start_soon(self._watch)
                await self._host.until_unwanted(*EVENTS.values())
                group.cancel_scope.cancel()

    @asynccontextmanager
    async def now(self) -> AsyncIterator[tuple[AppSource, AppTable]]:
        """What runs now, and where that is known from: what is followed, or what is looked up for this.

        Raises:
            DisplayError: nobody knows.
        """
        if self._loaded is not None:
            yield self._loaded
            return
        async with self._sources.open() as source:
            table = AppTable(AppNews())
            await source.load(table)
            yield source, table

    async def _watch(self) -> None:
        news = AppNews()
        # What runs before anybody asked has not started now.
        news.silent = True
        async with anyio.create_task_group() as group:
            group.start_soon(self._follow, news)
            await self._send(news)
            group.cancel_scope.cancel()

    async def _follow(self, news: AppNews) -> None:
        """Follow the best source, and the next when it is lost."""
        backoff = Backoff()
        known = AppTable(news)
        try:
            while True:
                backoff.attempt()
                table = known.successor()
                failure: DisplayError | None = None
                try:
                    await self._follow_one(table, known, news)
                except DisplayError as error:
                    failure = error
                    self._trouble.tell(f"not followed: {error}", logging.WARNING)
                news.silent = False
                known = self._still_known(table, known, failure)
                await anyio.sleep(backoff.next())
        finally:
            self._loaded = None

    async def _follow_one(self, table: AppTable, known: AppTable, news: AppNews) -> None:
        is_first, news.silent = news.silent, True
        async with self._sources.open() as source:
            await source.load(table)
            news.silent = False
            if not is_first:
                table.succeed(known)
            self._loaded = source, table
            self._trouble.tell(f"followed by {source.name}")
            await self._follow_on(source, table)

    def _still_known(self, table: AppTable, known: AppTable, failure: DisplayError | None) -> AppTable:
        """What counts until there is another connection.

        The display server may have ended this one and no other, for a flood of some program's: then all goes on. It
        has not where it cannot be reached.
        """
        known, self._loaded = known if self._loaded is None else table, None
        if failure is not None and not isinstance(failure, DisplayLost):
            known.clear()
        return known

    async def _follow_on(self, source: AppSource, table: AppTable) -> None:
        """Follow until the source is lost, or a display server has come where there was none."""
        failure: DisplayError | None = None

        async def following() -> None:
            nonlocal failure
            try:
                await source.follow(table)
            except DisplayError as error:
                failure = error
            group.cancel_scope.cancel()

        async with anyio.create_task_group() as group:
            group.start_soon(following)
            await self._sources.until_another(source)
            group.cancel_scope.cancel()
        if failure is not None:
            raise failure

    async def _send(self, news: AppNews) -> None:
        """Send what there is, in order; ends when there is nobody to send to."""
        while True:
            seen = news.changed.count
            while (item := news.take()) is not None:
                try:
                    await self._send_one(item)
                except (Disconnected, NotRegistered):
                    return
                if item.kind == "focused":
                    await anyio.sleep(REST_SECONDS)
            await news.changed.wait_beyond(seen)

    async def _send_one(self, item: Item) -> None:
        event = EVENTS[item.kind]
        if not self._host.wanted(event):
            return
        await tell(self._host, event, await self._data(item), self._trouble)

    async def _data(self, item: Item) -> Data:
        if item.app is None:
            return AppFocused()
        app_id, name, pid = item.app.app_id, item.app.name, item.app.pid or UNSET
        if item.kind == "exited":
            return AppExited(app_id=app_id, name=name, pid=pid)
        kind = AppStarted if item.kind == "started" else AppFocused
        return kind(app_id=app_id, name=name, pid=pid, title=await self._title(item))

    def may_tell_titles(self, event: str = EVENTS["started"]) -> bool:
        """Whether the guest's administrator lets windows' titles out, of an event and of what is said like it."""
        return not {"title", "*"} & self._host.withheld(event)

    async def _title(self, item: Item) -> str | UnsetType:
        if self._loaded is None or not self.may_tell_titles(EVENTS[item.kind]):
            return UNSET
        source, _table = self._loaded
        try:
            return await source.title(item.window) or UNSET
        except DisplayError:
            return UNSET
