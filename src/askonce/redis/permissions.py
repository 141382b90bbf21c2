"""What a user of the server must be allowed to do: one list, for the doctor and for people."""

from __future__ import annotations

from askonce.redis.address import Address
from askonce.redis.names import Names

COMMANDS = (
    # connections
    "ping", "client|setname", "client|setinfo",
    # entries, and the versions of tags
    "eval", "evalsha", "get", "set", "del", "hget", "hmget", "hset", "hdel",
    "hlen",
    # flights, and streams told to other machines
    "pexpire", "exists", "publish", "subscribe", "xadd", "xrange", "xread",
    # invalidation with replicas, and listing
    "info", "wait", "scan",
)  # fmt: skip
"""The scripts run GET, SET, DEL, HGET, HSET, HLEN, PEXPIRE and PUBLISH."""

IN_CLUSTER = ("cluster|slots", "command", "asking")
"""What a cluster's clients need besides."""


def needed(address: Address) -> tuple[str, ...]:
    """Return the commands that the store at this address needs."""
    return (
        COMMANDS
        + (IN_CLUSTER if address.cluster else ())
        + (("select",) if address.database else ())
    )


def rule(address: Address, user: str = "askonce") -> str:
    """Return the command that makes a user who may do what is needed, and nothing else."""
    names = Names(address)
    commands = " ".join(f"+{command}" for command in needed(address))
    return (
        f"ACL SETUSER {user} on >PASSWORD resetkeys ~{address.namespace}:* "
        f"resetchannels &{names.news.decode()} -@all {commands}"
    )
