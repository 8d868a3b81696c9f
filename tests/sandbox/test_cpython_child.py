"""A child is waited for by its own descriptor, whoever else sees its end first."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from threading import Thread

import pytest

from portal.sandbox.cpython.forks import Child

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="process descriptors are Linux's")


def test_who_waits_is_not_left_waiting_for_another_file(monkeypatch: pytest.MonkeyPatch) -> None:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    child = Child(process.pid, os.pidfd_open(process.pid))
    opened: list[int] = []

    class Poll:
        """Before it waits the child ends, another thread sees it, and the number of its descriptor is taken again."""

        def __init__(self) -> None:
            self._real = new_poll()

        def register(self, descriptor: int, events: int) -> None:
            self._real.register(descriptor, events)

        def poll(self) -> object:
            process.kill()
            process.wait()
            assert child.poll() == -1
            opened.extend(os.pipe())
            return self._real.poll()

    new_poll = select.poll
    monkeypatch.setattr(select, "poll", Poll)
    waiting = Thread(target=child.wait, daemon=True)
    waiting.start()
    waiting.join(20)
    assert not waiting.is_alive()
    for descriptor in opened:
        os.close(descriptor)
