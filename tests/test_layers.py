"""Imports run only downward."""

from __future__ import annotations

import ast
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "src" / "askonce"
LAYERS = [
    {"errors", "model", "units", "frames", "blocking"},
    {
        "dialects",
        "colours",
        "daemons",
        "keys",
        "policy",
        "presets",
        "rules",
        "samples",
        "documents",
        "overlays",
        "guards",
        "semantic",
        "values",
        "replay",
        "codec",
        "sealing",
        "plans",
        "tape",
        "entries",
    },
    {"stores", "redis", "postgres", "embedders", "indexes"},
    {
        "streams",
        "journal",
        "chains",
        "flights",
        "following",
        "fail_open",
        "tickets",
        "rewording",
        "searching",
        "engine",
    },
    {"session"},
    {"surfaces"},
    {"settings", "cache"},
    {"askonce"},
    {"testing"},
    {"cli", "commands", "demo"},
]
HEIGHT = {name: height for height, layer in enumerate(LAYERS) for name in layer}


def imports(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            if node.module == "askonce":
                for alias in node.names:
                    yield f"askonce.{alias.name}" if alias.name in HEIGHT else "askonce.askonce"
            else:
                yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def test_no_module_imports_from_a_layer_above_its_own():
    climbing = []
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        own = "askonce" if parts == ("__init__",) else parts[0]
        for name in imports(ast.parse(path.read_text("utf-8"))):
            root, _, rest = name.partition(".")
            other = rest.split(".")[0]
            if root == "askonce" and other and HEIGHT[other] > HEIGHT[own]:
                climbing.append(f"askonce.{'.'.join(parts)} reaches up to {name}")
    assert not climbing


def test_folders_are_at_most_two_deep():
    assert all(len(path.relative_to(PACKAGE).parts) <= 2 for path in PACKAGE.rglob("*.py"))
