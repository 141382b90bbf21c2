"""Every error askonce raises, in one tree.

    AskonceError
    ├── ConfigError     a wrong setting: raised where it was given, names the fix
    ├── StoreError      a store could not do its work: caught by the engine unless strict
    ├── Ambiguous       a request with no single canonical form: the engine turns it into a bypass
    ├── NotCached       a call under `only_if_cached` that the cache cannot answer
    └── UpstreamLost    the connection that fed a followed stream was lost

What the provider's SDK raises is never wrapped or retyped.
"""

from __future__ import annotations


class AskonceError(Exception):
    """The root of all errors of askonce."""


class ConfigError(AskonceError, ValueError):
    """A setting has a wrong name or value. The message names the fix."""


class StoreError(AskonceError):
    """A store could not answer. The call goes on without it, unless the cache is strict.

    `told` says that a warning of this trouble was given, or is not due yet.
    """

    told = False


class Ambiguous(AskonceError, ValueError):
    """Two readers could understand this request differently, so it has no key."""


class NotCached(AskonceError, LookupError):
    """The cache cannot answer this call, and `only_if_cached` forbids to make it."""


class UpstreamLost(AskonceError, ConnectionError):
    """The upstream connection of a stream shared by several callers was lost."""
