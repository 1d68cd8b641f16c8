"""The ideal reader as a model for the whole app: it also understands the engine's own prompts, and it writes code."""

from __future__ import annotations

from tests.scripted.engine_prompts import POLICIES as FOR_THE_ENGINE
from tests.scripted.ideal_reader import IdealReader
from tests.scripted.programmer import POLICIES as FOR_THE_REPL
from tests.scripted.script import ChatRequest, Reply


def app_reader() -> IdealReader:
    """The reader with every policy there is."""
    return IdealReader((*FOR_THE_REPL, *FOR_THE_ENGINE))


def read(request: ChatRequest) -> str | Reply:
    """The same as a script, for the command line."""
    return app_reader().reply(request)
