"""`askonce demo`."""

from __future__ import annotations

import argparse
from typing import Any


def add(commands: Any) -> None:
    """Add this command to the parser."""
    demo = commands.add_parser(
        "demo",
        help="see the official clients answered from the cache",
        description="Calls a local stand-in for the providers, so it needs no API key.",
    )
    demo.add_argument(
        "--real",
        action="store_true",
        help="call the real providers: needs OPENAI_API_KEY or ANTHROPIC_API_KEY, and costs some "
        "hundred tokens",
    )
    demo.set_defaults(run=run_demo)


def run_demo(arguments: argparse.Namespace) -> int:
    """Run the demo."""
    from askonce.demo import show

    return show(real=arguments.real)
