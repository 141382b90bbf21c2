"""Settings: what one file and the environment say of a cache, as one value.

`askonce.toml` names everything that `Cache` takes; ASKONCE_... variables override it. A wrong name
or value is a ConfigError that names the file, the line and the nearest valid name.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

from askonce import sealing
from askonce.errors import ConfigError
from askonce.model import NOTHING
from askonce.overlays import UNSET, Unset
from askonce.policy import Models, Policy
from askonce.presets import PRESETS
from askonce.rules import Rule, Rules
from askonce.semantic import tiers
from askonce.semantic.tiers import Semantic
from askonce.settings.written import Written, load, nearest, quoted
from askonce.stores import SERVERS, address_of, open_store

FILE = "askonce.toml"

DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that `Cache` takes. Times are in seconds, sizes in bytes.

    `policies` are the file's own, by name. `places` say where each setting was made, such as
    "askonce.toml:3" or "ASKONCE_TTL": by its name, and as `policies.NAME`, `models.NAME` and
    `rules[NUMBER]`.
    """

    url: str = ""
    ttl: float | None | Unset = UNSET
    policy: Policy | None = None
    rules: tuple[Rule, ...] = ()
    semantic: Semantic | None = None
    tenant: str = ""
    models: Models | None = None
    memory: int = 64 * 10**6
    disk: int = 10**9
    strict: bool = False
    secrets: str | None = field(default=None, repr=False)
    policies: Mapping[str, Policy] = field(default_factory=lambda: NOTHING)
    places: Mapping[str, str] = field(default_factory=lambda: NOTHING, compare=False)

    def where(self, name: str) -> str:
        """Say where a setting was made; "default" where nobody made it."""
        return self.places.get(name, DEFAULT)


