"""LocalRLM in one script: lay out the page, wire it to the engine, serve everything on one port.

Only layout and wiring. What happens at a click is decided in :mod:`ui.desk` (chat), :mod:`ui.library` (documents),
:mod:`ui.archive` (traces) and :mod:`ui.control` (settings); how things look in the other modules of :mod:`ui`; how answers
are made in :mod:`rlm_core`. The command line is read in :mod:`ui.start`, and :mod:`ui.serve` runs it all.
"""

from __future__ import annotations

import os

os.environ.update(
    GRADIO_ANALYTICS_ENABLED="False",
    HF_HUB_OFFLINE="1",
    HF_HUB_DISABLE_TELEMETRY="1",
    TRANSFORMERS_OFFLINE="1",
    DO_NOT_TRACK="1",
    ANONYMIZED_TELEMETRY="False",
    NO_PROXY="localhost,127.0.0.1,::1",
    no_proxy="localhost,127.0.0.1,::1",
)  # before gradio is imported: nothing may leave this computer

import contextlib
import gc
import hashlib
import itertools
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from ui.importing import without_stubs

if __name__ == "__main__":
    gc.disable()  # searching what is made to stay for garbage is a quarter of the start; ui.serve turns it on again
with without_stubs():
    import gradio as gr

from starlette.requests import Request

from rlm_core.api import create_app
from rlm_core.engine import RLMEngine
from rlm_core.jobs import Jobs
from rlm_core.security import Access, current_user
from ui import network
from ui.archive import Archive, TraceView
from ui.control import Control
from ui.desk import Desk
from ui.documents_view import KINDS
from ui.home import NOTHING_NEW, News
from ui.html import block, notice
from ui.library import Library
from ui.meter import MODES
from ui.places import Click
from ui.routes import page_routes
from ui.serve import run
from ui.settings_form import FIELDS, FORM, saved, value_of
from ui.tab import PROBLEMS, Tab, View
from ui.updates import send_whole

HERE = Path(__file__).resolve().parent

T = TypeVar("T")
MAX_UPLOAD = "500mb"
MODEL_FIELDS = ("models.fast", "models.tools", "models.quality")


def html(value: str = "", **options: Any) -> gr.Markdown:
    """A place for our own HTML. (Gradio's HTML component needs eval, which the content security policy forbids.)"""
    return gr.Markdown(value, sanitize_html=False, latex_delimiters=[], container=False, **options)


def bus(name: str) -> tuple[gr.Textbox, gr.Button]:
    """The hidden pair through which ``page.js`` sends what was clicked."""
    box = gr.Textbox(elem_id=f"bus-{name}", elem_classes="bus", show_label=False, container=False)
    return box, gr.Button("go", elem_id=f"bus-{name}-go", elem_classes="bus")


def quiet(**options: Any) -> dict[str, Any]:
    """How every event is wired: no overlay, no public endpoint, no waiting behind other tabs, one queue in which clicks stay
    in order."""
    return {
        "show_progress": "hidden",
        "api_visibility": "private",
        "concurrency_limit": None,
        "concurrency_id": "page",
        **options,
    }


