"""Programs that mean harm to a jailed CPython: (name, source, how they may end), as in hostile.py.

They are written as if nothing in the process stood in their way, for nothing does: only the kernel's jail and the
portal's own reading of the line. A program that gets what it must not have returns "escaped".
"""

from __future__ import annotations

_TRY = "# engine: cpython\ntry:\n    {}\n    r = 'escaped'\nexcept BaseException as e:\n    r = type(e).__name__\nr"
_NATIVE = """# engine: cpython
import sys
frame = sys._getframe()
while "libc" not in frame.f_globals: frame = frame.f_back
ctypes, libc = frame.f_globals["ctypes"], frame.f_globals["libc"]
libc.syscall.restype = libc.mmap.restype = ctypes.c_long
def call(*numbers):
    ctypes.set_errno(0)
    return libc.syscall(*[ctypes.c_long(n) for n in numbers])
"""
_FRAME = """# engine: cpython
import os, struct
def varint(n):
    out = b""
    while n >= 0x80:
        out += bytes((n & 0x7f | 0x80,))
        n >>= 7
    return out + bytes((n,))
def field(number, payload):
    return varint(number << 3 | 2) + varint(len(payload)) + payload
def send(kind, payload):
    frame = field(kind, payload)
    data = struct.pack("<I", len(frame)) + frame
    while data:
        data = data[os.write(1, data):]
"""


def _native(expression: str) -> str:
    """A system call of a program that has native code: 'escaped' unless the kernel says no."""
    return f"{_NATIVE}'escaped' if {expression} else ctypes.get_errno()"


def _each(group: str, attempts: dict[str, str]) -> list[tuple[str, str, str]]:
    return [(f"{group}: {name}", _TRY.format(code.replace("\n", "\n    ")), "value") for name, code in attempts.items()]


