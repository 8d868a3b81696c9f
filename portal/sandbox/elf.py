"""Which files a program needs to start: its loader and its shared libraries, as the loader itself finds them."""

from __future__ import annotations

import re
import struct
import subprocess
from pathlib import Path

_LOADED = re.compile(r"^\s*(?:\S+ => )?(/\S+) \(0x", re.MULTILINE)
_INTERPRETER_HEADER = 3


def needed_files(program: Path) -> tuple[str, list[str]]:
    """Return the loader's path and those of the libraries. Raises OSError, ValueError, SubprocessError."""
    with program.open("rb") as file:
        head = file.read(64)
        if head[:5] != b"\x7fELF\x02":
            raise ValueError(f"{program} is no 64-bit ELF program")
        table, entry_size, entries = struct.unpack_from("<Q", head, 32)[0], *struct.unpack_from("<HH", head, 54)
        file.seek(table)
        headers = file.read(entry_size * entries)
        for at in range(0, len(headers), entry_size):
            kind, _, offset, _, _, size = struct.unpack_from("<IIQQQQ", headers, at)
            if kind == _INTERPRETER_HEADER:
                file.seek(offset)
                loader = file.read(size).rstrip(b"\0").decode()
                break
        else:
            raise ValueError(f"{program} has no loader")
    # S603: a worker program that we were about to run anyway, only listed.
    listed = subprocess.run([loader, "--list", str(program)], capture_output=True, text=True, timeout=10, check=True)  # noqa: S603
    return loader, [path for path in dict.fromkeys(_LOADED.findall(listed.stdout)) if path != loader]
