"""What Monty's Python lacks, seen by reading: a program that needs it starts on CPython instead of failing half-way.

It may err. A gap that is missed shows when the program runs, before a call or after one; a gap that is none costs a few
milliseconds. The tables were measured with pydantic-monty-runtime 1.4.0.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Sequence

ASKED = re.compile(r"\A\s*#\s*engine:\s*cpython\b", re.IGNORECASE)
"""How a program asks for CPython itself."""

INLINE_CHARS = 2_000
"""Longer programs are read in a thread."""

_WHOLE_NAMES = """
base64 binascii decimal hashlib math os posixpath tomllib unicodedata __future__
"""
_WHOLE = frozenset(_WHOLE_NAMES.split())
_PARTS = {
    "asyncio": "gather run sleep",
    "bisect": "bisect bisect_left bisect_right insort insort_left insort_right",
    "collections": "Counter defaultdict deque namedtuple",
    "copy": "copy deepcopy",
    "csv": "Dialect DictReader DictWriter Error QUOTE_ALL QUOTE_MINIMAL QUOTE_NONE QUOTE_NONNUMERIC excel excel_tab "
    "field_size_limit get_dialect list_dialects reader unix_dialect writer",
    "dataclasses": "FrozenInstanceError MISSING dataclass field is_dataclass",
    "datetime": "date datetime time timedelta timezone",
    "functools": "cache lru_cache partial reduce",
    "itertools": "accumulate chain combinations combinations_with_replacement compress count cycle dropwhile "
    "filterfalse groupby islice pairwise permutations product repeat starmap takewhile tee zip_longest",
    "json": "JSONDecodeError dump dumps load loads",
    "pathlib": "Path",
    "random": "Random betavariate choice choices expovariate gammavariate gauss getrandbits getstate lognormvariate "
    "normalvariate paretovariate randbytes randint random randrange sample seed setstate shuffle triangular uniform "
    "vonmisesvariate weibullvariate",
    "re": "A ASCII DOTALL I IGNORECASE M MULTILINE Match NOFLAG Pattern S compile error escape findall finditer "
    "fullmatch match search split sub",
    "sys": "argv byteorder executable flags float_info hexversion maxsize maxunicode platform stderr stdout version "
    "version_info",
    "time": "altzone asctime ctime daylight gmtime localtime mktime monotonic monotonic_ns perf_counter "
    "perf_counter_ns process_time process_time_ns sleep strftime strptime thread_time "
    "thread_time_ns time time_ns timezone tzname",
    "typing": "Annotated Any Callable ClassVar Dict Final FrozenSet Generator Generic Iterable Iterator List Literal "
    "Mapping Never NoReturn Optional Protocol Self Sequence Set TYPE_CHECKING Tuple Type TypeVar Union",
}
_HAS = {name: frozenset(parts.split()) for name, parts in _PARTS.items()}
_BUILTINS_NAMES = """
BaseExceptionGroup BrokenPipeError BufferError ConnectionError DeprecationWarning EOFError EnvironmentError
ExceptionGroup FloatingPointError GeneratorExit IOError IndentationError ReferenceError RuntimeWarning
StopAsyncIteration UnicodeError UserWarning Warning aiter anext ascii bytearray callable classmethod compile delattr
dir exit globals input issubclass memoryview quit staticmethod super vars
"""
_BUILTINS = frozenset(_BUILTINS_NAMES.split())
_ATTRIBUTES_NAMES = """
maketrans translate utcnow utcfromtimestamp __cause__ __context__ __traceback__ __notes__ add_note __dict__
"""
_ATTRIBUTES = frozenset(_ATTRIBUTES_NAMES.split())
_KEYWORDS = {
    "gather": {"return_exceptions"},
    "dumps": {"default", "cls"},
    "loads": {"object_hook", "object_pairs_hook", "parse_float", "parse_int", "cls"},
}
_STATEMENTS = {
    ast.Yield: "yield",
    ast.YieldFrom: "yield",
    ast.AsyncWith: "async with",
    ast.AsyncFor: "async for",
    ast.Delete: "del",
    ast.TryStar: "except*",
}


def gap(code: str, servers: Collection[str]) -> str:
    """Return the first thing in ``code`` that Monty lacks, as a person would name it; "" when there is none to see.

    O(len(code)): more than INLINE_CHARS belong into a thread. What does not parse has no gap.
    """
    try:
        return gap_of(list(ast.walk(ast.parse(code))), servers)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ""


def gap_of(nodes: Sequence[ast.AST], servers: Collection[str]) -> str:
    """Return the same for a program that was read already: ``nodes`` are all of its syntax tree's."""
    reader = _Reader(servers)
    reader.read(nodes)
    return reader.found


