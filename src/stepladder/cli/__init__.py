"""The command line: `stepladder run | measure | calibrate | judge | feature | ledger | report | models | methods | doctor`.

Commands parse their options, call one function of a room below and print what it returns: tables for people on stdout,
or with `--json` one JSON document; progress goes to stderr. Whatever a user can cause ends in one line and a non-zero
exit. Rooms are imported inside the commands, so that `stepladder --help` answers at once.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from stepladder import __version__
from stepladder.core.errors import StepladderError, UnknownName

COMMANDS = {
    "run": "find, assess, strengthen, find again, audit, certify and report, rung by rung",
    "measure": "run one technique: stepladder measure METHOD",
    "calibrate": "measure techniques on organisms with planted behaviours and their clean twins",
    "judge": "judge a stored record again: stepladder judge RECORD --judge JUDGE",
    "feature": "the page of one latent: stepladder feature RECORD LATENT",
    "ledger": "what was certified or refused, and everything that it rests on",
    "report": "build a stored run's report again",
    "models": "the models that can be named, and what access they give",
    "methods": "the techniques in the catalogue",
    "doctor": "what is missing on this machine and how to get it",
}


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point: exits 0, or non-zero after one clear line."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        _dispatch(arguments)
    except StepladderError as error:
        print(f"stepladder: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("stepladder: interrupted; the same command goes on from here", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(0)


def _dispatch(arguments: list[str]) -> None:
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_help())
    elif arguments[0] == "--version":
        print(f"stepladder {__version__}")
    elif arguments[0] not in COMMANDS:
        raise UnknownName("command", arguments[0], list(COMMANDS))
    else:
        from stepladder.cli.commands import HANDLERS

        HANDLERS[arguments[0]](arguments[1:])


def _help() -> str:
    lines = [f"  {name:<11}{text}" for name, text in COMMANDS.items()]
    head = ["usage: stepladder COMMAND [OPTIONS]", "", "AI-assisted alignment, one tested rung at a time.", ""]
    return "\n".join([*head, *lines, "", "stepladder COMMAND --help shows a command's options."])


__all__ = ["main"]
