"""Who leads a flight, among all machines that share a Redis, and how the others follow.

A lease is a key with a random token that lives for three seconds unless it is renewed, so that of a
leader that was killed nothing is left. Only the holder of the token can renew it or give it back.
Those who wait are woken by a message. A leader tells its stream only once somebody waits for it.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, NamedTuple

from askonce.blocking import run
from askonce.colours import Bell, Colour
from askonce.errors import StoreError
from askonce.model import NOTHING, Response, Versions
from askonce.redis.feeds import ENDED, LOST, Frames, StreamFeed, place
from askonce.redis.held import Command
from askonce.redis.link import Link, called
from askonce.redis.names import Names
from askonce.redis.news import News as Channel
from askonce.redis.scripts import ACQUIRE, RELEASE, RENEW
from askonce.stores.breaker import Breaker, Refused
from askonce.stores.contract import Feed, News, Waiting
from askonce.stores.leases import TAKEN
from askonce.tape import Tape

if TYPE_CHECKING:
    from askonce.sealing import Cover

LEASE = 3.0
"""Seconds that a lease lives without being renewed; it is renewed every second."""

AGAIN = 1.0
"""Seconds after which one who waits tries again by itself: a message may be lost with a server."""

READ_ON = 30.0
"""Seconds for which a stream that has ended can still be read."""


class Job(NamedTuple):
    """Commands for the server. Those that fail are tried again until a moment has come."""

    commands: list[Command]
    until: float = 0.0


_LAST = Job([])
"""The job behind which there is none. It is known by its identity."""

_SAYS = {b"l": News.FREE, b"r": News.FREE, b"f": News.FAILED, b"s": News.TOLD}


class RedisLeases:
    """Leases on a Redis.

    What must not wait for the server (renewing, giving back, telling a stream) is done by one
    thread, from the first lease on.
    """

    def __init__(self, link: Link, names: Names, channel: Channel, breaker: Breaker) -> None:
        self._link = link
        self._names = names
        self._channel = channel
        self._breaker = breaker
        self._lock = threading.RLock()
        self._tokens: dict[bytes, bytes] = {}
        self._told: dict[bytes, Frames] = {}
        self._waiting: dict[bytes, set[_Waiting]] = {}
        self._beside: dict[bytes, bytes] = {}
        """The tokens of leases that another cache of this process has."""
        self._followed: dict[bytes, bytes] = {}
        self._jobs: SimpleQueue[Job] = SimpleQueue()
        self._thread: threading.Thread | None = None
        channel.listen(self._hear)

    async def acquire(self, key: bytes) -> bool:
        """Take the lease if nobody holds it. Never waits for its holder."""
        token = os.urandom(16)
        self._channel.begin()
        if not self._breaker.may_ask():
            return True
        failures = self._breaker.failures
        try:
            holder = await self._holder(key, token)
        except Refused:
            return True
        except StoreError as error:
            self._breaker.failed(error)
            return True
        self._breaker.worked(failures)
        # It may be ours already: when an answer was lost the client asks again.
        if holder is not None and holder != token:
            if holder in TAKEN:
                self._beside[key] = holder
            return False
        with self._lock:
            self._tokens[key] = token
        TAKEN[token] = threading.get_ident()
        self._begin()
        return True

    async def _holder(self, key: bytes, token: bytes) -> bytes | None:
        """Take the lease if it is free, and tell its holder if it is not."""
        names, milliseconds = [self._names.lease(key)], int(LEASE * 1000)
        arguments = token, milliseconds, self._names.news, b"w" + key
        holder: bytes | None = await self._link.run(ACQUIRE, names, *arguments)
        return holder

    def release(self, key: bytes, *, failed: bool) -> None:
        """Give the lease back, and let all who wait know. Allowed from a finaliser."""
        with self._lock:
            token = self._tokens.pop(key, None)
        if token is not None:
            TAKEN.pop(token, None)
            says = (b"f" if failed else b"l") + key
            names = [self._names.lease(key)]
            # In case its server is failing over: others would wait until the lease has ended.
            until = time.monotonic() + LEASE
            self._jobs.put(Job([called(RELEASE, names, token, self._names.news, says)], until))

    def holder(self, key: bytes) -> int | None:
        """Return the thread of this process that took this lease; None if that is elsewhere.

        It is known once `acquire` said that somebody holds it.
        """
        token = self._tokens.get(key) or self._beside.get(key)
        return None if token is None else TAKEN.get(token)

    @contextlib.contextmanager
    def waiting(self, key: bytes) -> Iterator[Waiting]:
        """Listen for news of a lease that somebody else holds."""
        waiting = _Waiting()
        with self._lock:
            self._waiting.setdefault(key, set()).add(waiting)
        try:
            yield waiting
        finally:
            with self._lock:
                self._waiting[key].discard(waiting)
                if not self._waiting[key]:
                    del self._waiting[key]
                    self._beside.pop(key, None)

    def tell(
        self,
        key: bytes,
        tape: Tape,
        head: Response,
        cover: Cover | None = None,
        versions: Versions = NOTHING,
    ) -> None:
        """Tell a stream that this process leads, if anybody waits for it."""
        with self._lock:
            token = self._tokens.get(key)
            if token is None:
                return
            frames = Frames(tape, head, token, cover, versions)
            self._told[key] = frames
        tape.listener = lambda: self._tell_more(key, token, frames)

    async def follow(self, key: bytes, cover: Cover | None = None) -> Feed | None:
        """Follow the stream that was told of last; None when it is gone already.

        UpstreamLost when it is there and cannot be read.
        """
        token = self._followed.pop(key, None)
        if token is None:
            return None
        name = self._names.stream(key, token)
        return await StreamFeed.open(self._link, name, token, cover)

    def close(self) -> None:
        """Give all leases back, and end the thread."""
        for key in list(self._tokens):
            self.release(key, failed=False)
        self._jobs.put(_LAST)
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout=1.0)

    def after_fork(self) -> None:
        """Begin anew in a child: its parent's leases are not its own."""
        self._lock = threading.RLock()
        self._tokens, self._told, self._waiting, self._followed = {}, {}, {}, {}
        self._beside = {}
        TAKEN.clear()
        self._jobs, self._thread = SimpleQueue(), None

    # What is heard from other processes

    def _hear(self, letter: bytes, key: bytes, rest: bytes) -> None:
        if letter == b"w":
            self._wanted(key)
            return
        with self._lock:
            waiting = tuple(self._waiting.get(key, ()))
            if letter == b"s" and waiting:
                self._followed[key] = rest
        for one in waiting:
            one.hear(_SAYS.get(letter, News.FREE))

    def _wanted(self, key: bytes) -> None:
        """Somebody waits: begin to tell the stream, or say again that it is told."""
        with self._lock:
            frames, token = self._told.get(key), self._tokens.get(key)
        if frames is None or token is None:
            return
        frames.wanted = True
        self._tell_more(key, token, frames)
        self._jobs.put(Job([("PUBLISH", self._names.news, b"".join((b"s", key, token)))]))

    def _tell_more(self, key: bytes, token: bytes, frames: Frames) -> None:
        with frames.lock:
            told = frames.more() if frames.wanted else []
            over = frames.over
            if told:
                name = self._names.stream(key, token)
                commands: list[Command] = [
                    ("XADD", name, place(at), letter, it) for at, letter, it in told
                ]
                ended = told[-1][1] in (ENDED, LOST)
                alive = READ_ON if ended else LEASE
                self._jobs.put(Job([*commands, ("PEXPIRE", name, int(alive * 1000))]))
        if over:
            with self._lock:
                if self._told.get(key) is frames:
                    del self._told[key]

    # The thread

    def _begin(self) -> None:
        if self._thread is None:
            with self._lock:
                if self._thread is None:
                    self._thread = threading.Thread(
                        target=self._work, name="askonce leases", daemon=True
                    )
                    self._thread.start()

    def _work(self) -> None:
        every = LEASE / 3
        due = time.monotonic() + every
        jobs: list[Job] = []
        while not any(job is _LAST for job in jobs):
            with contextlib.suppress(Empty):
                jobs.append(self._jobs.get(timeout=max(0.0, due - time.monotonic())))
                while True:
                    jobs.append(self._jobs.get_nowait())
            now = time.monotonic()
            if now >= due:
                due = now + every
                jobs.append(Job(self._renewals()))
            jobs = [job for job in self._unsent(jobs) if job is _LAST or job.until > now]

    def _unsent(self, jobs: list[Job]) -> list[Job]:
        """Send what there is to send; return the jobs of which that was in vain."""
        commands = [command for job in jobs for command in job.commands]
        try:
            if commands:
                run(self._link.together(commands, [RELEASE, RENEW]))
        except StoreError:
            return jobs
        return [job for job in jobs if job is _LAST]

    def _renewals(self) -> list[Command]:
        commands: list[Command] = []
        with self._lock:
            for key, token in self._tokens.items():
                names = [self._names.lease(key)]
                if key in self._told and self._told[key].wanted:
                    names.append(self._names.stream(key, token))
                commands.append(called(RENEW, names, token, int(LEASE * 1000)))
        return commands


class _Waiting:
    """One who waits. News that came before it listened again is not lost."""

    def __init__(self) -> None:
        self._bell = Bell()
        self._heard: News | None = None

    def hear(self, news: News) -> None:
        self._heard = news
        self._bell.ring()

    async def news(self, colour: Colour, timeout: float) -> News:
        """Wait for a message; without one, try again all the same."""
        await colour.wait(self._bell, lambda: self._heard is not None, min(timeout, AGAIN))
        heard, self._heard = self._heard, None
        return News.FREE if heard is None else heard