def read(path: str | Path | None = None, environ: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings that are in force.

    The file is that of `path`, or of ASKONCE_CONFIG, or `askonce.toml` in the current folder if it
    is there. Variables override it. Raises ConfigError for whatever is wrong in either.
    """
    top = _file(path, environ)
    members = {} if top is None else _members(top)
    policies = _policies(members["policies"]) if "policies" in members else {}
    readers = _readers(policies)
    found: dict[str, Any] = {}
    places: dict[str, str] = {}
    # All that the file says must be right, also what a variable overrides.
    for name, said in (*members.items(), *_environment(environ)):
        found[name] = readers[name](said)
        places |= {name: said.where} | dict(_parts(name, said))
    return Settings(**found, places=places)


def _file(path: str | Path | None, environ: Mapping[str, str]) -> Written | None:
    if path is not None:
        return load(Path(path))
    named = environ.get("ASKONCE_CONFIG")
    if named == "":
        raise ConfigError("ASKONCE_CONFIG is empty: name a settings file, or leave it unset")
    if named is not None:
        return _from_variable("ASKONCE_CONFIG", named).checked(lambda: load(Path(named)))
    usual = Path(FILE)
    return load(usual) if usual.exists() else None


def _members(top: Written) -> dict[str, Written]:
    if "secrets" in top.value:
        where = top.told(("secrets",))
        raise ConfigError(f"{where}: secrets are not for files: set ASKONCE_SECRETS")
    return top.members([one.name for one in fields(Settings) if one.name not in _NOT_IN_FILES])


_NOT_IN_FILES = ("secrets", "places")


def _parts(name: str, said: Written) -> Iterator[tuple[str, str]]:
    if name in ("policies", "models"):
        for part, member in said.members().items():
            yield f"{name}.{part}", member.where
    elif name == "rules":
        for number, item in enumerate(_tables(said)):
            yield f"rules[{number}]", item.where


# The environment


def _environment(environ: Mapping[str, str]) -> Iterator[tuple[str, Written]]:
    for variable in sorted(name for name in environ if name.startswith("ASKONCE_")):
        if variable not in _VARIABLES:
            raise ConfigError(f"{variable} is not a setting: {nearest(variable, _VARIABLES)}")
        name, convert = _VARIABLES[variable]
        if name:
            yield name, _from_variable(variable, convert(environ[variable]))


def _from_variable(variable: str, value: Any) -> Written:
    return Written(value, lambda _: variable)


def _number(text: str) -> str | int | float:
    """Take text for a number where it is one, as a file would."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _truth(text: str) -> str | bool:
    return {"true": True, "1": True, "false": False, "0": False}.get(text.lower(), text)


_VARIABLES: dict[str, tuple[str, Callable[[str], Any]]] = {
    "ASKONCE_CONFIG": ("", str),
    "ASKONCE_URL": ("url", str),
    "ASKONCE_TTL": ("ttl", _number),
    "ASKONCE_POLICY": ("policy", str),
    "ASKONCE_TENANT": ("tenant", str),
    "ASKONCE_MEMORY": ("memory", _number),
    "ASKONCE_DISK": ("disk", _number),
    "ASKONCE_STRICT": ("strict", _truth),
    "ASKONCE_SECRETS": ("secrets", str),
}

# What each setting is


def _readers(policies: Mapping[str, Policy]) -> dict[str, Callable[[Written], Any]]:
    choices = {**PRESETS, **policies}
    return {
        "url": _url,
        "ttl": Written.ttl,
        "policy": lambda said: said.one_of(choices, "a policy"),
        "tenant": Written.text,
        "memory": Written.size,
        "disk": Written.size,
        "strict": Written.truth,
        "policies": lambda _: policies,
        "rules": lambda said: tuple(_rule(item, choices) for item in _tables(said)),
        "semantic": _semantic,
        "models": _models,
        "secrets": _secrets,
    }


def _url(said: Written) -> str:
    url = said.text()
    # Whether a driver is installed is not a matter of settings.
    is_server = url.partition("://")[0] in SERVERS
    said.checked(lambda: address_of(url) if is_server else open_store(url))
    return url


def _secrets(said: Written) -> str:
    said.checked(lambda: sealing.read(said.text()))
    return said.text()


def _policies(said: Written) -> dict[str, Policy]:
    return {name: _policy(name, member) for name, member in said.members().items()}


def _policy(name: str, said: Written) -> Policy:
    if name in PRESETS:
        raise ConfigError(
            f"{said.where}: {quoted(name)} is a preset: give your own another name, "
            f"and say preset = {quoted(name)} there"
        )
    members = said.members(("preset", *_POLICY))
    preset = members.pop("preset", None)
    # Reasons go on naming the preset, as they do for `dataclasses.replace`: programs know its code.
    policy = Policy(name=name) if preset is None else preset.one_of(PRESETS, "a preset")
    for one, member in members.items():
        policy = member.checked(partial(replace, policy, **{one: _POLICY[one](member)}))
    return policy


_POLICY: dict[str, Callable[[Written], Any]] = {
    "ttl": Written.ttl,
    "sampled": Written.truth,
    "effects": Written.truth,
    "enabled": Written.truth,
    "semantic": Written.truth,
    "pin_temperature": Written.truth,
    "jitter": Written.number,
    "stale_while_revalidate": Written.grace,
    "stale_if_error": Written.grace,
}


def _tables(said: Written) -> list[Written]:
    return said.items("[[rules]] for each of them")


def _rule(said: Written, choices: Mapping[str, Policy]) -> Rule:
    members = said.members(("policy", "model", "path", "metadata", "system"))
    if "policy" not in members:
        raise ConfigError(f'{said.where}: this rule names no policy: add policy = "faq"')
    policy = members.pop("policy").one_of(choices, "a policy")
    metadata = members.pop("metadata", None)
    fields: dict[str, Any] = {name: member.text() for name, member in members.items()}
    if metadata is not None:
        fields["metadata"] = {name: it.text() for name, it in metadata.members().items()}
    rule = Rule(policy, **fields)
    # All that can be wrong with a rule now is its regular expression.
    members.get("system", said).checked(lambda: Rules([rule]))
    return rule


def _semantic(said: Written) -> Semantic | None:
    if isinstance(said.value, bool):
        return said.checked(lambda: tiers.read(said.value))
    members = said.members(_SEMANTIC)
    found = {}
    for name, member in members.items():
        found[name] = _SEMANTIC[name](member)
        # Each by itself first, so that a wrong one is blamed for its own line.
        member.checked(partial(Semantic, **{"direct": False, name: found[name]}))
    return members.get("direct", said).checked(lambda: Semantic(**found))


_SEMANTIC: dict[str, Callable[[Written], Any]] = {
    "direct": Written.truth,
    "verified": Written.truth,
    "shadow": Written.truth,
    "max_error": Written.number,
    "audits": Written.number,
    "timeout": Written.grace,
    "calibration": lambda said: said.one_of({"shipped": "shipped", "none": None}, "a calibration"),
    "index": Written.text,
    "log": Written.text,
}


def _models(said: Written) -> Models:
    members = said.members(("without_temperature", "live", "usage_on_request", "stands_for"))
    names = members.pop("stands_for", None)
    stands_for = {} if names is None else {n: it.text() for n, it in names.members().items()}
    # Names are matched in lower case, so that a pattern in capitals would never fit.
    patterns = {
        name: tuple(pattern.lower() for pattern in member.texts())
        for name, member in members.items()
    }
    return Models.shipped().extended(stands_for=stands_for, **patterns)
