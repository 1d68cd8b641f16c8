"""``python -m launcher [test|check|setup|stop|doctor|users] [arguments]``; without a word of these it starts the app.

Arguments after ``test`` and ``check`` go to pytest, those after ``doctor`` and ``users`` to ``python -m rlm_core``, all
others to app.py.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from launcher import environment, graphics, ollama, python_version, running
from launcher.lock import Lock
from launcher.places import PROJECT, Places, is_interactive
from launcher.sentences import LaunchError, complain, say

CHECKS = (
    ("the formatting", ("ruff", "format", "--check", ".")),
    ("the style", ("ruff", "check", ".")),
    ("the types", ("mypy",)),
)


def main(arguments: list[str]) -> int:
    """Do what the first argument says and return the exit code."""
    word = arguments[0] if arguments else ""
    try:
        if word == "stop":
            return stop(arguments[1:])
        python_version.check()
        if word == "setup":
            return setup()
        if word in ("test", "check"):
            return test(arguments[1:], checks=word == "check")
        if word in ("doctor", "users"):
            return command(arguments)
        return start(arguments)
    except LaunchError as error:
        complain(str(error))
        return 1
    except KeyboardInterrupt:
        complain("Interrupted. What was installed so far is kept.")
        return 130


def start(arguments: list[str]) -> int:
    """Set up what is missing, start Ollama and the app, and stay until the app ends."""
    wishes = running.Wishes(arguments, PROJECT)
    places = _places(wishes.data)
    if "--help" in arguments or "-h" in arguments:
        environment.prepare(places)
        return environment.call(places, "app.py", "--help")
    with Lock(places.lock) as lock:
        url = running.running_url(places)
        if url:
            running.open_running(url, browser=wishes.browser)
            return 0
        running.check_port(wishes.port)
        environment.prepare(places)
        if wishes.wants_local_ollama:
            say(graphics.describe())
            ollama.make_ready(places, interactive=is_interactive())
        app = running.start(places, arguments)
        code = running.follow(places, app, when_it_answers=lock.release)
    if ollama.stop(places):
        say("Ollama, which was started for LocalRLM, has ended too.")
    return code


def stop(arguments: list[str]) -> int:
    """End the app gracefully, and Ollama if it was started here."""
    places = _places(running.Wishes(arguments, PROJECT).data)
    ended = running.stop(places)
    say("LocalRLM has ended; everything said is saved." if ended else "LocalRLM is not running.")
    if ollama.stop(places):
        say("Ollama, which was started for LocalRLM, has ended too.")
    return 0


def setup() -> int:
    """Install what is missing and start nothing."""
    places = _places(None)
    with Lock(places.lock):
        environment.prepare(places)
    return 0


def command(arguments: list[str]) -> int:
    """Run a command of ``python -m rlm_core`` with the environment's Python."""
    places = _places(None)
    with Lock(places.lock):
        environment.prepare(places)
    return environment.call(places, "-m", "rlm_core", *arguments)


def test(arguments: list[str], *, checks: bool) -> int:
    """Run the tests, after formatting, style and types when ``checks`` is set."""
    places = _places(None)
    with Lock(places.lock):
        environment.prepare(places, tests=True)
    failed = []
    for what, command in CHECKS if checks else ():
        say(f"Checking {what}.")
        if environment.call(places, "-m", *command) != 0:
            failed.append(what)
    if environment.call(places, "-m", "pytest", *arguments) != 0:
        failed.append("the tests")
    if checks:
        say("Not in order: {}.".format(", ".join(failed)) if failed else "Everything is in order.")
    return 1 if failed else 0


def _places(data: str | None) -> Places:
    return Places(data=Path(data).resolve() if data else None)


if __name__ == "__main__":
    if os.name == "nt" and sys.stdout is not None and hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")
    sys.exit(main(sys.argv[1:]))