class Page:
    """The Blocks of the page. Each tab is one method; what they share are attributes."""

    def __init__(self, desk: Desk, library: Library, archive: Archive, control: Control) -> None:
        self.desk = desk
        self.library = library
        self.archive = archive
        self.control = control
        with gr.Blocks(
            title="LocalRLM", analytics_enabled=False, fill_height=True, fill_width=True
        ) as self.blocks:
            self.turn = gr.Textbox(
                "0", elem_id="bus-turn", elem_classes="bus", show_label=False, container=False
            )
            names = (
                "chat",
                "passage",
                "docs",
                "trace",
                "settings",
                "lan",
            )  # outside the tabs: those are made when first opened
            (
                self.chat_bus, self.passage_bus, self.docs_bus, self.trace_bus, self.settings_bus, self.lan_bus,
            ) = map(bus, names)  # fmt: skip
            self.files_bus = gr.Button("files", elem_id="bus-files-go", elem_classes="bus")
            self.sidebar()
            with gr.Tabs(elem_id="tabs") as self.tabs:
                with gr.Tab("Chat", id="chat", elem_id="chat-tab") as self.chat_tab:
                    self.chat()
                with gr.Tab("Upload", id="upload", elem_id="upload-tab") as self.upload_tab:
                    self.upload()
                with gr.Tab("Trace", id="trace", elem_id="trace-tab") as self.trace_tab:
                    self.trace()
                with gr.Tab("Settings", id="settings", elem_id="settings-tab") as self.settings_tab:
                    self.settings()
            self.wire_chat()
            self.wire_documents()
            self.wire_trace()
            self.wire_settings()
            self.wire_home_network()

    # layout

    def sidebar(self) -> None:
        with gr.Sidebar(width=292, elem_id="sidebar"):
            self.brand = html(elem_id="brand")
            self.new = gr.Button("New conversation", variant="primary", elem_id="new-chat")
            self.incognito = gr.Button("Incognito", size="sm", elem_id="incognito")
            self.search = gr.Textbox(
                placeholder="Search (Ctrl+K)",
                label="Search all conversations",
                show_label=False,
                container=False,
                elem_id="search-chats",
            )
            self.conversations = html(elem_id="conversations")
            self.toast = html(elem_id="toast")
            gr.Button("Theme: Dark", elem_id="theme", size="sm", variant="secondary")

    def chat(self) -> None:
        self.chatbot = gr.Chatbot(
            elem_id="chat",
            show_label=False,
            label="Conversation",
            layout="panel",
            buttons=[],
            reasoning_tags=[],
            scale=1,
            height="100%",
        )
        self.phase = html(elem_id="phase")
        self.editing = html(elem_id="editing")
        self.attached = html(elem_id="attached")
        self.box = gr.MultimodalTextbox(
            elem_id="message-box",
            show_label=False,
            label="Your message",
            placeholder="Ask, or drop documents here",
            file_count="multiple",
            sources=["upload"],
            lines=1,
            max_lines=12,
            autofocus=True,
            max_plain_text_length=6000,
            submit_btn=True,
        )
        with gr.Row(elem_id="under-box"):
            self.mode = gr.Dropdown(
                [(label, name) for name, label in MODES.items()],
                value="auto",
                show_label=False,
                label="How to answer",
                container=False,
                elem_id="mode",
                scale=0,
                min_width=200,
            )
            self.meter = html(elem_id="meter")
        self.passage = html(elem_id="passage")

    def upload(self) -> None:
        self.files = gr.File(
            file_count="multiple",
            label="Drop files here",
            show_label=False,
            elem_id="drop",
            height=150,
            interactive=True,
        )
        with gr.Row(elem_id="upload-tools"):
            self.folder = gr.UploadButton("Add a folder", file_count="directory", size="sm", elem_id="folder")
            html(f'<span class="quiet">{KINDS}</span>')
        self.progress = html(elem_id="uploads")
        self.find = gr.Textbox(
            label="Search in all documents",
            show_label=False,
            container=False,
            placeholder="Search in all documents",
            elem_id="find",
        )
        self.found = html(elem_id="found")
        self.inside = html(elem_id="inside")
        self.shelf = html(elem_id="shelf")

    def trace(self) -> None:
        with gr.Row(elem_id="trace-head"):
            self.answers = gr.Dropdown([], label="Answer", elem_id="answers", scale=3)
            self.filter = gr.Textbox(
                label="Filter", placeholder="Only steps that contain…", elem_id="filter", scale=1
            )
        self.totals = html(elem_id="totals")
        self.timeline = html(elem_id="timeline")
        with gr.Tabs():
            with gr.Tab("Tree"):
                self.tree = html(elem_id="tree")
            with gr.Tab("Table"):
                self.table = gr.Dataframe(
                    interactive=False,
                    elem_id="table",
                    wrap=True,
                    show_label=False,
                    max_height=700,
                    buttons=[],
                )
        with gr.Row(elem_id="trace-tools"):
            self.downloads = html(elem_id="downloads")
            self.replay = gr.Button("Replay", size="sm")
            self.import_trace = gr.UploadButton(
                "Open a saved trace", file_types=[".jsonl"], size="sm", elem_id="import-trace"
            )

    def settings(self) -> None:
        self.backend = html(elem_id="backend")
        with gr.Row(elem_id="ollama"):
            self.start_ollama = gr.Button("Start Ollama", size="sm", elem_id="start-ollama", visible=False)
            self.stop_ollama = gr.Button("Stop Ollama", size="sm", visible=False)
            self.refresh = gr.Button("Look again", size="sm")
        self.models = html(elem_id="models")
        with gr.Row(elem_id="pull"):
            self.pull_name = gr.Textbox(
                label="Download a model",
                show_label=False,
                container=False,
                placeholder="Download a model: its name, such as qwen3:8b",
                scale=3,
            )
            self.pull = gr.Button("Download", scale=0)
            self.pull_stop = gr.Button("Cancel", scale=0, visible=False)
        self.pull_progress = html(elem_id="pull-progress")
        self.gpu = html(elem_id="gpu")
        self.fields = {}
        for group in FORM:
            with gr.Accordion(group.title, open=group.opened), gr.Row(equal_height=False):
                for field in group.fields:
                    self.fields[field.name] = self.field(field.name)
        self.saved = html(elem_id="saved")
        self.store = html(elem_id="store")
        self.bring_back = gr.UploadButton(
            "Import an export", file_types=[".zip"], size="sm", elem_id="import"
        )
        self.sandbox = html(elem_id="sandbox")
        self.home_network()

    def home_network(self) -> None:
        with gr.Accordion("Home network", elem_id="home-network"):
            self.lan_switch = gr.Checkbox(
                label="Open to the home network", value=self.control.home.is_open, elem_id="lan-switch"
            )
            self.lan = html(elem_id="lan")
            with gr.Row(elem_id="lan-new", visible=False) as self.lan_new:
                self.lan_name = gr.Textbox(
                    label="Somebody's name", placeholder="anna", max_length=32, scale=3
                )
                self.lan_add = gr.Button("Add person", scale=1)
                self.lan_label = gr.Textbox(label="A program's name", max_length=100, scale=3)
                self.lan_key = gr.Button("Make a key", scale=1)

    def field(self, name: str) -> gr.components.Component:
        """One setting. Its bounds are checked by the settings themselves, so that a bad value gets their sentence."""
        field = FIELDS[name]
        common: dict[str, Any] = {
            "value": value_of(self.desk.engine.settings, name),
            "label": field.label,
            "info": field.help,
            "elem_id": "set-" + name.replace(".", "-"),
            "min_width": 260,
        }
        match field.kind:
            case "choice":
                return gr.Dropdown(list(field.choices), **common)
            case "model":
                return gr.Dropdown([common["value"]], allow_custom_value=True, **common)
            case "switch":
                return gr.Checkbox(**common)
            case "slider":
                return gr.Slider(field.low, field.high, step=field.step, **common)
            case "number":
                return gr.Number(**common)
            case "secret":
                return gr.Textbox(type="password", **common)
        return gr.Textbox(**common)

    # wiring

    def following(
        self, views: Callable[..., AsyncIterator[View]]
    ) -> Callable[..., AsyncIterator[tuple[Any, ...]]]:
        """A handler of the chat that draws each view which the tab still wants to see."""
        places = self.desk.places

        async def handler(request: gr.Request, turn: str, *inputs: Any) -> AsyncIterator[tuple[Any, ...]]:
            click = click_of(request, turn)
            try:
                async for view in views(click, *inputs):
                    async with places.pen(click.session):
                        if places.wants(view):
                            yield self.drawn(view)
            except PROBLEMS as error:
                gr.Warning(str(error))
            yield (gr.skip(),) * len(self.chat_outputs)  # Gradio sends the last drawing once more at the end

        return handler

    def drawn(self, view: View) -> tuple[Any, ...]:
        """A view as updates of the chat's components; what is None stays as it is."""
        if view.problem:
            gr.Warning(view.problem)
        box: dict[str, Any] = {}
        if view.box is not None:
            box["value"] = {"text": view.box, "files": []}
        if view.running is not None:
            box.update(submit_btn=not view.running, stop_btn=view.running)
        parts: list[Any] = [
            view.mode, view.attached, view.editing, view.messages, view.sidebar, view.phase, view.meter, view.toast,
            gr.update(**box) if box else None,
        ]  # fmt: skip
        return tuple(gr.skip() if part is None else part for part in parts)

    def wire_chat(self) -> None:
        self.chat_outputs = outputs = [
            self.mode, self.attached, self.editing, self.chatbot, self.conversations, self.phase, self.meter, self.toast,
            self.box,
        ]  # fmt: skip
        desk = self.desk

        async def load(request: gr.Request) -> AsyncIterator[tuple[Any, ...]]:
            begin = self.following(lambda click: desk.begin(click, request.query_params.get("c")))
            async for drawing in begin(request, "0"):
                yield drawing

        async def at_page(click: Click, do: Callable[[Tab], AsyncIterator[View]]) -> AsyncIterator[View]:
            async for view in do(await desk.places.at(click)):
                yield view

        send = self.following(
            lambda click, value, mode: desk.ask(click, value.get("text") or "", paths(value), mode)
        )
        take = self.following(lambda click, value: at_page(click, lambda tab: desk.take(tab, paths(value))))
        act = self.following(lambda click, text: desk.act(click, json.loads(text)))
        choose = self.following(lambda click, mode: desk.act(click, {"action": "mode", "id": mode}))

        openings = itertools.count()

        def passage(request: gr.Request, text: str) -> str:
            panel = complained(lambda: desk.passage(self.tab(request), json.loads(text)))
            # The browser closes it by itself, and Gradio would not draw the same once more
            return f"{panel}<!--{next(openings)}-->" if isinstance(panel, str) else panel

        def search(request: gr.Request, text: str) -> str:
            return desk.search(text, self.tab(request))

        def stop(request: gr.Request) -> None:
            desk.stop(self.tab(request))

        async def leave(request: gr.Request) -> None:
            self.archive.leave(request.session_hash or "")
            click = click_of(request)
            await desk.leave(click.session, click.user)

        at_once = quiet(trigger_mode="multiple")
        self.blocks.load(load, None, outputs, **quiet())
        self.box.submit(send, [self.turn, self.box, self.mode], outputs, **at_once)
        self.files_bus.click(take, [self.turn, self.box], outputs, **quiet(trigger_mode="always_last"))
        self.box.stop(stop, None, None, **quiet(queue=False))
        self.chat_bus[1].click(act, [self.turn, self.chat_bus[0]], outputs, **at_once)
        self.mode.input(choose, [self.turn, self.mode], outputs, **quiet(trigger_mode="multiple"))
        self.search.change(search, self.search, self.conversations, **quiet(trigger_mode="always_last"))
        self.passage_bus[1].click(passage, self.passage_bus[0], self.passage, **quiet())
        self.blocks.unload(leave)

    def tab(self, request: gr.Request) -> Tab:
        """What the tab that the request comes from shows now."""
        click = click_of(request)
        return self.desk.places.now(click.session, click.user)

    def wire_documents(self) -> None:
        library, places = self.library, self.desk.places
        around = [self.attached, self.meter]

        async def take_in(request: gr.Request, turn: str, files: list[str]) -> AsyncIterator[tuple[Any, ...]]:
            tab = await places.at(click_of(request, turn))
            async for lines in library.take_in(tab, [Path(file) for file in files]):
                view = self.desk.around_the_box(places.fresh(tab))
                yield view.attached, view.meter, lines, library.shelf(view.tab), None

        async def act(request: gr.Request, turn: str, text: str) -> tuple[Any, ...]:
            tab = await places.at(click_of(request, turn))
            opened = None
            with complaining():
                tab, opened = await library.act(tab, json.loads(text))
            view = self.desk.around_the_box(tab)
            shown = gr.skip() if opened is None else opened
            go_there = gr.Tabs(selected="upload") if opened else gr.skip()
            return view.attached, view.meter, library.shelf(tab), shown, go_there

        def find(request: gr.Request, query: str) -> str:
            return library.search(self.tab(request), query or "")

        def shelf(request: gr.Request) -> str:
            return library.shelf(self.tab(request))

        for source in (self.files, self.folder):
            source.upload(
                take_in, [self.turn, source], [*around, self.progress, self.shelf, self.files], **quiet()
            )
        self.docs_bus[1].click(
            act, [self.turn, self.docs_bus[0]], [*around, self.shelf, self.inside, self.tabs],
            **quiet(trigger_mode="multiple"),
        )  # fmt: skip
        self.find.change(find, self.find, self.found, **quiet(trigger_mode="always_last"))
        self.upload_tab.select(shelf, None, self.shelf, **quiet())

    def wire_trace(self) -> None:
        archive = self.archive
        parts = [self.totals, self.timeline, self.tree, self.table, self.downloads]

        async def draw(views: AsyncIterator[TraceView]) -> AsyncIterator[tuple[Any, ...]]:
            try:
                async for view in views:
                    yield view.totals, view.timeline, view.tree, view.table, view.downloads
            except PROBLEMS as error:
                gr.Warning(str(error))

        async def show(
            request: gr.Request, message_id: str | None, needle: str | None
        ) -> AsyncIterator[tuple[Any, ...]]:
            async for view in draw(archive.show(self.tab(request), message_id, needle or "")):
                yield view

        async def replay(request: gr.Request, message_id: str | None) -> AsyncIterator[tuple[Any, ...]]:
            async for view in draw(archive.replay(self.tab(request), message_id)):
                yield view

        def choices(request: gr.Request, chosen: str | None) -> Any:
            answers = archive.answers(self.tab(request))
            known = {message_id for _, message_id in answers}
            first = answers[0][1] if answers else None
            return gr.Dropdown(choices=answers, value=chosen if chosen in known else first)

        def jump(request: gr.Request, text: str) -> tuple[Any, ...]:
            return choices(request, json.loads(text).get("id")), gr.Tabs(selected="trace")

        def open_file(request: gr.Request, file: str) -> Any:
            opened = complained(lambda: archive.open_file(self.tab(request), Path(file)))
            return choices(request, opened)

        self.trace_tab.select(choices, self.answers, self.answers, **quiet())
        self.trace_bus[1].click(jump, self.trace_bus[0], [self.answers, self.tabs], **quiet())
        self.import_trace.upload(open_file, self.import_trace, self.answers, **quiet())
        inputs = [self.answers, self.filter]
        self.answers.change(show, inputs, parts, **quiet(trigger_mode="multiple"))
        self.filter.change(show, inputs, parts, **quiet(trigger_mode="always_last"))
        self.replay.click(replay, self.answers, parts, **quiet(trigger_mode="multiple"))

    def wire_settings(self) -> None:
        control = self.control
        state_parts = [
            self.brand, self.backend, self.models, self.chatbot, self.start_ollama, self.stop_ollama,
            *(self.fields[name] for name in MODEL_FIELDS),
        ]  # fmt: skip

        async def state() -> tuple[Any, ...]:
            now = await control.state()
            settings = control.engine.settings
            roles = [
                gr.update(choices=sorted({*now.names, value_of(settings, name)})) for name in MODEL_FIELDS
            ]
            placeholder = gr.update(placeholder=now.welcome)
            verbs = [gr.update(visible=now.ollama == verb) for verb in ("start", "stop")]
            return now.brand, now.backend, now.models, placeholder, *verbs, *roles

        async def values(*shown: Any) -> list[Any]:
            """What has changed elsewhere. The other fields stay as they are: somebody may be typing already."""
            updates = []
            for name, value in zip(self.fields, shown, strict=True):
                now = value_of(control.engine.settings, name)
                if value == now:
                    updates.append(gr.skip())
                    continue
                updates.append(gr.update(value=now, info=FIELDS[name].help, elem_classes=[]))
            return updates

        async def rest() -> tuple[Any, ...]:
            return await control.gpu(), await control.store(), await control.sandbox()

        async def bring_back(request: gr.Request, file: str) -> str:
            with complaining():
                gr.Info(await control.bring_back(self.tab(request), Path(file)))
            return await control.store()

        def saving(name: str) -> Callable[..., Any]:
            async def save(request: gr.Request, value: Any) -> tuple[Any, ...]:
                try:
                    refusal = await control.save(self.tab(request), name, value)
                except PROBLEMS as error:
                    refusal = str(error)
                said = "" if refusal else saved(FIELDS[name].label)
                style = ["refused"] if refusal else []
                return gr.update(info=refusal or FIELDS[name].help, elem_classes=style), said

            return save

        async def act(request: gr.Request, text: str) -> None:
            message = json.loads(text)
            with complaining():
                await control.manage(self.tab(request), message["action"], message["id"])

        async def pull(request: gr.Request, name: str) -> AsyncIterator[tuple[Any, ...]]:
            tab = self.tab(request)
            if control.is_pulling(tab):
                return
            yield "", gr.update(visible=True)
            try:
                async for line in control.pull(tab, name):
                    yield line, gr.skip()
            except PROBLEMS as error:
                yield block(notice(str(error), "bad")), gr.skip()
            yield gr.skip(), gr.update(visible=False)

        async def start_ollama(request: gr.Request) -> AsyncIterator[Any]:
            yield block('<div class="phase"><span class="spinner"></span>Starting Ollama…</div>')
            with complaining():
                gr.Info(await control.start_ollama(self.tab(request)))

        async def stop_ollama(request: gr.Request) -> AsyncIterator[Any]:
            yield block('<div class="phase"><span class="spinner"></span>Stopping Ollama…</div>')
            with complaining():
                gr.Info(await control.stop_ollama(self.tab(request)))

        async def again() -> None:
            with complaining():
                await control.look_again()

        fields = list(self.fields.values())
        self.settings_tab.select(values, fields, fields, **quiet())
        rest_parts = [self.gpu, self.store, self.sandbox]
        clock = gr.Timer(4, active=False)
        self.blocks.load(values, fields, fields, **quiet()).then(state, None, state_parts, **quiet())
        self.settings_tab.select(state, None, state_parts, **quiet()).then(rest, None, rest_parts, **quiet())
        self.settings_tab.select(lambda: gr.Timer(active=True), None, clock, **quiet())
        for other in (self.chat_tab, self.upload_tab, self.trace_tab):
            other.select(lambda: gr.Timer(active=False), None, clock, **quiet())
        clock.tick(control.gpu, None, self.gpu, **quiet())
        for name, component in self.fields.items():
            for event in leaving(component):
                saving_it = event(saving(name), component, [component, self.saved], **quiet())
                if name == "num_ctx":
                    saving_it.then(state, None, state_parts, **quiet())  # it says what the window costs
        acting = self.settings_bus[1].click(act, self.settings_bus[0], None, **quiet())
        acting.then(state, None, state_parts, **quiet()).then(rest, None, rest_parts, **quiet())
        self.bring_back.upload(bring_back, self.bring_back, self.store, **quiet())

        def stop_pull(request: gr.Request) -> None:
            control.stop_pull(self.tab(request))

        self.pull.click(
            pull, self.pull_name, [self.pull_progress, self.pull_stop], **quiet(trigger_mode="multiple")
        ).then(state, None, state_parts, **quiet())
        self.pull_stop.click(stop_pull, None, None, **quiet())
        for button, do_it in ((self.start_ollama, start_ollama), (self.stop_ollama, stop_ollama)):
            button.click(do_it, None, self.backend, **quiet()).then(state, None, state_parts, **quiet())
        self.refresh.click(again, None, None, **quiet()).then(state, None, state_parts, **quiet())

    def wire_home_network(self) -> None:
        home = self.control.home

        def shown(request: gr.Request, news: News = NOTHING_NEW) -> tuple[Any, ...]:
            state = home.state(connection(request))
            switch = gr.update(
                value=state.is_open, info=network.switch_help(state), interactive=not state.fixed
            )
            return switch, network.home_network(state, news), gr.update(visible=bool(state.people))

        def doing(work: Callable[..., Awaitable[News]], fields: int = 0) -> Callable[..., Any]:
            """A handler that does something at the home network, shows what it led to, and empties ``fields`` fields."""

            async def handler(request: gr.Request, value: Any) -> tuple[Any, ...]:
                news, emptied = NOTHING_NEW, gr.skip()
                with complaining():
                    news, emptied = await work(connection(request), value), ""
                return *shown(request, news), *[emptied] * fields

            return handler

        act = doing(lambda visitor, text: home.act(visitor, json.loads(text)))
        parts = [self.lan_switch, self.lan, self.lan_new]
        self.settings_tab.select(shown, None, parts, **quiet())
        self.lan_switch.input(doing(home.turn), self.lan_switch, parts, **quiet())
        self.lan_bus[1].click(act, self.lan_bus[0], parts, **quiet())
        for button, field, work in (
            (self.lan_add, self.lan_name, home.add),
            (self.lan_key, self.lan_label, home.make_key),
        ):
            for event in (button.click, field.submit):
                event(doing(work, fields=1), field, [*parts, field], **quiet())


