"""The command line of the package: `python -m rlm_core ask | doctor | mcp | users` (DESIGN.md 4.7)."""

from __future__ import annotations

import argparse
import asyncio
import io
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from rlm_core.errors import LocalRLMError
from rlm_core.paths import DEFAULT_DATA
from rlm_core.settings import Settings

WRONG_ARGUMENTS = 2


def parser() -> argparse.ArgumentParser:
    """All commands with their arguments."""
    top = argparse.ArgumentParser(prog="python -m rlm_core", description="LocalRLM without the page.")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--config", type=Path, metavar="FILE", help="settings file (config/settings.json)")
    common.add_argument("--data", type=Path, metavar="DIR", help="data folder (data)")

    ask = commands.add_parser(
        "ask",
        parents=[common],
        help="answer one question in the terminal",
        description="The answer goes to standard output, the steps to standard error. Without --file, standard input "
        "is the material when something is piped into it. Exit codes: 0 a whole answer, 1 no answer, 2 wrong "
        "arguments, 3 a partial answer, 130 stopped with Ctrl-C.",
    )
    ask.add_argument("question")
    ask.add_argument(
        "--file",
        type=Path,
        action="append",
        default=[],
        metavar="F",
        help="material; several may follow, and it may be repeated",
    )
    ask.add_argument("--mode", choices=["auto", "direct", "recursive"], default="auto")
    ask.add_argument("--strategy", choices=["auto", "loop", "plan", "retrieve"])
    ask.add_argument("--model", metavar="NAME", help="one model for all roles")
    ask.add_argument("--backend", choices=["auto", "ollama", "openai", "embedded"])
    ask.add_argument("--base-url", metavar="URL", help="address of the model server")
    ask.add_argument("--json", action="store_true", help="print one JSON object instead of the text")
    ask.add_argument("--quiet", action="store_true", help="no steps on standard error")

    commands.add_parser("doctor", parents=[common], help="check this installation", add_help=False)

    mcp = commands.add_parser(
        "mcp", parents=[common], help="serve one MCP client over standard input and output"
    )
    mcp.add_argument("--backend", choices=["auto", "ollama", "openai", "embedded"])
    mcp.add_argument("--base-url", metavar="URL", help="address of the model server")

    users = commands.add_parser("users", parents=[common], help="who may come in over the home network")
    users.add_argument("action", choices=["list", "add", "remove", "password", "key"])
    users.add_argument("name", nargs="?")
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="replace")  # Windows pipes are something else
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["doctor"]:
        from rlm_core import doctor

        return int(doctor.main(given[1:]))
    options = _parsed(given)
    logging.basicConfig(
        level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr
    )
    try:
        if options.command == "users":
            from rlm_core.security.command import users

            return users(options.action, options.name, options.data or DEFAULT_DATA)
        settings = Settings.load(options.config, backend=options.backend, base_url=options.base_url)
        if options.command == "mcp":
            return asyncio.run(_mcp(settings, options.data, options.config))
        return _ask(options, settings)
    except LocalRLMError as error:
        print(error, file=sys.stderr)
        return WRONG_ARGUMENTS


def _parsed(given: Sequence[str]) -> argparse.Namespace:
    """The options. Files that follow the one of ``--file`` are files too; taken as one list by argparse, they would swallow
    a question that stands behind them."""
    options, rest = parser().parse_known_args(given)
    if rest:
        if not getattr(options, "file", None) or any(word.startswith("-") for word in rest):
            parser().error(f"unrecognized arguments: {' '.join(rest)}")
        options.file += map(Path, rest)
    return options


def _ask(options: argparse.Namespace, settings: Settings) -> int:
    from rlm_core.engine import RLMEngine
    from rlm_core.request import MessageRequest
    from rlm_core.terminal import ask, piped_context

    request = MessageRequest(
        options.question,
        documents=options.file,
        context=None if options.file else piped_context(sys.stdin),
        mode=options.mode,
        strategy=options.strategy,
        model=options.model,
    )
    engine = RLMEngine(settings, data_dir=options.data)
    return ask(request, engine, as_json=options.json, quiet=options.quiet)


async def _mcp(settings: Settings, data_dir: Path | None, config: Path | None) -> int:
    from rlm_core.doors.house import House
    from rlm_core.engine import RLMEngine
    from rlm_core.jobs import Jobs
    from rlm_core.mcp_server import serve_stdio
    from rlm_core.security import Access

    engine = RLMEngine(settings, data_dir=data_dir)
    jobs = Jobs(engine)
    try:
        await serve_stdio(House(engine, jobs, config, Access.loopback()))
    finally:
        await jobs.close()
        await engine.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
