"""Lets the graphs of an embedded index grow, and saves them, in a thread that ends with its work.

Whoever adds a wording writes one row and waits for no graph; whoever searches finds new rows in the
matrix of their scope until they are in its graph.
"""

from __future__ import annotations

import contextlib
import logging
import re
import threading
import time
from pathlib import Path
from typing import cast

from blake3 import blake3

from askonce.errors import StoreError
from askonce.indexes import graphs
from askonce.indexes.graphs import Facts, Graph
from askonce.indexes.journal import Journal, Opened, Row
from askonce.indexes.scopes import Scope, split

FIRST, MORE = 8192, 2048
"""Rows in the matrix of a scope from which a graph is begun, or goes on."""

AT_ONCE = 256
"""Rows read from the journal at once."""
UNDER_LOCK = 4
"""Rows added to a graph while searches wait: some 2 ms."""

UNSAVED = 1024
"""Vectors by which a graph must have grown to be saved."""
ABANDONED = 3600.0
"""Seconds after which a half-written file of a graph is nobody's."""


class Growth:
    """The thread, and the files of the graphs. Holds no scope but those it works on."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._lock = threading.Lock()
        self._due: dict[bytes, Scope] = {}
        self._thread: threading.Thread | None = None
        self._stopping = False

    def ask(self, scope: Scope) -> None:
        """Let a scope's graph grow soon."""
        with self._lock:
            self._due[scope.name] = scope
            if self._thread is None and not self._stopping:
                self._thread = threading.Thread(
                    target=self._run, name="askonce graphs", daemon=True
                )
                self._thread.start()

    def stop(self) -> None:
        """End the thread after the few rows that it is at."""
        with self._lock:
            self._stopping = True
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def wait(self, timeout: float) -> bool:
        """Wait until nothing is left to do; False after so many seconds."""
        with self._lock:
            thread = self._thread
        if thread is not None:
            thread.join(timeout)
        return thread is None or not thread.is_alive()

    def load(self, database: Opened, scope: Scope) -> None:
        """Take the graph that was saved of a scope, if there is one. Under the scope's lock."""
        path = self._path(scope)
        if path.exists():
            graph = Graph(self._journal.space[1])
            graph.load(path, self._facts(database, scope))
            if len(graph):
                scope.take(graph)
                scope.saved = len(graph)

    def save(self, scope: Scope) -> None:
        """Save the graph of a scope if it has grown, and the file holds none that is as new."""
        graph = scope.graph
        if graph is None or len(graph) - scope.saved < max(UNSAVED, scope.saved // 8):
            return
        facts = self._journal.do(lambda it: self._facts(cast("Opened", it), scope))
        path = self._path(scope)
        there = graphs.saved(path)
        if there is None or not there.is_of(facts) or there.last < graph.last:
            graph.save(path, facts)
            self._sweep()
        scope.saved = len(graph)

    def _run(self) -> None:
        while True:
            with self._lock:
                if self._stopping or not self._due:
                    self._thread = None
                    return
                scope = self._due.pop(next(iter(self._due)))
            try:
                self._grow(scope)
            except (StoreError, OSError) as error:
                logging.getLogger("askonce").debug("a graph does not grow for now: %s", error)

    def _grow(self, scope: Scope) -> None:
        graph = scope.graph
        if graph is None:
            graph = Graph(self._journal.space[1])
            with scope.lock:
                scope.take(graph)
        while rows := self._rows(scope, graph.last):
            for start in range(0, len(rows), UNDER_LOCK):
                ids, vectors = split(rows[start : start + UNDER_LOCK], self._journal.space[1])
                with scope.lock:
                    graph.add(ids, vectors)
            with scope.lock:
                scope.matrix.forget(graph.last)
            if not self._stopping and len(graph) >= 2 * max(scope.saved, UNSAVED):
                self.save(scope)
        if not self._stopping:
            self._renew(scope, graph)
            self.save(scope)

    def _renew(self, scope: Scope, graph: Graph) -> None:
        """Build a graph anew whose rows are gone for a good part, aside from the one in use."""
        if len(graph) - scope.counted < len(graph) // 4 and not scope.has_many_dead:
            return
        alive = self._journal.do(
            lambda it: self._journal.count(cast("Opened", it), scope.name, graph.last)
        )
        scope.counted = len(graph)
        if not scope.is_worn(alive):
            return
        fresh = Graph(self._journal.space[1])
        while fresh.last < graph.last and (rows := self._rows(scope, fresh.last)):
            fresh.add(*split(rows, self._journal.space[1]))
        if not self._stopping:
            with scope.lock:
                scope.take(fresh)
            scope.saved, scope.counted = 0, len(fresh)

    def _rows(self, scope: Scope, last: int) -> list[Row]:
        if self._stopping:
            return []
        return self._journal.do(
            lambda it: self._journal.behind(cast("Opened", it), scope.name, last, AT_ONCE)
        )

    # Files

    def _path(self, scope: Scope) -> Path:
        return Path(f"{self._journal.path}-graph-{blake3(scope.name).hexdigest(16)}")

    def _facts(self, database: Opened, scope: Scope) -> Facts:
        return Facts(graphs.FORMAT, database.identity, *self._journal.space, scope.name, 0)

    def _sweep(self) -> None:
        """Remove graphs of scopes that are gone, and what a process that was killed has begun."""
        path = self._journal.path
        graph = re.compile(re.escape(f"{path.name}-graph-") + r"[0-9a-f]{32}(\.\d+)?")
        for file in path.parent.iterdir():
            name = graph.fullmatch(file.name)
            with contextlib.suppress(OSError):
                if name is not None and self._is_abandoned(file, part=name[1] is not None):
                    file.unlink()

    def _is_abandoned(self, file: Path, *, part: bool) -> bool:
        if part:
            return time.time() - file.stat().st_mtime > ABANDONED
        said = graphs.saved(file)
        return said is None or not self._journal.do(
            lambda it: self._journal.behind(cast("Opened", it), said.scope, 0, 1)
        )