def click_of(request: gr.Request, turn: str = "0") -> Click:
    """Where the request comes from; ``turn`` is what ``page.js`` counts."""
    number = int(turn) if turn.isdecimal() else 0
    return Click(request.session_hash or "", current_user(connection(request)), number)


def connection(request: gr.Request) -> Request:
    """The HTTP request that an event of the page came with."""
    assert request.request is not None
    return request.request


def paths(value: dict[str, Any]) -> list[Path]:
    """The files in the message box."""
    return [Path(file) for file in value.get("files") or ()]


@contextlib.contextmanager
def complaining() -> Iterator[None]:
    """Show a problem that the person can do something about as a message on the page."""
    try:
        yield
    except PROBLEMS as error:
        gr.Warning(str(error))


def complained(work: Callable[[], T], instead: Any = gr.skip()) -> T | Any:  # noqa: B008
    with complaining():
        return work()
    return instead


def leaving(component: Any) -> list[Any]:
    """The events at which the person has finished setting a field."""
    if isinstance(component, gr.Slider):
        return [component.release]
    if isinstance(component, gr.Dropdown | gr.Checkbox):
        return [component.input]
    return [component.blur, component.submit]


def theme() -> gr.themes.Base:
    """Bundled fonts only; the colours are in ``ui/style.css``."""
    sans = gr.themes.GoogleFont("IBM Plex Sans", weights=(400, 700))
    mono = gr.themes.GoogleFont("IBM Plex Mono", weights=(400,))
    return gr.themes.Base(
        primary_hue="teal", neutral_hue="slate", radius_size="md", font=[sans, "system-ui", "sans-serif"],
        font_mono=[mono, "ui-monospace", "monospace"],
    )  # fmt: skip


