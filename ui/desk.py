"""What a click at the chat does: opening a conversation, turning to a version, renaming, deleting. (Asking is in
:mod:`ui.asking`.) Nothing here knows Gradio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

from ui.asking import Asking
from ui.chat_view import NEWEST
from ui.html import block, do
from ui.meter import MODES
from ui.places import Click
from ui.sidebar import undo_bar
from ui.tab import PROBLEMS, NotYours, Tab, View

TURNS = frozenset({"new", "hide", "open", "fork", "sample", "delete", "undo"})
"""The actions that turn a tab to another page. ``page.js`` has the same list."""
OVERTAKING_SECONDS = 0.4


class Desk(Asking):
    """The page's side of one engine."""

    async def act(self, click: Click, message: dict[str, Any]) -> AsyncIterator[View]:
        """What a button of the page says (see ``page.js``): its action, the id of what it is about, maybe a value.

        Raises one of :data:`PROBLEMS`.
        """
        action, item = str(message.get("action", "")), str(message.get("id", ""))
        if action not in TURNS:
            tab = await self.places.at(click)
            async for view in self._here(tab, action, item, str(message.get("value", ""))):
                yield view
            return
        left = self._running(self.places.now(click.session, click.user))
        page = self.places.turn(click)
        if page is None:
            return
        try:
            async for view in self._turn_to(page, action, item):
                yield view
        except PROBLEMS as error:
            async for view in self._show(self.places.fresh(page), problem=str(error)):
                yield view
        here = self.places.wants(View(page)) and self._running(self.places.fresh(page)) is None
        if left is not None and here:
            # In the browser the last picture of the answer that was left behind can come after ours
            mark = self.places.follow(page)
            await asyncio.sleep(OVERTAKING_SECONDS)
            yield replace(self.picture(self.places.fresh(page)), follower=mark)

    def _turn_to(self, tab: Tab, action: str, item: str) -> AsyncIterator[View]:
        """The actions after which the tab shows another conversation."""
        match action:
            case "open":
                return self.open(tab, item)
            case "fork":
                return self.fork(tab, item)
            case "sample":
                return self.ask_sample(tab, item)
            case "delete":
                return self.delete(tab, item)
            case "undo":
                return self.undo(tab, item)
        return self.open(tab, None, incognito=action == "hide")

    async def _here(self, tab: Tab, action: str, item: str, value: str) -> AsyncIterator[View]:
        """The actions that leave the conversation on the page."""
        match action:
            case "retry":
                views = self.retry(tab, item)
            case "version":
                views = self.version(tab, item)
            case "earlier":
                views = self._show(self.places.change(tab, limit=tab.limit + NEWEST))
            case "later":
                views = self._show(self.places.change(tab, limit=max(NEWEST, tab.limit - NEWEST)))
            case _:
                yield self._at_once(tab, action, item, value)
                return
        async for view in views:
            yield view

    def _at_once(self, tab: Tab, action: str, item: str, value: str) -> View:
        """The actions that change something small."""
        match action:
            case "edit":
                return self.edit(tab, item)
            case "unedit":
                return View(self.places.change(tab, editing=None), box="", editing="")
            case "rename":
                return self.rename(tab, item, value)
            case "pin":
                return self.pin(tab, item)
            case "attach":
                return self.around_the_box(self.attach(tab, item))
            case "detach":
                return self.around_the_box(self.places.detach(tab, item))
            case "mode" if item in MODES:
                return replace(self.around_the_box(self.places.change(tab, mode=item)), mode=item)
        raise NotYours("This page is older than the app. Reload it.")

    async def begin(self, click: Click, conversation_id: str | None) -> AsyncIterator[View]:
        """The page was loaded, at this conversation or (None) at a new one."""
        tab = self.places.turn(click)
        if tab is not None:
            async for view in self.open(tab, conversation_id):
                yield view

    async def open(
        self, tab: Tab, conversation_id: str | None, *, incognito: bool = False
    ) -> AsyncIterator[View]:
        """Show a conversation (None: a new one), and follow its answer if one is being made.

        An incognito conversation that the tab was at is over.
        """
        self.incognito.stop(tab.session)
        problem = None
        last: tuple[str, ...] = ()
        if conversation_id is not None:
            try:
                self.conversation(conversation_id, tab.user)
            except NotYours as error:
                conversation_id, problem = None, str(error)
            else:
                last = self._last_documents(conversation_id)
        documents = tuple(dict.fromkeys((*self.books.everywhere(tab.user), *last)))
        tab = self.places.change(
            tab,
            conversation_id=conversation_id,
            documents=documents,
            limit=NEWEST,
            incognito=incognito,
            added_as={},
        )
        await asyncio.to_thread(self.incognito.erase)
        async for view in self._show(tab, problem=problem):
            yield view

    def edit(self, tab: Tab, message_id: str) -> View:
        """Put a question back into the box; the next send makes it another version of it."""
        message = self.message(message_id, tab.user)
        tab = self.places.change(tab, editing=message.id, documents=tuple(self._documents_of(message)))
        cancel = do("chat", "unedit", "x", "Cancel", style="linklike")
        note = block(
            f'<div class="editing">Editing your question; sending it makes another version. {cancel}</div>'
        )
        return replace(self.around_the_box(tab), box=message.text, editing=note)

    async def version(self, tab: Tab, message_id: str) -> AsyncIterator[View]:
        """Turn to another version of a question or an answer."""
        message = self.message(message_id, tab.user)
        self.engine.store.select_version(message.id)
        async for view in self._show(self.places.change(tab, conversation_id=message.conversation_id)):
            yield view

    async def fork(self, tab: Tab, message_id: str) -> AsyncIterator[View]:
        """Continue from this message in a conversation of its own."""
        message = self.message(message_id, tab.user)
        new = self.engine.store.fork_conversation(message.id)
        self.engine.store.rename_conversation(new.id, f"{new.title or 'Conversation'} (fork)")
        async for view in self.open(tab, new.id):
            yield view

    def rename(self, tab: Tab, conversation_id: str, title: str) -> View:
        self.conversation(conversation_id, tab.user)
        if title.strip():
            self.engine.store.rename_conversation(conversation_id, title.strip()[:120])
        return View(tab, sidebar=self.sidebar(tab))

    def pin(self, tab: Tab, conversation_id: str) -> View:
        known = self.conversation(conversation_id, tab.user)
        self.engine.store.pin_conversation(conversation_id, not known.pinned)
        return View(tab, sidebar=self.sidebar(tab))

    async def delete(self, tab: Tab, conversation_id: str) -> AsyncIterator[View]:
        """Take a conversation off the list; it is erased some seconds later unless :meth:`undo` comes first."""
        known = self.conversation(conversation_id, tab.user)
        job = self.jobs.running(conversation_id)
        if job is not None:
            job.cancel()
        self.bin.put(conversation_id)
        views = self.open(tab, None) if tab.conversation_id == conversation_id else self._show(tab)
        toast: str | None = undo_bar(known)
        async for view in views:
            yield replace(view, toast=toast)
            toast = None

    async def undo(self, tab: Tab, conversation_id: str) -> AsyncIterator[View]:
        """Bring back what :meth:`delete` took away."""
        known = self.engine.store.conversation(conversation_id)
        if conversation_id not in self.bin or known is None or known.user != tab.user:
            raise NotYours("It is too late: the conversation is erased.")
        self.bin.bring_back(conversation_id)
        async for view in self.open(tab, conversation_id):
            yield replace(view, toast="")

    def attach(self, tab: Tab, document_id: str) -> Tab:
        """The same tab with one more document for its next question."""
        if not self.documents([document_id], tab.user):
            raise NotYours("This document is no longer there.")
        return self.places.attach(tab, document_id)

    async def leave(self, session: str, user: str) -> None:
        """The tab was closed. Its answer goes on, unless it is kept nowhere but here."""
        self.places.leave(session)
        self.put_down(session)
        self.incognito.stop(session)
        tab = self.places.now(session, user)
        if tab.incognito:
            self.places.forget(session)
        await asyncio.to_thread(self.incognito.erase)

    async def close(self) -> None:
        """Erase what was deleted and not brought back, and what was never meant to be kept."""
        await self.bin.close()
        await asyncio.to_thread(self.incognito.close)
