"""Runs a program that must not outlive its owner: it is stopped when this process's standard input ends.

Started as a script, with nothing of ours imported: ``python -I leash.py PROGRAM ARGUMENTS…``. The owner holds the other
end of standard input; however it dies, even by SIGKILL, the kernel closes that end.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import threading
from types import FrameType

GRACE_S = 5.0


def main(command: list[str]) -> int:
    """Run the command until it ends or the owner is gone; return its exit code."""
    # The owner's descriptors are closed in the child, or it would hold its own leash.
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as child:  # noqa: S603 - the owner's own program

        def stop(_signal: int = 0, _frame: FrameType | None = None) -> None:
            with contextlib.suppress(ProcessLookupError):
                child.terminate()

        def watch() -> None:
            sys.stdin.buffer.read()
            stop()
            try:
                child.wait(GRACE_S)
            except subprocess.TimeoutExpired:
                child.kill()

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        threading.Thread(target=watch, daemon=True).start()
        return child.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
