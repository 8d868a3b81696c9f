"""The standard library as programs see it: loaded whole before the door closes, for there are no files afterwards."""

from __future__ import annotations

import encodings
import importlib
import pkgutil
import sys

_NAMES = """
abc argparse array ast asyncio base64 binascii bisect builtins bz2 calendar cmath codecs collections collections.abc
colorsys concurrent.futures concurrent.futures.thread configparser contextlib contextvars copy copyreg csv dataclasses
datetime decimal difflib dis email email.message email.parser email.policy email.utils enum errno fnmatch fractions
functools gc genericpath glob graphlib gzip hashlib heapq hmac html html.entities html.parser inspect io ipaddress
itertools json json.tool keyword linecache locale logging lzma math mimetypes numbers opcode operator os os.path
pathlib pickle pickletools platform posixpath pprint queue quopri random re reprlib sched secrets selectors shlex
shutil signal sqlite3 stat statistics string stringprep struct sys tempfile textwrap threading time timeit token
tokenize tomllib traceback types typing unicodedata unittest unittest.mock urllib urllib.error urllib.parse uuid
warnings weakref xml.etree.ElementTree xml.dom.minidom xml.sax.saxutils zipfile zlib zoneinfo _strptime _pydecimal
"""
MODULES = tuple(_NAMES.split())
"""What can be imported, as far as this Python has it. What it draws in stays importable too, except WITHHELD."""

WITHHELD = ("ctypes", "_ctypes", "subprocess", "multiprocessing", "_posixsubprocess", "portal")
"""Not importable. For clear errors, not for safety: the kernel's jail assumes native code."""


def preload() -> list[object]:
    """Import everything and read every time zone. Return what must stay referenced."""
    codecs = (f"encodings.{found.name}" for found in pkgutil.iter_modules(encodings.__path__))
    for name in (*MODULES, *codecs):
        try:
            importlib.import_module(name)
        except ImportError:
            # Not in every build or version of Python: then programs cannot import it either.
            continue
    return _zones()


def withhold() -> None:
    """Take from ``sys.modules`` what a program has no use for, and every way to load a file."""
    for name in list(sys.modules):
        if name.partition(".")[0] in WITHHELD:
            del sys.modules[name]
    sys.path.clear()
    sys.path_hooks.clear()
    sys.path_importer_cache.clear()


def _zones() -> list[object]:
    import zoneinfo

    kept: list[object] = []
    for key in sorted(zoneinfo.available_timezones()):
        try:
            kept.append(zoneinfo.ZoneInfo(key))
        except (OSError, ValueError):
            continue
    return kept
