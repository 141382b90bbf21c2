"""Whether replicas have what their primary has, so that one of them can take its place."""

from __future__ import annotations

from collections.abc import Iterable

from askonce.testing.servers import Server


def in_sync(primary: Server, replicas: Iterable[Server]) -> bool:
    """Whether each replica follows this primary, and gets every write as it is made.

    Both sides are asked: a replica calls the link up as soon as it has loaded the data, up to a
    second before the primary sends it what is new.
    """
    said = primary.facts("INFO", "replication")
    if said["role"] != "master":
        return False
    lines = (value for name, value in said.items() if name.startswith("slave"))
    served = {_port(line) for line in lines if ",state=online," in line}
    return all(
        replica.port in served and _follows(replica.facts("INFO", "replication"), primary)
        for replica in replicas
    )


def _follows(said: dict[str, str], primary: Server) -> bool:
    return said.get("master_port") == str(primary.port) and said.get("master_link_status") == "up"


def _port(line: str) -> int:
    """Read the port of `ip=127.0.0.1,port=15379,state=online,...`."""
    return int(dict(field.split("=", 1) for field in line.split(","))["port"])
