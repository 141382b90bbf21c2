"""The command line: `askonce`.

Exit codes: 0 all is well; 1 nothing was found, or two requests differ; 2 wrong usage; 3 something
is broken; 130 interrupted; 141 nobody reads the output any more.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence

from askonce import __version__
from askonce.commands import demonstrating, doctor, forgetting, looking, transfer, why
from askonce.commands.opening import NothingFoundError
from askonce.errors import AskonceError, ConfigError

NOTHING, USAGE, BROKEN, INTERRUPTED, UNREAD = 1, 2, 3, 130, 141


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. Wrong arguments raise SystemExit(2)."""
    _write_any_text()
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
    except (AskonceError, OSError) as error:
        return _fail(error, BROKEN)
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
    for group in (demonstrating, looking, why, forgetting, transfer, doctor):
        group.add(commands)
    return parser


def _fail(error: Exception, code: int) -> int:
    print(f"askonce: {error}", file=sys.stderr)
    return code


def _write_any_text() -> None:
    """Let no letter of an answer break a command, whatever the terminal can show."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _let_go_of_stdout() -> None:
    """Keep the interpreter from writing what is left to a pipe that nobody reads."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


if __name__ == "__main__":
    sys.exit(main())
