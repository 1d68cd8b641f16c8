"""One run of the app: start the engine and the server, tell the scripts where it is, and close everything in order."""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import logging
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvicorn

from rlm_core.engine import RLMEngine
from rlm_core.jobs import Jobs
from rlm_core.paths import replace_text
from rlm_core.security import Access
from rlm_core.settings import Settings
from ui.books import UPLOADS
from ui.control import Control
from ui.desk import Desk
from ui.home import HomeNetwork
from ui.server import Server
from ui.start import access_of, free, parse, settings_of
from ui.tab import PROBLEMS

log = logging.getLogger("localrlm")

PAGE_SECONDS = 2.0
"""What the browser needs for its first view of the page; then the work in the background begins."""

Build = Callable[[RLMEngine, Jobs, Access, Path], tuple[Any, Desk, Control]]
"""Makes the web application of an engine: (the ASGI app, its desk, its control). It is in ``app.py``."""


async def serve(settings: Settings, arguments: argparse.Namespace, build: Build) -> None:
    """Run until Ctrl-C or SIGTERM; then stop the answers in the making, keep what they have, and leave."""
    engine = RLMEngine(settings, data_dir=arguments.data)
    interrupted = await asyncio.to_thread(engine.store.mark_interrupted)
    if interrupted:
        log.info("%d answer(s) had been interrupted when the app was closed.", interrupted)
    # The store has what it needs of them, and the pages of the last run are gone. (No other app runs on this folder: the
    # store, opened above, allows only one.)
    shutil.rmtree(arguments.data.resolve() / UPLOADS, ignore_errors=True)
    jobs = Jobs(engine)
    access = access_of(settings, arguments)
    app, desk, control = build(engine, jobs, access, arguments.config)
    certificate, key = access.certificate or (None, None)
    config = uvicorn.Config(
        app,
        host=access.host,
        port=access.port,
        log_level="warning",
        timeout_graceful_shutdown=3,
        proxy_headers=False,  # a client's address is the one it comes from, not the one it claims
        server_header=False,
        ssl_certfile=certificate,
        ssl_keyfile=key,
    )
    server = Server(config, page=None if arguments.no_browser else access.first_url)
    note = arguments.data / "app.json"

    def write_note(started_ollama: bool) -> None:
        """For the scripts that stop everything, who never find half of it."""
        values = {"pid": os.getpid(), "url": access.own_url, "started_ollama": started_ollama}
        replace_text(note, json.dumps(values) + "\n")

    control.on_ollama = write_note
    write_note(False)
    print(access.announcement(), flush=True)
    access.made_up_password = None
    beside = [asyncio.create_task(work) for work in (warm_up(engine, server), follow(control.home, server))]
    for task in beside:
        task.add_done_callback(ended)
    try:
        await server.serve()
    finally:
        for task in beside:
            task.cancel()
        await jobs.close()
        await desk.close()
        await control.close()
        note.unlink(missing_ok=True)
        await engine.close()


async def warm_up(engine: RLMEngine, server: Server) -> None:
    """Once the page answers: the work that would have kept it waiting."""
    await server.answers.wait()
    gc.freeze()  # what the start made stays as long as the app runs
    gc.enable()
    await asyncio.sleep(PAGE_SECONDS)
    await engine.warm_up()


async def follow(home: HomeNetwork, server: Server) -> None:
    """Let the server listen where the home network says, once it listens at all."""
    await server.answers.wait()
    home.listen = server.listen_also
    home.renew = server.use_certificate
    await home.follow()


def ended(task: asyncio.Task[None]) -> None:
    """Work beside the server is over: when it failed, the log says so."""
    if not task.cancelled() and (error := task.exception()):
        log.error("Work in the background failed. LocalRLM goes on without it.", exc_info=error)


def run(build: Build) -> int:
    """Do what the command line says until it is over; returns the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    logging.getLogger("torch").setLevel(logging.WARNING)  # it tells its statistics at exit
    arguments = parse()
    try:
        settings = settings_of(arguments)
        free(settings, arguments.lan)
        arguments.data.mkdir(parents=True, exist_ok=True)
        os.environ["GRADIO_TEMP_DIR"] = str(arguments.data.resolve() / UPLOADS)
        asyncio.run(serve(settings, arguments, build))
    except PROBLEMS as error:
        print(f"LocalRLM cannot start. {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        pass
    return 0