def head() -> str:
    """The page's script and look, fetched again whenever they have changed."""

    def versioned(name: str) -> str:
        return f"/page/{name}?v={hashlib.sha256((HERE / 'ui' / name).read_bytes()).hexdigest()[:12]}"

    style, script = versioned("style.css"), versioned("page.js")
    return f'<link rel="stylesheet" href="{style}"><script src="{script}" defer></script>'


def build(engine: RLMEngine, jobs: Jobs, access: Access, config: Path) -> tuple[Any, Desk, Control]:
    """The whole application: the doors, and the page at ``/``."""
    desk = Desk(engine, jobs)
    control = Control(engine, access, config)
    send_whole()
    page = Page(desk, Library(desk.books, desk.incognito, desk.places), Archive(desk), control)
    app = create_app(engine, jobs, config_path=config, access=access)
    app.include_router(page_routes(desk, access))
    gr.mount_gradio_app(
        app, page.blocks, path="/", theme=theme(), head=head(), footer_links=[],
        run_history=False, enable_monitoring=False, allowed_paths=[], max_file_size=MAX_UPLOAD, show_error=True,
    )  # fmt: skip
    # Gradio looks for clicks a thousand times a second, which keeps a resting computer awake.
    page.blocks._queue.sleep_when_free = 0.02
    return app, desk, control


if __name__ == "__main__":
    sys.exit(run(build))
