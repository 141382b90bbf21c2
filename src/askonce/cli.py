"""The command line: `askonce`.

Exit codes: 0 all is well; 1 nothing was found, two requests differ, or a request is not cached; 2
wrong usage; 3 something is broken; 130 interrupted; 141 nobody reads the output any more.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from askonce import __version__
from askonce.commands import (
    configuring,
    demonstrating,
    doctor,
    evaluating,
    forgetting,
    looking,
    reviewing,
    simulating,
    transfer,
    tuning,
    why,
)
from askonce.commands.opening import NothingFoundError
from askonce.commands.terminal import visible
from askonce.errors import AskonceError, ConfigError

_GROUPS = (
    demonstrating,
    looking,
    why,
    configuring,
    forgetting,
    transfer,
    reviewing,
    evaluating,
    simulating,
    tuning,
    doctor,
)

NOTHING, USAGE, BROKEN, INTERRUPTED, UNREAD = 1, 2, 3, 130, 141


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. Wrong arguments raise SystemExit(2)."""
    _ready_streams()
    arguments = _parser().parse_args(argv)
    try:
        code: int = arguments.run(arguments)
        sys.stdout.flush()
    except NothingFoundError as error:
        return _fail(error, NOTHING)
    except ConfigError as error:
        return _fail(error, USAGE)
    except BrokenPipeError:
        _let_go_of_stdout()
        return UNREAD
    except AskonceError as error:
        return _fail(error, BROKEN)
    except OSError as error:
        # Only a write to what is open already fails without a name.
        if error.filename is None:
            _let_go_of_stdout()
        where = error.filename or "the output"
        return _fail(f"{where} cannot be used ({error.strerror}): name another file", BROKEN)
    except KeyboardInterrupt:
        return INTERRUPTED
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="askonce",
        description="Look after the cache of your calls to language models.",
        epilog="exit codes: 0 fine, 1 nothing found or requests differ, 2 wrong usage, "
        "3 something is broken",
    )
    parser.add_argument("--version", action="version", version=f"askonce {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for group in _GROUPS:
        group.add(commands)
    return parser


def _fail(error: Exception | str, code: int) -> int:
    print(f"askonce: {visible(str(error))}", file=sys.stderr)
    return code


def _ready_streams() -> None:
    """Let no letter of an answer break a command, whatever the terminal can show."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # the caller has closed it, as some daemons do
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115 (open to the end)
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _let_go_of_stdout() -> None:
    """Keep the interpreter from writing what is left where it cannot be written."""
    with suppress(io.UnsupportedOperation):  # stdout may be an object without a file
        stdout, nowhere = sys.stdout.fileno(), os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stdout)
        os.close(nowhere)


if __name__ == "__main__":
    sys.exit(main())