FILES = _each(
    "files",
    {
        "read": "open('/etc/passwd').read()",
        "read by descriptor": "import os\nos.open('/', 0)",
        "list": "import os\nos.listdir('/')",
        "proc": "open('/proc/self/maps').read()",
        "proc of the parent": "import os\nos.readlink('/proc/1/exe')",
        "write": "open('/tmp/x', 'w').write('x')",
        "null device": "open('/dev/null', 'w')",
        "temporary file": "import tempfile\ntempfile.TemporaryFile()",
        "memory file": "import os\nos.memfd_create('x')",
        "stat": "import os\nos.stat('/etc')",
        "change folder": "import os\nos.chdir('/')",
        "pipe": "import os\nos.pipe()",
        "database file": "import sqlite3\nsqlite3.connect('/tmp/x.db').execute('create table t (a)')",
        "another import": "import sys\nsys.path.append('/usr/lib/python3')\nimport antigravity",
        "descriptor 3": "import os\nos.read(3, 1)",
        "any other descriptor": "import os\nfor n in range(3, 64):\n    try:\n        os.fstat(n)\n"
        "    except OSError as e:\n        code = e.errno\n    else:\n        break\nelse:\n    raise OSError(code)",
        "copy of the line": "import os\nos.dup(0)",
    },
)
PROCESSES = _each(
    "processes",
    {
        "fork": "import os\nos.fork()",
        "fork in a loop": "import os\nn = 0\nfor _ in range(1000):\n    try:\n        n += os.fork() >= 0\n"
        "    except OSError:\n        pass\nif not n: raise OSError",
        "exec": "import os\nos.execv('/bin/sh', ['sh', '-c', 'exit 99'])",
        "spawn": "import os\nos.posix_spawn('/bin/sh', ['sh'], {})",
        "system": "import os\nif os.system('true') != 0: raise OSError",
        "subprocess": "import subprocess\nsubprocess.run(['true'])",
        "multiprocessing": "import multiprocessing\nmultiprocessing.Process(target=print).start()",
        "thread": "import threading\nthreading.Thread(target=print).start()",
        "a thousand threads": "import _thread\nfor _ in range(1000): _thread.start_new_thread(print, ())",
        "thread pool": "from concurrent.futures import ThreadPoolExecutor\nThreadPoolExecutor().submit(print).result()",
        "kill the parent": "import os\nos.kill(os.getppid(), 9)",
        "kill everything": "import os\nos.kill(-1, 9)",
        "kill the group": "import os\nos.killpg(0, 9)",
        "signal to itself": "import os, signal\nos.kill(os.getpid(), signal.SIGTERM)",
        "handle to a process": "import os\nos.pidfd_open(1)",
        "become root": "import os\nos.setuid(0)",
        "chroot": "import os\nos.chroot('/')",
        "nice": "import os\nos.nice(-5)",
        "raise a limit": "import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))",
        "raise the memory": "import resource\nresource.setrlimit(resource.RLIMIT_AS, (1 << 40, 1 << 40))",
        "raise the processor time": "import resource\nresource.setrlimit(resource.RLIMIT_CPU, (10**6, 10**6))",
        "limits of another": "import os, resource\nresource.prlimit(os.getppid(), resource.RLIMIT_CPU)",
        "scheduler": "import os\nos.sched_setaffinity(0, {0})",
    },
)
NETWORK = _each(
    "network",
    {
        "tcp": "import socket\nsocket.create_connection(('127.0.0.1', 80), 1)",
        "udp": "import socket\nsocket.socket(socket.AF_INET, socket.SOCK_DGRAM)",
        "unix": "import socket\nsocket.socket(socket.AF_UNIX)",
        "pair": "import socket\nsocket.socketpair()",
        "name": "import socket\nsocket.getaddrinfo('example.org', 80)",
        "line as a socket": "import socket\nsocket.socket(fileno=0).getpeername()",
        "descriptors from the line": "import socket\ns = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, fileno=0)\n"
        "socket.recv_fds(s, 10, 1)",
        "descriptors over the line": "import socket\ns = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, fileno=1)\n"
        "socket.send_fds(s, [b'x'], [0, 1, 2])",
        "url": "import urllib.request\nurllib.request.urlopen('http://example.org')",
    },
)
NATIVE = [
    (f"native: {name}", _native(expression), "value")
    for name, expression in {
        "socket": "call(41, 2, 1, 0) >= 0",
        "fork": "libc.fork() >= 0",
        "clone3": "call(435, 0, 0) >= 0",
        "ptrace": "call(101, 0, 0, 0, 0) >= 0",
        "read another's memory": "call(310, 1, 0, 0, 0, 0, 0) >= 0",
        "signal by thread": "call(234, __import__('os').getppid(), __import__('os').getppid(), 9) >= 0",
        "signal by pidfd": "call(424, 0, 9, 0, 0) >= 0",
        "executable memory": "libc.mmap(None, ctypes.c_size_t(4096), 7, 0x22, -1, ctypes.c_long(0)) not in {-1}",
        "make memory executable": "libc.mprotect(ctypes.c_void_p(id(libc) & ~4095), ctypes.c_size_t(4096), 5) == 0",
        "memfd": "call(319, 0, 0) >= 0",
        "unshare": "call(272, 0x10000000) >= 0",
        "mount nothing": "call(165, 0, 0, 0, 0, 0) >= 0",
        "bpf": "call(321, 0, 0, 0) >= 0",
        "io_uring": "call(425, 1, 0) >= 0",
        "userfaultfd": "call(323, 1) >= 0",
        "perf": "call(298, 0, 0, -1, -1, 0) >= 0",
        "keyring": "call(250, 0, 0, 0) >= 0",
        "ioctl": "call(16, 0, 0x5401, 0) >= 0",
        "new filter": "call(317, 1, 0, 0) >= 0",
        "process options": "call(157, 4, 1, 0, 0, 0) >= 0",
        "personality": "call(135, 0x400000) >= 0",
        "open": "libc.open(b'/etc/passwd', 0) >= 0",
        "exec": "libc.execve(b'/bin/sh', 0, 0) == 0",
        "shared memory": "call(29, 0, 4096, 0o1777) >= 0",
        "message queue": "call(68, 0, 0o1777) >= 0",
        "system information": "call(63, 0) >= 0",
        "the portal's memory": "libc.process_vm_readv(__import__('os').getppid(), 0, 0, 0, 0, 0) >= 0",
    }.items()
] + [("native: a crash", _NATIVE + "ctypes.string_at(0)", "crashed")]
RESOURCES = [
    (name, f"# engine: cpython\n{code}", ends)
    for name, code, ends in [
        ("memory at once", "x = b'a' * 10**10", "memory_bytes"),
        ("memory by and by", "x = []\nwhile True: x.append(' ' * 10**6)", "memory_bytes"),
        (
            "memory errors swallowed",
            "while True:\n    try:\n        x = [0] * 10**9\n    except MemoryError:\n        pass",
            "cpu_s",
        ),
        ("native memory", "import mmap\nx = [mmap.mmap(-1, 10**7) for _ in range(10**4)]", "memory_bytes|raised|invalid"),
        ("busy loop", "while True: pass", "cpu_s"),
        ("busy loop that catches everything", "while True:\n    try:\n        while True: pass\n    except BaseException: pass", "cpu_s"),
        ("busy in one instruction", "9 ** 9 ** 9", "cpu_s|memory_bytes"),
        ("busy regular expression", "import re\nre.match('(a+)+$', 'a' * 40 + 'b')", "cpu_s"),
        ("alarm switched off", "import signal\nsignal.signal(signal.SIGPROF, signal.SIG_IGN)\nwhile True: pass", "cpu_s"),
        ("timer switched off", "import signal\nsignal.setitimer(signal.ITIMER_PROF, 0)\nwhile True: pass", "cpu_s"),
        ("every signal blocked", "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))\nwhile True: pass", "cpu_s"),
        ("sleeping for years", "import time\ntime.sleep(10**8)", "wall_s"),
        ("sleeping without asking", "import signal\nsignal.sigtimedwait({signal.SIGTERM}, 10**6)", "raised|cpu_s|wall_s"),
        ("waiting for ever", "import asyncio\nawait asyncio.Event().wait()", "wall_s"),
        ("reading the line for ever", "import os\nwhile True: os.read(0, 1)", "wall_s|cpu_s|crashed"),
        ("recursion", "def f(): return f()\nf()", "recursion"),
        ("recursion without a limit", "import sys\nsys.setrecursionlimit(10**9)\ndef f(x): return f([x])\nf(0)", "crashed|memory_bytes|cpu_s"),
        ("deep repr", "import sys\nsys.setrecursionlimit(10**8)\nx = []\nfor _ in range(10**6): x = [x]\nrepr(x)", "crashed|recursion|memory_bytes|cpu_s"),
        ("endless print", "while True: print('x' * 1000)", "cpu_s"),
        ("endless small prints", "while True: print('x', flush=True)", "cpu_s"),
        ("shared lists", "x = [1] * 1000\nfor _ in range(5): x = [x] * 1000\nx", "nodes|result_bytes"),
        ("deep lists", "x = []\nfor _ in range(100): x = [x]\nx", "depth"),
        ("a cycle", "x = []\nx.append(x)\nx", "value"),
        ("a large text", "'x' * 10**7", "result_bytes"),
        ("many values", "list(range(10**6))", "nodes|cpu_s|result_bytes|memory_bytes"),
        ("half a surrogate", "'\\ud800'", "value"),
        ("a nul", "'a\\0b'", "value"),
        ("a huge integer", "1 << 10**6", "value"),
        ("a repr that fails", "class A:\n    __slots__ = ()\n    def __str__(self): raise SystemExit\nA()", "value|raised"),
        ("an error whose text fails", "class E(Exception):\n    def __str__(self): return 1 / 0\nraise E", "raised"),
        ("large arguments", "import desk\nawait desk.echo('x' * 10**6 * 2)", "raised|argument_bytes|memory_bytes"),
        ("amplified arguments", "import desk\nx = [1] * 1000\nfor _ in range(3): x = [x] * 1000\nawait desk.echo(x)", "raised"),
        ("too many calls", "import desk\nwhile True: await desk.echo(1)", "calls"),
        ("too many calls at once", "import desk, asyncio\nawait asyncio.gather(*[desk.echo(i) for i in range(5000)])", "calls"),
        ("a call that is no function", "import desk\nawait desk.nothing()", "raised"),
        ("a call of a wrong shape", "import desk\nawait desk.echo(1, 2, 3)", "raised"),
        ("sent away", "import os\nos._exit(0)", "crashed"),
        ("a crash of code", "def f(): pass\nf.__code__ = f.__code__.replace(co_code=b'\\x01' * 40)\nf()", "crashed|raised|cpu_s|value"),
        ("abort", "import os\nos.abort()", "crashed"),
        ("imports for ever", "for n in range(10**6):\n    try:\n        __import__(f'm{n}')\n    except ImportError: pass", "calls|cpu_s"),
        ("sleeps for ever", "import asyncio\nwhile True: await asyncio.sleep(0.03)", "calls|wall_s"),
    ]
]  # fmt: skip
FORGED = [
    (f"forged: {name}", _FRAME + code, ends)
    for name, code, ends in [
        ("noise", "os.write(1, os.urandom(100_000))\nwhile True: pass", "crashed|cpu_s|result_bytes|argument_bytes"),
        ("a frame of 4 GB", "os.write(1, b'\\xff' * 5)\nwhile True: pass", "result_bytes|crashed|argument_bytes"),
        ("half a frame", "os.write(1, struct.pack('<I', 1000) + b'x')\nwhile True: pass", "cpu_s|crashed"),
        ("an empty frame", "os.write(1, struct.pack('<I', 0))\nwhile True: pass", "crashed"),
        ("an unknown kind", "send(15, b'')\nwhile True: pass", "crashed"),
        ("a fatal", "send(11, b'')\nwhile True: pass", "crashed"),
        ("an ok", "send(10, b'')\nwhile True: pass", "crashed"),
        ("a result that refers forward", "send(6, b'\\x08\\x05' + field(2, b''))", "crashed"),
        (
            "a result that shares itself",
            ("nodes = [field(2, b'\\x28\\x02')] + [field(2, field(11, field(1, varint(n) * 100))) for n in range(20)]\n"
            "send(6, b'\\x08\\x14' + field(2, b''.join(nodes)))"),
            "nodes|result_bytes",
        ),
        ("a result of its own", "send(6, b'\\x08\\x00' + field(2, field(2, field(8, b'mine'))))\nwhile True: pass", "value"),
        (
            "calls of functions that are not there",
            "for n in range(20): send(2, field(1, b'desk.__class__') + b'\\x20' + varint(n))\nwhile True: pass",
            "cpu_s|crashed",
        ),
        (
            "answers that nobody reads",
            ("for n in range(1000): send(2, field(1, b'desk.big') + field(2, b'\\x00') + b'\\x20' + varint(n + 1) + b'\\x30\\x01'"
            " + field(7, field(2, b'\\x28' + varint(8000))))\nwhile True: pass"),
            "crashed|calls|cpu_s",
        ),
        ("a call twice", "for n in range(9): send(2, field(1, b'desk.block') + b'\\x20\\x07')\nwhile True: pass", "crashed"),
        ("waiting for a call of nobody", "send(5, field(1, b'\\x63'))\nwhile True: pass", "crashed"),
        ("a sleep that is not a number", "send(3, b'\\x08\\x01' + field(29, b'\\x09' + b'\\xff' * 8))\nwhile True: pass", "cpu_s"),
        ("a system call of the other engine", "send(3, b'\\x08\\x01' + field(1, b''))\nwhile True: pass", "cpu_s|crashed"),
        ("an error with a limit's name", "send(7, field(1, field(1, b'TimeoutError') + field(2, b'time limit exceeded')))", "cpu_s"),
        ("prints without end", "while True: send(1, field(1, field(2, b'x')))", "cpu_s"),
        ("large prints without end", "text = field(1, field(2, b'x' * 10**6))\nwhile True: send(1, text)", "cpu_s"),
        ("empty prints without end", "while True: send(1, b'')", "cpu_s"),
        ("text that is not utf-8", "send(1, field(1, field(2, b'\\xff')))\nwhile True: pass", "crashed"),
    ]
]  # fmt: skip
MODULES_TRICKS = [
    (f"tricks: {name}", f"# engine: cpython\n{code}", ends)
    for name, code, ends in [
        ("modules emptied", "import sys\nsys.modules.clear()\n1", "value|raised|crashed"),
        ("builtins replaced", "import builtins\nbuiltins.len = lambda x: 10**9\nbuiltins.isinstance = None\n1", "value|raised|crashed"),
        ("the portal's code imported", "import portal.sandbox.wire", "invalid"),
        ("the launcher's variables", "import sys\n[k for m in list(sys.modules.values()) for k in vars(m) if k == 'jail' and m.__name__ == '__main__']", "value"),
        ("the line's own class patched", "import gc\nfor o in gc.get_objects():\n    if type(o).__name__ == 'Line': o.__dict__.clear()\n1", "value|raised|crashed"),
        ("the environment", "import os\n'escaped' if os.environ or os.getcwd() != '/' else 1", "value|raised"),
        ("standard input", "input()", "raised"),
        ("the host's paths", "import sys\n'escaped' if [p for p in sys.path] else 1", "value"),
    ]
]  # fmt: skip
CORPUS = FILES + PROCESSES + NETWORK + NATIVE + RESOURCES + FORGED + MODULES_TRICKS
