"""Where each browser tab is, whatever order its clicks arrive in.

A person may press "New conversation" and send at once, or open one conversation after another; on a slow machine the answers
to such clicks come late and in any order. So the truth about a tab is kept here and not in the page, and every click says
at which page of the tab it was made: the page's script counts how often the tab has turned to something else. A click on
a page that is still being turned to waits for it; one on an earlier page acts there; and what an earlier page would draw is
dropped.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from ui.tab import LostTouch, Tab, View

PATIENCE = 10.0
"""Seconds that a click waits for the page it was made on."""
PAGES = 8
"""Earlier pages of a tab that are remembered."""
TABS = 500
"""Tabs that are remembered. A closed tab cannot be told from one on a phone that sleeps."""


@dataclass(frozen=True)
class Click:
    """Who did something, in which tab (``session``), at which of its pages (``turn``)."""

    session: str
    user: str
    turn: int = 0


class Places:
    """The tabs of one app. For the event loop's thread only."""

    def __init__(self) -> None:
        self._tabs: OrderedDict[str, dict[int, Tab]] = OrderedDict()
        self._followers: dict[str, object] = {}
        self._pens: dict[str, asyncio.Lock] = {}
        self._turned = asyncio.Event()

    def turn(self, click: Click) -> Tab | None:
        """The tab turns its page: it begins as the page before. None when the tab has been turned further already."""
        pages = self._pages(click)
        if pages is None:
            tab = Tab(click.session, click.user, click.turn)
        elif click.turn <= max(pages):
            return None
        else:
            tab = replace(pages[max(pages)], turn=click.turn, editing=None)
        return self.keep(tab)

    async def at(self, click: Click) -> Tab:
        """The page that the click was made on, as it stands now. Raises :class:`LostTouch`."""
        try:
            async with asyncio.timeout(PATIENCE):
                while (pages := self._pages(click)) is None or max(pages) < click.turn:
                    await self._turned.wait()
        except TimeoutError:
            raise LostTouch("This page has lost touch with the app. Reload it.") from None
        return pages.get(click.turn, pages[max(pages)])

    def now(self, session: str, user: str) -> Tab:
        """What the tab shows now; a tab that is not known shows nothing yet."""
        click = Click(session, user)
        pages = self._pages(click)
        return Tab(session, user) if pages is None else pages[max(pages)]

    def keep(self, tab: Tab) -> Tab:
        """The tab has changed; returns it."""
        pages = self._tabs.setdefault(tab.session, {})
        if any(page.user != tab.user for page in pages.values()):
            pages.clear()
        pages[tab.turn] = tab
        for old in sorted(pages)[:-PAGES]:
            del pages[old]
        self._tabs.move_to_end(tab.session)
        while len(self._tabs) > TABS:
            self.forget(next(iter(self._tabs)))
        self._turned.set()
        self._turned = asyncio.Event()
        return tab

    def fresh(self, tab: Tab) -> Tab:
        """The same page of the same tab as it stands now."""
        return self._tabs.get(tab.session, {}).get(tab.turn, tab)

    def change(self, tab: Tab, **changes: Any) -> Tab:
        """Change the page, whatever else has changed on it meanwhile; returns how it stands now."""
        return self.keep(replace(self.fresh(tab), **changes))

    def attach(self, tab: Tab, document_id: str, added_as: str = "") -> Tab:
        """The next question is about this document too; ``added_as`` is the name of the file it was just read from."""
        page = self.fresh(tab)
        others = (item for item in page.documents if item != document_id)
        names = {**page.added_as, document_id: added_as}
        return self.change(page, documents=(*others, document_id), added_as=names)

    def detach(self, tab: Tab, document_id: str) -> Tab:
        documents = tuple(item for item in self.fresh(tab).documents if item != document_id)
        return self.change(tab, documents=documents)

    def follow(self, tab: Tab) -> object:
        """From now on whoever holds this mark draws the growing answer, and nobody else."""
        mark = object()
        self._followers[tab.session] = mark
        return mark

    def wants(self, view: View) -> bool:
        """Whether the tab still shows the page that the view is of, and still follows it there."""
        pages = self._tabs.get(view.tab.session)
        if not pages or view.tab.turn != max(pages):
            return False
        return view.follower is None or view.follower is self._followers.get(view.tab.session)

    def follows(self, tab: Tab, mark: object) -> bool:
        return self.wants(View(tab, follower=mark))

    @asynccontextmanager
    async def pen(self, session: str) -> AsyncIterator[None]:
        """Whoever draws in a tab holds its pen until the drawing is on its way to the browser, so that no older one
        can come after it."""
        lock = self._pens.setdefault(session, asyncio.Lock())
        async with lock:
            yield

    def leave(self, session: str) -> None:
        """The tab was closed, or its phone sleeps: nobody looks at it."""
        self._followers.pop(session, None)

    def forget(self, session: str) -> None:
        self._tabs.pop(session, None)
        self._followers.pop(session, None)
        self._pens.pop(session, None)

    def _pages(self, click: Click) -> dict[int, Tab] | None:
        """Those of the click's tab, if they are that user's."""
        pages = self._tabs.get(click.session)
        if not pages or any(page.user != click.user for page in pages.values()):
            return None
        return pages