class _Reader:
    """Walks a program; remembers the first gap."""

    def __init__(self, servers: Collection[str]) -> None:
        self._servers = servers
        self._modules: dict[str, str] = {}
        self._functions: set[str] = set()
        self.found = ""

    def read(self, nodes: Sequence[ast.AST]) -> None:
        """Read imports and functions first: they may stand below their use."""
        bound = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
        for node in nodes:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                self._functions.add(node.name)
            elif isinstance(node, ast.Import | ast.ImportFrom):
                self._import(node)
        self._bound = bound | self._functions
        for node in nodes:
            if self.found:
                return
            self._judge(node)

    def _import(self, node: ast.Import | ast.ImportFrom) -> None:
        if isinstance(node, ast.Import):
            for alias in node.names:
                self._module(alias.name)
                self._modules[alias.asname or alias.name] = alias.name
            return
        module = node.module or ""
        self._module(module)
        for alias in node.names:
            if alias.name == "*":
                self._note("import *")
            elif module in _HAS and alias.name not in _HAS[module]:
                self._note(f"{module}.{alias.name}")

    def _module(self, name: str) -> None:
        if name not in _WHOLE and name not in _HAS and name != "os.path" and name not in self._servers:
            self._note(f"module {name}")

    def _judge(self, node: ast.AST) -> None:
        statement = _STATEMENTS.get(type(node))
        if statement:
            self._note(statement)
        elif isinstance(node, ast.ClassDef):
            self._class(node)
        elif isinstance(node, ast.Attribute):
            self._attribute(node)
        elif isinstance(node, ast.Name):
            if node.id in _BUILTINS and node.id not in self._bound and isinstance(node.ctx, ast.Load):
                self._note(node.id)
        elif isinstance(node, ast.Call):
            self._call(node)

    def _class(self, node: ast.ClassDef) -> None:
        if node.keywords or any(not (isinstance(base, ast.Name) and base.id == "object") for base in node.bases):
            self._note("class inheritance")
        if any(isinstance(part, ast.FunctionDef) and part.decorator_list for part in node.body):
            self._note("method decorators")

    def _attribute(self, node: ast.Attribute) -> None:
        module = self._modules.get(node.value.id, "") if isinstance(node.value, ast.Name) else ""
        if node.attr in _ATTRIBUTES and module not in self._servers:
            self._note(node.attr)
        if module in _HAS and node.attr not in _HAS[module]:
            self._note(f"{module}.{node.attr}")

    def _call(self, node: ast.Call) -> None:
        function = node.func
        name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
        for keyword in node.keywords:
            if keyword.arg in _KEYWORDS.get(name, ()):
                self._note(f"{name}({keyword.arg}=…)")
        # ``key=counts.get``: Monty has no methods as values.
        values = [keyword.value for keyword in node.keywords if keyword.arg in {"key", "default_factory"}]
        values += node.args[:1] if name in {"map", "filter", "starmap", "partial"} else []
        if any(isinstance(value, ast.Attribute) for value in values):
            self._note("a method as a value")
        if name in {"sub", "subn"} and any(
            isinstance(argument, ast.Lambda) or (isinstance(argument, ast.Name) and argument.id in self._functions)
            for argument in node.args[:2]
        ):
            self._note("a function as replacement")

    def _note(self, what: str) -> None:
        self.found = self.found or what
