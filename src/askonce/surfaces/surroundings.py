"""What a function carries with it, beside its arguments: its object, and what it closes over."""

from __future__ import annotations

import functools
import typing
from collections.abc import Callable, Iterator, Mapping
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

from askonce import keys, values
from askonce.errors import Ambiguous, ConfigError
from askonce.surfaces import identities

Function = Callable[..., Any]

# They say when and where a function runs, not what it answers.
_SILENT = frozenset(
    {
        "askonce.cache.Cache",
        "askonce.surfaces.kept.Kept",
        "asyncio.locks.Condition",
        "asyncio.locks.Event",
        "asyncio.locks.Lock",
        "asyncio.locks.Semaphore",
        "concurrent.futures._base.Executor",
        "logging.Logger",
        "logging.LoggerAdapter",
        "_thread.lock",
        "_thread.RLock",
        "threading.Barrier",
        "threading.Condition",
        "threading.Event",
        "threading.Semaphore",
    }
)

# The official clients, by what decides where a call goes, beside headers and query. A credential
# does not count, as in the key of a request.
_CLIENTS = {
    "openai._base_client.BaseClient": (
        "base_url", "organization", "project", "_azure_endpoint", "_azure_deployment",
        "_api_version",
    ),
    "anthropic._base_client.BaseClient": ("base_url",),
}  # fmt: skip
_RESOURCES = frozenset(
    f"{sdk}._resource.{colour}APIResource"
    for sdk in ("openai", "anthropic")
    for colour in ("Sync", "Async")
)


class _UnboundError(Exception):
    """A variable has no value yet."""


class _OpaqueError(Exception):
    """No key can hold an object."""


class Surroundings:
    """What a function carries with it, as it was when this was made.

    What was not bound by then counts as it is when `said` is asked first. Of an object that no key
    can hold only the class counts, and only if the function is `named`: its version, or what it
    depends on, tells which one it has. Else `said` raises Ambiguous.
    """

    def __init__(self, function: Function, *, named: bool = False) -> None:
        self._function = function
        self._named = named
        self._taken: list[Any] | Ambiguous | None = None
        self._take(last=False)

    def said(self) -> list[Any]:
        """Return it for a key."""
        if self._taken is None:
            self._take(last=True)
        assert self._taken is not None
        if isinstance(self._taken, Ambiguous):
            raise self._taken
        return self._taken

    def _take(self, *, last: bool) -> None:
        try:
            self._taken = _Look(named=self._named, last=last).function(self._function)
        except _UnboundError:
            pass
        except Ambiguous as doubt:
            self._taken = doubt


class _Look:
    """One look at a function and at the functions that it closes over, each described once."""

    def __init__(self, *, named: bool, last: bool) -> None:
        self._named = named
        self._last = last
        self._places: dict[int, int] = {}

    def function(self, function: Function) -> list[Any]:
        """Describe a function: its object, its code if it is nameless, and what it closes over."""
        inner = identities.plain(function)
        is_nameless = "<" in inner.__qualname__
        carried: list[Any] = []
        if isinstance(function, MethodType):
            carried.append(["self", self._counted("it is a method of", function.__self__)])
        if is_nameless:
            carried.append(["code", identities.code_version(inner)])
        for layer in _layers(function):
            place = self._places.get(id(layer))
            if place is not None:
                carried.append(["again", place])
                continue
            self._places[id(layer)] = len(self._places)
            # A function with a name is there once, and so is what its decorators keep for
            # themselves, such as a policy of retries.
            carried += self._closure(layer, is_needed=is_nameless or layer is inner)
        return carried

    def _closure(self, layer: FunctionType, *, is_needed: bool) -> Iterator[list[Any]]:
        for variable, cell in zip(layer.__code__.co_freevars, layer.__closure__ or (), strict=True):
            try:
                value = cell.cell_contents
            except ValueError:
                if not self._last:
                    raise _UnboundError from None
                content = None
            else:
                content = self._counted(f"{variable} is", value, is_needed=is_needed)
            yield ["closed over", variable, content]

    def _counted(self, what: str, value: Any, *, is_needed: bool = True) -> Any:
        try:
            return self._content(value)
        except (_OpaqueError, RecursionError):
            if self._named or not is_needed:
                return ["object", _name(type(value))]
            raise Ambiguous(
                f"{what} a {type(value).__qualname__}, which no key can hold; "
                "make it an argument with a value, or tell by version= or depends_on= which it is"
            ) from None

    def _content(self, value: Any) -> Any:
        if isinstance(value, FunctionType | MethodType):
            return self._callable(value)
        if isinstance(value, BuiltinFunctionType):
            of = value.__self__
            owner = None if of is None or isinstance(of, ModuleType) else self._content(of)
            return ["builtin", value.__module__, value.__qualname__, owner]
        if type(value) is functools.partial:
            return ["partial", *map(self._content, (value.func, value.args, value.keywords))]
        if isinstance(value, ModuleType):
            return ["module", value.__name__]
        if isinstance(value, type) or typing.get_origin(value) is not None:
            return ["type", identities.shape(value)]
        known = self._known(value)
        return self._value(value) if known is None else known

    def _known(self, value: Any) -> Any:
        """Describe an object whose class is known by its name; None for others."""
        kind = _name(type(value))
        classes = {_name(one) for one in type(value).__mro__}
        if classes & _SILENT:
            return ["silent", kind]
        for sdk in classes & _CLIENTS.keys():
            return ["client", kind, *_destination(value, _CLIENTS[sdk])]
        if classes & _RESOURCES:
            return ["resource", kind, self._content(value._client)]  # noqa: SLF001 (the SDK's own)
        return None

    def _callable(self, value: Function) -> Any:
        try:
            name, code = identities.name(value), identities.code_version(value)
        except ConfigError:
            raise _OpaqueError from None
        return ["function", name, code, self.function(value)]

    def _value(self, value: Any) -> Any:
        try:
            return values.argument(value)
        except Ambiguous:
            # Perhaps for the sake of what it holds: tools by their names, clients by theirs.
            if type(value) in (list, tuple):
                return [type(value).__name__, *map(self._content, value)]
            if type(value) is dict:
                pairs = [[self._content(name), self._content(value[name])] for name in value]
                return ["map", *pairs]
            raise _OpaqueError from None


def _layers(function: Function) -> Iterator[FunctionType]:
    """Go through the wrappers of a function, from the outside in, to the function itself."""
    layer: Any = function
    while layer is not None:
        if isinstance(layer, MethodType):
            layer = layer.__func__
        if isinstance(layer, FunctionType):
            yield layer
        layer = getattr(layer, "__wrapped__", None)


def _destination(client: Any, places: tuple[str, ...]) -> list[Any]:
    said = [getattr(client, place, None) for place in places]
    headers = _texts(client._custom_headers)  # noqa: SLF001 (the SDK's own)
    query = _texts(client._custom_query)  # noqa: SLF001 (the SDK's own)
    return [
        [None if it is None else str(it) for it in said],
        keys.counting_headers(tuple((name.lower(), str(it)) for name, it in headers)),
        sorted([name, repr(it)] for name, it in query if name not in keys.CREDENTIAL_QUERY),
    ]


def _texts(table: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Return what is set; the SDKs keep what is left out as an object of their own."""
    return [(name, it) for name, it in table.items() if isinstance(it, str | int | float)]


def _name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"
