"""Who a function is: what of it, beside its arguments, decides its answer and so its key."""

from __future__ import annotations

import dataclasses
import inspect
import os
import sys
import typing
from collections.abc import Callable
from types import CodeType, FunctionType, MethodType
from typing import Any

from blake3 import blake3

from askonce.errors import ConfigError

Function = Callable[..., Any]


def plain(function: Function) -> FunctionType:
    """Return the Python function behind a method or a wrapper. ConfigError if there is none."""
    inner = inspect.unwrap(function)
    inner = inner.__func__ if isinstance(inner, MethodType) else inner
    if not isinstance(inner, FunctionType):
        raise ConfigError(
            f"{type(function).__qualname__} is not a function whose code can be told apart: "
            "decorate a function that calls it"
        )
    return inner


def name(function: Function) -> str:
    """Name a function: its module and its place in it; of a script, the file stands for both."""
    inner = plain(function)
    module = inner.__module__
    # Every script is `__main__`, and two scripts may share a store.
    file = getattr(sys.modules.get(module), "__file__", None) if module == "__main__" else None
    return f"{os.path.realpath(file) if file else module}.{inner.__qualname__}"


def code_version(function: Function) -> str:
    """Digest the code of a function and its defaults, so that another body has other keys."""
    inner = plain(function)
    written = _code(inner.__code__) + repr((inner.__defaults__, inner.__kwdefaults__))
    return blake3(written.encode()).hexdigest(length=16)


def _code(code: CodeType) -> str:
    constants = [
        _code(item) if isinstance(item, CodeType) else _constant(item) for item in code.co_consts
    ]
    return repr((code.co_code.hex(), constants, code.co_names, code.co_varnames))


def _constant(item: Any) -> str:
    # The order of a set changes from process to process.
    return repr(sorted(map(repr, item))) if isinstance(item, frozenset) else repr(item)


def shape(annotation: Any) -> Any:
    """Describe a result's type by its fields, so that answers of an older class are not met."""
    return _shape(annotation, frozenset())


def _shape(kind: Any, inside: frozenset[Any]) -> Any:
    arguments = typing.get_args(kind)
    if arguments:
        return [repr(typing.get_origin(kind)), *(_shape(one, inside) for one in arguments)]
    if not isinstance(kind, type) or kind in inside:
        return repr(kind)
    fields: dict[str, Any] = {}
    if hasattr(kind, "__pydantic_fields__"):
        fields = {name: field.annotation for name, field in kind.__pydantic_fields__.items()}
    elif dataclasses.is_dataclass(kind) or hasattr(kind, "__required_keys__"):
        fields = _hints(kind)
    own = f"{kind.__module__}.{kind.__qualname__}"
    if not fields:
        return own
    return [own, {name: _shape(field, inside | {kind}) for name, field in fields.items()}]


def _hints(kind: Any) -> dict[str, Any]:
    try:
        return typing.get_type_hints(kind)
    except Exception:  # noqa: BLE001 (annotations may name anything; then their text is the shape)
        return dict(getattr(kind, "__annotations__", {}))
