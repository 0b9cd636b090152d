"""Hostile programs of still other kinds, by what they attack: name -> (accepted statuses, program).

As in hostile_programs.py: refused attacks end in an exception or print `refused`; what gets through prints `HOLE`.
"""

from hostile_programs import _RAW, ENDED, _refused

PLAIN = ("ok",)
WRONG = ("error",)
EITHER = ("ok", "error")
LARGE = ("output_limit",)
SLOW = ("timeout",)


def _machine_code(code: bytes) -> str:
    """A program that runs bytes of x86-64 as a function and prints what it returns."""
    return (
        f"{_RAW}\nimport mmap\nm = mmap.mmap(-1, 4096, prot=7)\nm.write({code!r})\n"
        "f = ctypes.CFUNCTYPE(ctypes.c_long)(ctypes.addressof(ctypes.c_char.from_buffer(m)))\nr = f()\n"
        "output = 'HOLE' if r >= 0 else 'refused'\n"
    )


def _raised(lines: str) -> str:
    """A program that prints `HOLE` unless the lines raise an OSError."""
    body = "\n".join("    " + line for line in lines.split("\n"))
    return f"import os, sys\ntry:\n{body}\n    output = 'HOLE'\nexcept OSError:\n    output = 'refused'\n"


KINDS: dict[str, tuple[tuple[str, ...], str]] = {
    # the kernel, by other doors
    "syscall_instruction": (EITHER, _machine_code(b"\xb8\x39\x00\x00\x00\x0f\x05\xc3")),  # fork, without libc
    "sysenter": (ENDED, _machine_code(b"\xb8\x02\x00\x00\x00\x0f\x34\xc3")),
    "x32_fork": (("denied", "error"), _RAW + "\ncall(0x40000000 + 57)\noutput = 'HOLE'\n"),
    "number_out_of_range": (EITHER, _refused("call(10**6)", "call(512)", "call(547)", "call(335)", "call(2**31 - 1)")),
    "clone3_and_vfork": (EITHER, _refused("call(435, (ctypes.c_ulong * 11)(0x4000, 0, 0, 0, 17), 88)", "libc.vfork()")),
    "clone_untraced": (EITHER, _refused("call(56, 0x00800011, 0, 0, 0, 0)", "call(56, 0x00008011, 0, 0, 0, 0)")),
    "clone_files": (EITHER, _refused("call(56, 0x00000611, 0, 0, 0, 0)", "call(56, 0x00012011, 0, 0, 0, 0)")),
    "privileged_instruction": (WRONG, _machine_code(b"\xfa\xf4\xc3")),
    "endless_instruction": (SLOW, _machine_code(b"\xeb\xfe")),
    "old_aio": (EITHER, _refused("call(206, 8, ctypes.byref(ctypes.c_ulong()))", "call(425, 1, 0)", "call(427, 1, 0, 0, 0)")),
    "splicing": (EITHER, _refused("call(275, 0, 0, 1, 0, 10, 0)", "call(276, 0, 1, 10, 0)", "call(278, 1, 0, 0, 0)", "call(40, 1, 0, 0, 10)")),
    "shared_pages": (EITHER, _refused("call(440, 3, 0, 0, 20, 0)", "call(447, 0)", "call(451, 3, 0, 0, 0)", "call(216, 0, 0, 0, 0, 0)")),
    "protection_keys": (EITHER, _refused("call(330, 0, 0)", "call(158, 0x1002, 4096)", "call(154, 0, 0, 0)")),
    "timers_of_the_kernel": (EITHER, _refused("call(222, 0, 0, ctypes.byref(ctypes.c_int()))", "call(283, 0, 0)", "call(289, -1, ctypes.byref(ctypes.c_ulong()), 8, 0)")),
    "signals_by_queue": (EITHER, _refused("call(129, os.getppid(), 9, ctypes.create_string_buffer(128))", "call(200, os.getppid(), 9)", "call(234, os.getppid(), os.getppid(), 9)")),
    "kill_oneself": (EITHER, _refused("call(62, os.getpid(), 9)", "call(234, os.getpid(), os.getpid(), 9)")),
    "group_and_session": (EITHER, _refused("call(112)", "call(109, 0, 0)")),
    "identity": (EITHER, _refused("call(105, 1)", "call(106, 1)", "call(117, 1, 1, 1)", "call(116, 0, 0)", "call(126, ctypes.create_string_buffer(12), 0)")),
    "scheduling": (EITHER, _refused("call(144, 0, 1, b'\\1\\0\\0\\0')", "call(314, 0, ctypes.create_string_buffer(64), 0)", "call(141, 0, 0, -20)", "call(251, 1, 0, 0)")),
    "handles_of_files": (EITHER, _refused("call(304, -100, ctypes.create_string_buffer(64), 0)", "call(428, -100, b'/', 0)", "call(430, b'proc', 0)", "call(429, 3, b'', -100, b'/', 4)")),
    "landlock_undone": (EITHER, _refused("call(444, ctypes.create_string_buffer(24), 24, 0)", "call(446, 0, 0)", "call(161, b'.')", "call(155, b'.', b'.')")),
    "watching_others": (EITHER, _refused("call(312, os.getppid(), os.getpid(), 0, 0, 0)", "call(298, ctypes.create_string_buffer(128), 0, -1, -1, 0)", "call(311, os.getppid(), 0, 0, 0, 0, 0)", "call(279, os.getppid(), 0, 0, 0, 0)")),
    # other processes through the file system
    "memory_of_the_server": ((*WRONG, "denied"), "import os\nwith open(f'/proc/{os.getppid()}/mem', 'rb') as f:\n    f.seek(4096 * 4096)\n    output = 'HOLE'"),
    "own_memory_file": ((*EITHER, "denied"), "import ctypes\nx = ctypes.c_int(7)\nwith open('/proc/self/mem', 'r+b', 0) as f:\n    f.seek(ctypes.addressof(x))\n    f.write(b'\\1')\noutput = 'HOLE'"),
    "descriptors_of_others": ((*EITHER, "denied"), "import os\nfound = []\nfor pid in (1, os.getppid()):\n    for fd in range(64):\n        try:\n            found.append(os.open(f'/proc/{pid}/fd/{fd}', os.O_RDWR))\n        except OSError:\n            pass\noutput = 'HOLE' if found else 'refused'"),
    "results_of_neighbours": (EITHER, "import os\nfound = []\nfor pid in range(1, 5000):\n    for fd in (1, 3, 16, 17, 20):\n        try:\n            found.append(open(f'/proc/{pid}/fd/{fd}', 'rb').read(10))\n        except OSError:\n            pass\nfound = [f for f in found if f]\noutput = 'HOLE' if found else 'refused'"),
    "module_on_disk": (EITHER, _raised("import json\nopen(json.__file__, 'r+b').write(b'x')")),
    "bytecode_cache": (EITHER, _raised("import json\nopen(json.__cached__, 'r+b').write(b'x')")),
    "lock_files": (EITHER, _raised("import fcntl, json\nf = open(json.__file__)\nfcntl.flock(f, fcntl.LOCK_EX)")),
    "extended_attributes": (EITHER, _raised("import json\nos.setxattr(json.__file__, 'user.caco', b'x')")),
    "times_and_owners": (EITHER, _raised("import json\nos.utime(json.__file__, (0, 0))")),
    "change_root": (EITHER, _raised("os.chroot('/')")),
    "hard_link": (EITHER, _raised("import json\nos.link(json.__file__, '/tmp/caco_hostile_link')")),
    "fifo": (EITHER, _raised("os.mkfifo('/tmp/caco_hostile_fifo')")),
    "device_node": (EITHER, _raised("os.mknod('/tmp/caco_hostile_dev', 0o20666, os.makedev(1, 3))")),
    "temporary_in_memory": (EITHER, _raised("open('/dev/shm/caco_hostile', 'xb')")),
    "mounted_device": (EITHER, _raised("open('/dev/mem', 'r+b')")),
    # the files that carry the result
    "stdout_over_result": (EITHER, "import os\nos.dup2(1, 3)\nprint('x')\noutput = 1"),
    "result_over_stdout": (EITHER, "import os\nos.dup2(3, 1)\nprint('x' * 100)\noutput = 1"),
    "pipe_over_result": (EITHER, "import os\nr, w = os.pipe()\nos.dup2(w, 3)\noutput = 1"),
    "full_pipe_over_result": (WRONG + SLOW, "import os\nr, w = os.pipe()\nos.set_blocking(w, False)\ntry:\n    while True:\n        os.write(w, bytes(4096))\nexcept BlockingIOError:\n    pass\nos.set_blocking(w, True)\nos.dup2(w, 3)\noutput = 1"),
    "file_over_result": (WRONG, "import os, json\nos.dup2(os.open(json.__file__, os.O_RDONLY), 3)\noutput = 1"),
    "append_only": (EITHER, "import fcntl\nfor fd in (1, 3):\n    fcntl.fcntl(fd, fcntl.F_SETFL, 0o2000)\nprint('x')\noutput = 1"),
    "sealed_files": (EITHER, _refused(*[f"libc.fcntl({fd}, 1033, {seal})" for fd in (1, 3) for seal in (1, 2, 4, 8)])),
    "mapped_result": (EITHER + LARGE, "import mmap, os\nos.ftruncate(3, 1 << 20)\nm = mmap.mmap(3, 1 << 20)\nm[:] = b'\\xff' * (1 << 20)\noutput = 1"),
    "mapped_stdout": (EITHER + LARGE, "import mmap, os\nos.ftruncate(1, 1 << 20)\nm = mmap.mmap(1, 1 << 20)\nm[:] = b'\\n' * (1 << 20)\noutput = 1"),
    "written_to_every_descriptor": (EITHER + LARGE, "import os\nfor fd in range(256):\n    for _ in range(20):\n        try:\n            os.write(fd, b'{\"status\": \"ok\"}' * 1000)\n        except OSError:\n            break\noutput = 1"),
    "stderr_flood": (PLAIN, "import sys, os\nfor _ in range(64):\n    sys.stderr.write('FLOOD' * 10000)\n    os.write(2, b'FLOOD' * 10000)\noutput = 1"),
    "descriptors_used_up": (EITHER, "import os\ntry:\n    while True:\n        os.pipe()\nexcept OSError as e:\n    n = e.errno\noutput = n"),
    "socket_buffers": (ENDED, "import socket\nkept = []\ntry:\n    while True:\n        a, b = socket.socketpair()\n        kept += [a, b]\n        a.setblocking(False)\n        while True:\n            try:\n                a.send(bytes(65536))\n            except BlockingIOError:\n                break\nexcept OSError:\n    pass\noutput = len(kept)"),
    # limits and clocks
    "cpu_limit_as_suicide": (SLOW + WRONG, "import resource, signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\nresource.setrlimit(resource.RLIMIT_CPU, (1, 1))\nwhile True:\n    pass"),
    "no_room_for_files": (EITHER + LARGE, "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\nprint('x')\noutput = 1"),
    "no_room_for_memory": (ENDED, "import resource\nresource.setrlimit(resource.RLIMIT_AS, (1, 1))\noutput = [str(i) for i in range(4000)]"),
    "no_descriptors": (EITHER, "import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))\nprint('x')\noutput = 1"),
    "alarm_left_on": (WRONG, "import signal, time\nsignal.alarm(1)\ntime.sleep(60)"),
    "handler_for_everything": (SLOW, "import signal\nfor n in range(1, 65):\n    try:\n        signal.signal(n, lambda *a: None)\n    except (OSError, ValueError):\n        pass\nwhile True:\n    pass"),
    "all_signals_blocked": (SLOW, "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))\nwhile True:\n    pass"),
    "handler_that_raises": (ENDED, "import signal\ndef stop(*a):\n    raise RuntimeError('late')\nsignal.signal(signal.SIGALRM, stop)\nsignal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)\noutput = list(range(3000))\nsum(i for i in range(10**5))"),
    "handler_while_encoding": (ENDED, "import signal, os\nclass Slow:\n    def __repr__(self):\n        signal.signal(signal.SIGALRM, lambda *a: os._exit(0))\n        signal.setitimer(signal.ITIMER_REAL, 0.01, 0)\n        while True:\n            pass\noutput = Slow()"),
    "threads_that_burn": (SLOW, "import threading\ndef burn():\n    while True:\n        sum(range(1000))\nfor _ in range(8):\n    threading.Thread(target=burn, daemon=True).start()\nburn()"),
    "burning_behind_the_end": (EITHER, "import threading\ndef burn():\n    while True:\n        pass\nfor _ in range(4):\n    threading.Thread(target=burn, daemon=True).start()\noutput = 1"),
    "thread_that_is_no_daemon": (EITHER, "import threading, time\nthreading.Thread(target=time.sleep, args=(3600,)).start()\noutput = 1"),
    "thread_exits_process": (WRONG, "import threading, os, time\nthreading.Thread(target=lambda: (time.sleep(0.05), os._exit(0))).start()\nwhile True:\n    pass"),
    "deadlock": (SLOW, "import threading\na = threading.Lock()\na.acquire()\na.acquire()\noutput = 1"),
    "sleep_in_repr": (SLOW, "import time\nclass K:\n    def __repr__(self):\n        time.sleep(3600)\noutput = K()"),
    "reading_a_pipe_for_ever": (SLOW, "import os\nr, w = os.pipe()\nos.read(r, 1)"),
    "regular_expression": (SLOW, "import re\noutput = re.match('(a+)+$', 'a' * 60 + 'b')"),
    "long_call_in_c": (SLOW, "output = sum(iter(int, 1))"),
    # memory
    "map_without_reserve": (ENDED, "import mmap\nkept = []\ntry:\n    while True:\n        kept.append(mmap.mmap(-1, 1 << 30, flags=0x4000 | 0x22))\nexcept (OSError, ValueError, MemoryError):\n    pass\noutput = len(kept) if len(kept) < 4 else 'HOLE'"),
    "locked_memory": (EITHER, _refused("libc.mlockall(3)", "call(325, 0, 4096, 1)")),
    "c_stack": (EITHER, "import ctypes, sys\nsys.setrecursionlimit(10**8)\nf = None\ntype = ctypes.CFUNCTYPE(ctypes.c_int)\ndef g():\n    return f()\nf = type(g)\nf()"),
    "sort_with_growing_list": ((*EITHER, "memory"), "a = []\nclass K:\n    def __lt__(self, o):\n        a.append(1)\n        return True\na += [K() for _ in range(50)]\ntry:\n    a.sort()\nexcept ValueError:\n    pass\noutput = 1"),
    "big_hash_table": (("memory", "timeout", "error"), "d = {}\ni = 0\nwhile True:\n    d[i] = bytes(1000)\n    i += 1"),
    "cycle_garbage": (ENDED, "import gc\ngc.disable()\nwhile True:\n    a = [0] * 10000\n    a.append(a)"),
    # the interpreter around the program
    "at_exit": (PLAIN, "import atexit, os\natexit.register(os._exit, 3)\natexit.register(print, 'late')\noutput = 1"),
    "destructor_at_the_end": (PLAIN, "class K:\n    def __del__(self):\n        while True:\n            pass\nk = K()\noutput = 1"),
    "weak_finaliser": (PLAIN, "import weakref, os\nclass K:\n    pass\nk = K()\nweakref.finalize(k, os._exit, 5)\noutput = 1"),
    "trace_left_on": (ENDED, "import sys\ndef trace(frame, event, arg):\n    for name in list(frame.f_locals):\n        frame.f_locals[name] = None\n    raise RuntimeError('traced')\nsys.settrace(trace)\noutput = 1"),
    "profile_left_on": (ENDED, "import sys\nsys.setprofile(lambda *a: (_ for _ in ()).throw(SystemExit(0)))\noutput = [1, 2]"),
    "import_hook": (EITHER, "import sys, builtins\nbuiltins.__import__ = lambda *a, **k: None\nsys.meta_path.insert(0, None)\nsys.path_hooks.clear()\noutput = 1"),
    "modules_replaced": (EITHER, "import sys\nclass D(dict):\n    def get(self, *a):\n        raise KeyError(a)\nsys.modules = D()\noutput = object()"),
    "module_attributes": (EITHER, "import sys, os, marshal, types\nfor m in (os, marshal, types):\n    for n in list(vars(m)):\n        try:\n            setattr(m, n, None)\n        except Exception:\n            pass\noutput = 1"),
    "sys_emptied": (ENDED, "import sys\nfor n in list(vars(sys)):\n    try:\n        delattr(sys, n)\n    except Exception:\n        pass\noutput = 1"),
    "harness_replaced": (EITHER, "import sys\nf = sys._getframe(1)\nwhile f is not None:\n    h = f.f_locals.get('self') or f.f_locals.get('harness')\n    if hasattr(h, 'encoder'):\n        h.encoder = None\n        h.restore = lambda: 1 / 0\n        h.stdout = None\n    f = f.f_back\noutput = 1"),
    "encoder_lies": (EITHER, "import sys\nf = sys._getframe(1)\nwhile f is not None:\n    h = f.f_locals.get('self')\n    if hasattr(h, 'encoder'):\n        h.encoder.encode = lambda v: '{\"$int\":\"9\\ud800'\n    f = f.f_back\noutput = 1"),
    "encoder_not_text": (EITHER, "import sys\nf = sys._getframe(1)\nwhile f is not None:\n    h = f.f_locals.get('self')\n    if hasattr(h, 'encoder'):\n        h.encoder.encode = lambda v: 7\n    f = f.f_back\noutput = 1"),
    "stdout_closed": (EITHER, "import sys\nprint('x')\nsys.stdout.close()\noutput = 1"),
    "stdout_detached": (EITHER, "import sys\nsys.stdout.detach()\noutput = 1"),
    "stdout_reconfigured": (PLAIN, "import sys\nsys.stdout.reconfigure(encoding='utf-16')\nprint('x')\noutput = 1"),
    "stdout_replaced": (EITHER, "import sys\nclass F:\n    def write(self, t):\n        raise SystemExit(0)\n    flush = write\nsys.stdout = F()\noutput = 1"),
    "exit_with_object": (EITHER, "class C:\n    def __eq__(self, o):\n        return True\n    def __hash__(self):\n        return 0\noutput = 1\nraise SystemExit(C())"),
    "exit_subclass": (WRONG, "class E(SystemExit):\n    @property\n    def code(self):\n        raise RuntimeError\nraise E(0)"),
    "interrupt": (WRONG, "output = 1\nraise KeyboardInterrupt"),
    "generator_exit": (WRONG, "output = 1\nraise GeneratorExit"),
    "exception_that_hangs": (SLOW + WRONG, "class E(Exception):\n    def __str__(self):\n        while True:\n            pass\nraise E"),
    "exception_without_trace": (WRONG, "class E(Exception):\n    @property\n    def __traceback__(self):\n        raise SystemExit(0)\n    @property\n    def __class__(self):\n        raise SystemExit(0)\nraise E"),
    "exception_number_lies": (WRONG, "class E(OSError):\n    @property\n    def errno(self):\n        raise SystemExit(0)\nraise E(1, 'x')"),
    "claims_a_full_disk": (WRONG, "raise OSError(28, 'No space left on device')"),
    "claims_a_full_table": (WRONG, "def f():\n    raise OSError(23, 'Too many open files in system')\nf()"),
    "exception_group": (WRONG, "e = ValueError(1)\nfor _ in range(500):\n    e = ExceptionGroup('g', [e])\nraise e"),
    "unhashable_exception": (WRONG, "class E(Exception):\n    __hash__ = None\n    def __eq__(self, o):\n        raise E\nraise E from E()"),
    # values that lie when they are written out
    "module_as_output": (PLAIN, "import math\noutput = [math, type, print, ..., NotImplemented]"),
    "endless_iterator": (PLAIN, "import itertools\noutput = itertools.count()"),
    "generator_with_effects": (PLAIN, "def g():\n    while True:\n        yield print('x')\noutput = g()"),
    "self_reference_by_dict": (LARGE + WRONG, "d = {}\nd['d'] = d\noutput = d"),
    "set_of_hostile_hashes": (ENDED, "class K:\n    def __hash__(self):\n        return 1\n    def __eq__(self, o):\n        return False\n    def __repr__(self):\n        return 'K'\noutput = {K() for _ in range(500)}"),
    "equal_to_everything": (PLAIN, "class K:\n    def __eq__(self, o):\n        return True\n    def __bool__(self):\n        raise SystemExit(0)\n    __hash__ = object.__hash__\noutput = [K()]"),
    "float_subclass": (PLAIN, "class F(float):\n    def __repr__(self):\n        return 'NaN'\n    def __sub__(self, o):\n        raise SystemExit(1)\noutput = F(1)"),
    "odd_floats": (PLAIN, "output = [float('nan'), -float('inf'), -0.0, 5e-324, 1.7976931348623157e308, 1e22, complex('nan-infj')]"),
    "fraction_of_objects": (EITHER, "from fractions import Fraction\nclass N(int):\n    def bit_length(self):\n        return 0\n    def __repr__(self):\n        return '\"]}'\nf = Fraction(1, 3)\nf._numerator = N(7)\noutput = f"),
    "decimal_extremes": (PLAIN, "from decimal import Decimal\noutput = [Decimal('1E+999999999999999999'), Decimal('sNaN123'), Decimal('-0E-20'), Decimal('-Infinity')]"),
    "recursive_repr": (EITHER, "class K:\n    def __repr__(self):\n        return repr(self)\noutput = K()"),
    "repr_of_another_type": (EITHER, "class K:\n    def __repr__(self):\n        return 7\n    __str__ = __repr__\noutput = K()"),
    "deep_recursion_in_eq": (EITHER, "class K:\n    def __eq__(self, o):\n        return self == o\n    def __hash__(self):\n        return hash(self)\noutput = 1\ntry:\n    {K(): 1}\nexcept RecursionError:\n    output = 2"),
    "metaclass_that_hangs": (SLOW + EITHER, "class M(type):\n    @property\n    def __module__(cls):\n        while True:\n            pass\n    @property\n    def __mro__(cls):\n        return ()\nclass K(metaclass=M):\n    pass\noutput = K()"),
    "class_renamed": (PLAIN, "K = type('K', (), {'__module__': 'sympy.core.\\ud800', '__qualname__': '\"}'})\noutput = K()"),
    "namedtuple_of_itself": (PLAIN, "from collections import namedtuple\nP = namedtuple('P', 'x y')\noutput = P(P(1, 2), [P('a', None)])"),
    "ordered_nest": (EITHER + LARGE, "from collections import OrderedDict\nd = OrderedDict()\nfor _ in range(10**5):\n    d = OrderedDict(a=d)\noutput = d"),
    "text_of_controls": (PLAIN, "output = ''.join(map(chr, range(0x110))) + '\\u2028\\u202e\\ufeff\\U0010ffff\\udcff'\nprint(output.encode('utf-8', 'replace'))"),
    "terminal_codes": (PLAIN, "print('\\x1b]0;pwned\\x07\\x1b[2J\\x9b31m\\r\\b\\b', end='')\noutput = '\\x1b[0m'"),
    "huge_key": (LARGE, "output = {'k' * 10**6: 1}"),
    "key_of_digits": (LARGE, "output = {10**30_000: 1}"),
    "a_million_empties": (LARGE, "output = [[] for _ in range(10**6)]"),
    "dates": (PLAIN, "import datetime, uuid, pathlib, array\noutput = [datetime.datetime(1, 1, 1), uuid.UUID(int=5), pathlib.PurePath('/a'), array.array('i', [1])]"),
    # numpy and sympy
    "numpy_empty_but_long": (LARGE, "import numpy as np\noutput = np.zeros((0, 10**18))"),
    "numpy_broadcast": (LARGE, "import numpy as np\noutput = np.broadcast_to(np.int64(1), (10**12,))"),
    "numpy_structured": (PLAIN, "import numpy as np\noutput = [np.array([(1, 'a')], dtype=[('x', 'i4'), ('\"}', 'U3')]), np.zeros(2, 'datetime64[s]'), np.void(b'ab')]"),
    "numpy_of_itself": (EITHER + LARGE, "import numpy as np\na = np.empty(1, object)\na[0] = a\noutput = a"),
    "numpy_subclass": (PLAIN, "import numpy as np\nclass A(np.ndarray):\n    def ravel(self):\n        raise SystemExit(0)\n    def __repr__(self):\n        return 'A'\noutput = np.zeros(2).view(A)"),
    "numpy_odd_kinds": (PLAIN, "import numpy as np\noutput = [np.float16('nan'), np.longdouble(1) / 3, np.array(5), np.complex64(1j), np.bool_(True), np.str_('\\x00'), np.array([]), np.ma.array([1], mask=[1])]"),
    "numpy_wild_memory": (WRONG, "import numpy as np\na = np.lib.stride_tricks.as_strided(np.zeros(1), (1 << 40,), (1 << 20,))\noutput = float(a[1 << 30])"),
    "sympy_printer": (SLOW, "import sympy\nclass S(sympy.Symbol):\n    def _sympystr(self, p):\n        while True:\n            pass\noutput = S('x')"),
    "sympy_code_in_text": (ENDED, "import sympy\noutput = sympy.sympify('__import__(\"os\").fork()')"),
    "sympy_name": (PLAIN, "import sympy\noutput = sympy.Symbol('\"}\\n\\x00') + sympy.Function('__import__')(1)"),
    "sympy_integer_changed": (EITHER, "import sympy\nn = sympy.Integer(10**6)\nn.p = 'x'\noutput = n"),
    "sympy_huge_power": (ENDED, "import sympy\noutput = sympy.Integer(3) ** (10**9)"),
    # sources
    "utf16_cookie": (EITHER, "# -*- coding: utf-16 -*-\ninput = {'n': 1}\noutput = 1"),
    "byte_order_marks": (EITHER, "\ufeff\ufeffoutput = 1"),
    "form_feeds": (EITHER, "\x0cif 1:\n\x0c    output = 1\n\x0b"),
    "carriage_returns": (EITHER, "output = 1\rx = 2\r\n\r\routput = 3"),
    "tabs_and_spaces": (WRONG, "if 1:\n\tx = 1\n        y = 2\noutput = 1"),
    "null_in_a_comment": (WRONG, "# \0\noutput = 1"),
    "end_of_file_mark": (EITHER, "output = 1\n\x1a"),
    "line_continuation": (EITHER, "output = 1" + " + \\\n1" * 8000),
    "parentheses": (WRONG, "output = " + "(" * 30_000 + "1" + ")" * 30_000),
    "huge_f_string": (ENDED, "x = 1\noutput = f'" + "{x}" * 15_000 + "'"),
    "nested_f_strings": (EITHER, "output = " + "f'{" * 150 + "1" + "}'" * 150),
    "huge_number": (ENDED, "output = " + "9" * 60_000),
    "many_names": (ENDED, "\n".join(f"a{n} = {n}" for n in range(5000)) + "\noutput = 1"),
    "many_arguments": (ENDED, "def f(" + ", ".join(f"a{n}" for n in range(6000)) + "):\n    return a1\noutput = f(*range(6000))"),
    "one_long_chain": (EITHER, "x = 1\noutput = " + " if x else ".join(["x"] * 3000)),
    "comparison_chain": (EITHER, "output = " + " < ".join(map(str, range(8000)))),
    "many_decorators": (EITHER, "d = lambda f: f\n" + "@d\n" * 8000 + "def f():\n    pass\noutput = 1"),
    "match_statement": (PLAIN, "match {'a': [1, 2]}:\n    case {'a': [x, *_]} if (y := x):\n        output = y"),
    "nested_match": (EITHER, "match 1:\n    case " + "[" * 3000 + "x" + "]" * 3000 + ":\n        pass\noutput = 1"),
    "walrus_input": (EITHER, "(input := {'n': 1})\noutput = input['n']"),
    "future_flags": (EITHER, "from __future__ import annotations, barry_as_FLUFL\nif 1 <> 2:\n    output = 1"),
    "future_unknown": (WRONG, "from __future__ import braces"),
    "confusable_names": (EITHER, "ｉｎｐｕｔ = {'n': 1}\noutput = ｉｎｐｕｔ['n']"),
    "private_code_object": (WRONG + EITHER, "import types\nf = lambda: 1\nc = f.__code__.replace(co_code=b'\\xff\\x00' * 50, co_stacksize=0)\nexec(c)\noutput = 1"),
    "marshalled_nonsense": (ENDED, "import marshal, os\nfor n in range(2000):\n    try:\n        marshal.loads(bytes((n * k) % 251 for k in range(1, 40)))\n    except Exception:\n        pass\noutput = 1"),
    "unpickled_system": ((*EITHER, "denied"), "import pickle\noutput = pickle.loads(b'cos\\nfork\\n(tR.')"),
    "interned_and_freed": (ENDED, "import ctypes\nx = 'caco'\nctypes.memset(id(x), 0, 64)\noutput = x"),
    "small_ints_changed": (ENDED, "import ctypes\nctypes.c_long.from_address(id(7) + 24).value = 9\noutput = [7, 3 + 4]"),
    "none_freed": (ENDED, "import ctypes\nctypes.c_long.from_address(id(None)).value = 1\nx = None\ndel x\noutput = None"),
}  # fmt: skip
