"""Threads that no program needs to wait for."""

from __future__ import annotations

import gc
import threading

import pytest

from askonce.daemons import Daemons


def test_work_is_done_and_what_it_raises_is_handed_on():
    daemons = Daemons()
    assert daemons.begin(lambda: 5).result(10) == 5
    with pytest.raises(ZeroDivisionError):
        daemons.begin(lambda: 1 // 0).result(10)


def test_draining_waits_for_all_that_was_begun():
    daemons, release, done = Daemons(), threading.Event(), []
    for number in range(10):
        daemons.begin(lambda number=number: release.wait(10) and done.append(number))
    daemons.drain(0.01)
    assert done == []
    release.set()
    daemons.drain(10)
    assert sorted(done) == list(range(10))


def test_what_waits_behind_work_that_hangs_is_bounded():
    daemons, release = Daemons(), threading.Event()
    for _ in range(Daemons.MOST_OPEN):
        daemons.begin(lambda: release.wait(60))
    with pytest.raises(RuntimeError, match="wait already"):
        daemons.begin(lambda: release.wait(60))
    release.set()
    daemons.drain(10)
    assert daemons.begin(lambda: 5).result(10) == 5


def test_a_thread_that_cannot_start_leaves_nothing_behind(monkeypatch):
    daemons = Daemons()

    def refuse(thread):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        for _ in range(Daemons.MOST + 1):
            with pytest.raises(RuntimeError, match="can't start"):
                daemons.begin(lambda: 5)
    assert daemons.begin(lambda: 6).result(10) == 6
    daemons.drain(10)


def test_threads_end_with_their_owner():
    daemons = Daemons()
    thread = daemons.begin(threading.current_thread).result(10)
    del daemons
    gc.collect()
    thread.join(10)
    assert not thread.is_alive()
