"""Nothing of a program is left for the next one, on the very worker that served it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from portal.sandbox.contract import Limits, Options
from portal.sandbox.cpython.sandbox import CPythonSandbox
from portal.sandbox.monty import MontySandbox
from tests.sandbox.conftest import DESK, Desk
from tests.sandbox.test_jail import needs_jail

pytestmark = [pytest.mark.asyncio(loop_scope="module"), needs_jail]
LIMITS = Limits(wall_s=30.0, cpu_s=2.0, memory_bytes=32 * 1024 * 1024, calls=20)

_SEED = "import random\nrandom.seed(42)"
_PRECISION = "import decimal\ndecimal.getcontext().prec = 3"

# What one program leaves, and what the next one sees of it: 'escaped', unless it sees nothing.
BOTH = {
    "a name": ("secret = 'escaped'", "try:\n    r = secret\nexcept NameError:\n    r = 1\nr"),
    "a function": ("def secret(): return 'escaped'", "try:\n    r = secret()\nexcept NameError:\n    r = 1\nr"),
    "a class": ("class Secret: x = 'escaped'", "try:\n    r = Secret.x\nexcept NameError:\n    r = 1\nr"),
    "an import": ("import json as secret", "try:\n    secret\n    r = 'escaped'\nexcept NameError:\n    r = 1\nr"),
    "a server": ("import desk", "try:\n    desk\n    r = 'escaped'\nexcept NameError:\n    r = 1\nr"),
    "a built-in replaced": ("len = lambda x: 'escaped'", "len([])"),
    "a seed": (_SEED, "import random\n'escaped' if random.random() == 0.6394267984578837 else 1"),
    "a precision": (_PRECISION, "import decimal\n'escaped' if len(str(decimal.Decimal(1) / 3)) < 10 else 1"),
    "half a line of output": ("print('escaped', end='')", "1"),
    "a call that nobody awaited": ("import desk\ndesk.block('escaped')\n1", "import desk\nawait desk.echo(1)"),
    "an exception": ("raise ValueError('escaped')", "try:\n    raise\nexcept Exception as e:\n    r = str(e)\nr"),
    "memory in use": ("x = [0] * 1_000_000\nlen(x)", "x = [0] * 1_000_000\nlen(x)"),
    "calls made": (
        "import desk\nfor n in range(15): await desk.echo(n)",
        "import desk\nfor n in range(15): await desk.echo(n)\n1",
    ),
    "a limit reached": ("def f(): return f()\nf()", "def f(n): return n and f(n - 1)\nf(300)"),
    "a program that was stopped": ("while True: pass", "1"),
}
CPYTHON = {
    "a module patched": ("import json\njson.dumps = lambda *a: 'escaped'", "import json\njson.dumps(1)"),
    "built-ins patched": ("import builtins\nbuiltins.len = lambda x: 'escaped'", "len([])"),
    "a module registered": ("import sys, types\nsys.modules['secret'] = types.ModuleType('secret')", "try:\n    import secret\n    r = 'escaped'\nexcept ImportError:\n    r = 1\nr"),
    "an importer": ("import sys\nsys.meta_path.insert(0, None)", "import sys\n'escaped' if None in sys.meta_path else 1"),
    "an environment": ("import os\nos.environ['SECRET'] = 'escaped'", "import os\nos.environ.get('SECRET')"),
    "a handler of signals": ("import signal\nsignal.signal(signal.SIGALRM, lambda *a: None)", "import signal\n1 if signal.getsignal(signal.SIGALRM) is signal.SIG_DFL else 'escaped'"),
    "a trace": ("import sys\nsys.settrace(lambda *a: None)", "import sys\n'escaped' if sys.gettrace() else 1"),
    "an audit hook": ("import sys\nsys.addaudithook(lambda n, a: (_ for _ in ()).throw(ValueError('escaped')))", "compile('1', 'x', 'eval') and 1"),
    "warnings": ("import warnings\nwarnings.simplefilter('error')", "import warnings\nwarnings.warn('x')\n1"),
    "a codec": ("import codecs\ncodecs.register(lambda n: codecs.lookup('ascii') if n == 'secret' else None)", "try:\n    ''.encode('secret')\n    r = 'escaped'\nexcept LookupError:\n    r = 1\nr"),
    "a limit lowered": ("import resource\nresource.setrlimit(resource.RLIMIT_AS, (10**8, 10**8))", "import resource\n'escaped' if resource.getrlimit(resource.RLIMIT_AS)[0] == 10**8 else 1"),
    "depth": ("import sys\nsys.setrecursionlimit(10**6)", "import sys\n'escaped' if sys.getrecursionlimit() == 10**6 else 1"),
    "work for the exit": ("import atexit\natexit.register(print, 'escaped')", "1"),
    "a collector switched off": ("import gc\ngc.disable()", "import gc\n1 if gc.isenabled() else 'escaped'"),
    "a policy of loops": ("import asyncio\nasyncio.set_event_loop_policy(None)", "import asyncio\nawait asyncio.sleep(0.001)\n1"),
    "the line closed": ("import os\nos.close(1)", "1"),
    "frames that nobody asked for": ("import os\nos.write(1, b'escaped' * 1000)", "1"),
    "an object that others find": ("class Secret: pass\nkept = Secret()\nimport builtins\nbuiltins.kept = kept", "import gc\n'escaped' if any(type(o).__name__ == 'Secret' for o in gc.get_objects()) else 1"),
}  # fmt: skip
PAIRS = [("monty", name, pair) for name, pair in BOTH.items()] + [
    ("cpython", name, pair) for name, pair in (BOTH | CPYTHON).items()
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def single() -> AsyncIterator[dict[str, Any]]:
    options = Options(jail="require", min_workers=1, max_workers=1, warm_children=1)
    async with MontySandbox(options) as monty, CPythonSandbox(options) as cpython:
        yield {"monty": monty, "cpython": cpython}


@pytest.mark.parametrize(("engine", "name", "pair"), PAIRS, ids=[f"{name} [{engine}]" for engine, name, _ in PAIRS])
async def test_the_next_program_sees_nothing(
    single: dict[str, Any], engine: str, name: str, pair: tuple[str, str]
) -> None:
    leave, look = pair
    desk = Desk()
    left = await single[engine].run(leave, [DESK], Desk(), LIMITS)
    assert left.failure is None or left.failure.kind != "invalid"
    outcome = await single[engine].run(look, [DESK], desk, LIMITS)
    assert "escaped" not in repr(outcome)
    assert outcome.failure is None or name == "an exception"
    assert all("escaped" not in str(arguments) for _, arguments in desk.seen)
