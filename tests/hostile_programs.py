"""Hostile programs of kinds that the shared corpus does not have: name -> (accepted statuses, program).

A program that finds its attack refused ends in an exception or prints `refused`; one that gets through prints `HOLE`.
"""

_RAW = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
def call(*args):
    return libc.syscall(*[ctypes.c_long(a) if isinstance(a, int) else a for a in args])
"""


def _refused(*calls: str) -> str:
    body = "\n".join(f"found.append(({call}) >= 0)" for call in calls)
    return f"{_RAW}\nfound = []\n{body}\noutput = 'HOLE' if any(found) else 'refused'\n"


ENDED = ("ok", "error", "denied", "memory", "timeout", "output_limit")

PROGRAMS: dict[str, tuple[tuple[str, ...], str]] = {
    # system calls that are no part of any list of "dangerous" ones, by number (x86-64)
    "io_uring": (("ok", "error"), _refused("call(425, 8, ctypes.create_string_buffer(256))")),
    "userfaultfd": (("ok", "error"), _refused("call(323, 0)")),
    "ptrace": (("ok", "error"), _refused("call(101, 0, 0, 0, 0)", "call(101, 16, os.getppid(), 0, 0)")),
    "process_vm": (("ok", "error"), _refused("call(310, os.getppid(), 0, 0, 0, 0, 0)")),
    "keyctl": (("ok", "error"), _refused("call(250, 0, -3, 1)", "call(248, b'user', b'a', b'b', 1, -3)")),
    "bpf_perf": (("ok", "error"), _refused("call(321, 0, ctypes.create_string_buffer(128), 72)")),
    "mounts": (("ok", "error"), _refused("libc.mount(b'none', b'/', b'tmpfs', 0, None)", "libc.unshare(0x10000000)")),
    "personality": (("ok", "error"), _refused("call(135, 0x0040000)")),
    "sysv_ipc": (("ok", "error"), _refused("call(29, 1234, 4096, 0o1666)", "call(64, 1234, 1, 0o1666)", "call(68, 1, 512)")),
    "posix_mq": (("ok", "error"), _refused("call(240, b'caco', 66, 384, 0)")),
    "prctl": (("ok", "error"), _refused("libc.prctl(1, 0, 0, 0, 0)", "libc.prctl(4, 0, 0, 0, 0)", "libc.prctl(36, 1, 0, 0, 0)")),
    "more_seccomp": (("ok", "error"), _refused("call(317, 1, 8, ctypes.create_string_buffer(64))")),
    "pidfd": (("ok", "error"), _refused("call(434, os.getppid(), 0)", "call(434, 1, 0)", "call(438, 3, 1, 0)")),
    "signals": (("ok", "error"), _refused(*[f"libc.kill({pid}, {number})" for pid in ("1", "os.getppid()", "-1", "0") for number in (0, 9, 19)])),
    "namespaced_clone": (("ok", "error"), _refused("call(56, 0x10000011, 0, 0, 0, 0)", "call(435, ctypes.create_string_buffer(88), 88)")),
    "thread_with_namespace": (("ok", "error"), _refused("call(56, 0x10000000 | 0x10f00, 0, 0, 0, 0)")),
    "memfd": (("ok", "error"), _refused("call(319, b'x', 0)", "call(319, b'x', 2)")),
    "exec_at": (("ok", "error"), _refused("call(322, -100, b'/bin/true', 0, 0, 0)", "call(59, b'/bin/true', 0, 0)")),
    "vfork": (("ok", "error"), _refused("call(58)", "call(57)")),
    "file_leases": (("ok", "error"), _refused("libc.fcntl(1, 1024, 0)", "libc.fcntl(1, 8, os.getpid())", "libc.fcntl(1, 1033, 15)")),
    "sticky_flags": (("ok", "error"), _refused("libc.fcntl(1, 4, 0o40000)")),
    "terminal": (("ok", "error"), _refused("libc.ioctl(0, 0x5412, b'x')", "libc.ioctl(1, 0x5412, b'x')")),
    "others_limits": (("ok", "error"), _refused("call(302, os.getppid(), 7, 0, ctypes.create_string_buffer(16))", "call(302, 1, 0, 0, ctypes.create_string_buffer(16))")),
    "others_affinity": (("ok", "error"), _refused("call(203, os.getppid(), 8, b'\\1' * 8)", "call(203, 1, 8, b'\\1' * 8)")),
    "clock_set": (("ok", "error"), _refused("call(227, 0, b'\\0' * 16)", "call(159, ctypes.create_string_buffer(208))")),
    "names": (("ok", "error"), _refused("libc.sethostname(b'x', 1)", "call(161, b'/')", "call(166, b'/', 0)")),
    "message_passing": (("ok", "error"), _refused("call(46, 1, ctypes.create_string_buffer(64), 0)")),
    "fanotify_inotify": (("ok", "error"), _refused("call(300, 0, 0)", "call(294, 0)")),
    "kernel_modules": (("ok", "error"), _refused("call(175, b'x', 1, b'')", "call(246, 0, 0, 0, 0)", "call(169, 0xfee1dead, 672274793, 0x1234567, 0)")),
    "x32_numbers": (("error", "denied"), _RAW + "\ncall(0x40000000 + 39)\noutput = 'HOLE'\n"),
    "int_0x80": (
        ("error", "denied"),
        _RAW + "\nimport mmap\nm = mmap.mmap(-1, 4096, prot=7)\nm.write(b'\\xb8\\x14\\0\\0\\0\\xcd\\x80\\xc3')\n"
        "f = ctypes.CFUNCTYPE(ctypes.c_long)(ctypes.addressof(ctypes.c_char.from_buffer(m)))\nf()\noutput = 'HOLE'\n",
    ),
    # files
    "proc_tricks": (("denied", "error"), "output = open('/proc/1/root/etc/passwd').read() + 'HOLE'"),
    "symlink_out": (("denied", "error"), "import os\nos.symlink('/etc/passwd', 'a')\noutput = open('a').read() + 'HOLE'"),
    "dev_kmsg": (("denied", "error"), "open('/dev/kmsg', 'w').write('x')\noutput = 'HOLE'"),
    "dev_shm": (("denied", "error"), "open('/dev/shm/caco_hostile', 'w').write('x')\noutput = 'HOLE'"),
    "inodes": (("denied", "error"), "import os\nfor i in range(10**5):\n    os.mkdir(f'/tmp/caco_hostile_{i}')\noutput = 'HOLE'"),
    "cgroups": (("denied", "error"), "import os\nos.mkdir('/sys/fs/cgroup/caco_hostile')\noutput = 'HOLE'"),
    "oom_score": (("denied", "error"), "open('/proc/self/oom_score_adj', 'w').write('-1000')\noutput = 'HOLE'"),
    "list_homes": (("denied", "error"), "import os\noutput = os.listdir('/home') + os.listdir('/root') + ['HOLE']"),
    "null_device": (("ok",), "f = open('/dev/null', 'w')\nprint('x', file=f)\nf.close()\noutput = 'fine'"),
    # descriptors
    "facts_pipe": (("ok", "error"), "import os\nfor fd in range(4, 300):\n    try:\n        os.write(fd, b'x' * 9)\n        os.read(fd, 1)\n    except OSError:\n        pass\noutput = 1"),
    "forged_exit": (("error",), "import os, struct\nparts = [b'ok', b'', b'', b'666', b'666']\nhead = struct.pack('<6I', *map(len, parts), 0)\nos.lseek(3, 0, 0)\nos.write(3, bytes(16) + head + b''.join(parts))\nos._exit(0)"),
    "forged_by_nonce": (("error",), "import os, struct, sys\nframe = sys._getframe()\nwhile frame and 'nonce' not in frame.f_locals:\n    frame = frame.f_back\nparts = [b'unscreened', b'', b'', b'', b'']\nos.pwrite(3, frame.f_locals['nonce'] + struct.pack('<6I', *map(len, parts), 0) + b''.join(parts), 0)\nos._exit(0)"),
    "truncate_results": (("ok", "error", "output_limit"), "import os\nos.ftruncate(3, 1 << 19)\nos.lseek(3, 1 << 19, 0)\noutput = 1"),
    "sparse_stdout": (("output_limit", "error"), "import os\nos.ftruncate(1, 1 << 40)\noutput = 1"),
    "coredump": (("error",), "import os, resource\nresource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY,) * 2)\nos.abort()"),
    # the interpreter that encodes the result
    "own_builtins": (("ok", "error"), "import builtins\nfor n in list(vars(builtins)):\n    if n not in ('__import__',):\n        try:\n            setattr(builtins, n, None)\n        except BaseException:\n            pass\noutput = 1"),
    "audit_hook": (ENDED, "import sys\ndef hook(*a):\n    raise RuntimeError('no')\nsys.addaudithook(hook)\noutput = 1"),
    "gc_callback": (("ok", "error", "timeout"), "import gc\ndef loop(*a):\n    raise SystemExit(0)\ngc.callbacks.append(loop)\ngc.set_threshold(1)\noutput = [1, 2]"),
    "frames": (("ok", "error"), "import sys\nf = sys._getframe()\nwhile f.f_back:\n    f = f.f_back\n    f.f_locals.clear()\n    f.f_globals.clear()\noutput = 1"),
    "main_module": (("ok", "error"), "import sys\nsys.modules['__main__'] = None\nsys.modules.pop('json', None)\noutput = 1"),
    "threads_during_encoding": (("ok", "error", "output_limit"), "import threading\noutput = [0]\ndef grow():\n    while True:\n        output.append(len(output))\nthreading.Thread(target=grow, daemon=True).start()\nimport time\ntime.sleep(0.01)"),
    "subclass_int": (("ok", "error"), "class N(int):\n    def __repr__(self):\n        return '\"}'\n    __str__ = __repr__\noutput = N(3)"),
    "subclass_str": (("ok", "error"), "class S(str):\n    def encode(self, *a):\n        return b'\\xff'\n    def __len__(self):\n        return 0\noutput = S('a')"),
    "subclass_dict": (("ok", "error"), "class D(dict):\n    def items(self):\n        while True:\n            yield 1, 2\n    def __len__(self):\n        return -1\noutput = D(a=1)"),
    "subclass_list": (("ok", "error"), "class L(list):\n    def __iter__(self):\n        while True:\n            yield self\noutput = L([1])"),
    "metaclass": (("ok", "error"), "class M(type):\n    def __getattribute__(cls, n):\n        raise SystemExit(0)\nclass K(metaclass=M):\n    pass\noutput = K()"),
    "lying_class": (("ok", "error"), "class K:\n    @property\n    def __class__(self):\n        return int\noutput = K()"),
    "surrogate_keys": (("ok", "error"), "output = {'\\ud800': '\\udfff', '$int': 'x', '': 1}"),
    "nul_bytes": (("ok",), "output = 'a\\0b'\nprint(output)"),
    "deep_tuple": (("output_limit", "error"), "output = ()\nfor _ in range(10**5):\n    output = (output,)"),
    "huge_digits_in_list": (("output_limit",), "output = [10 ** 30000]"),
    "million_keys": (("output_limit",), "output = {i: i for i in range(10**6)}"),
    "exception_bomb": (("error", "memory"), "class E(Exception):\n    def __str__(self):\n        return 'x' * 10**9\nraise E()"),
    "exception_name": (("error",), "E = type('x' * 10**6 + '\\n:;', (Exception,), {})\nraise E('a')"),
    "exception_chain": (("error", "timeout"), "e = None\nfor i in range(10**5):\n    n = ValueError(i)\n    n.__cause__ = e\n    e = n\nraise e"),
    "f_string_bomb": (("error", "memory", "timeout", "output_limit"), "output = f'{1:>{10**9}}'"),
    "format_bomb": (("error", "memory", "timeout", "output_limit"), "output = '%1000000000d' % 1"),
    "pow_bomb": (("timeout", "memory", "error"), "output = pow(3, 10**9)"),
    "finaliser_exit": (("ok", "error"), "import os\nclass K:\n    def __del__(self):\n        os._exit(0)\nkeep = K()\noutput = 1"),
    "excepthook": (("error",), "import sys, os\nsys.excepthook = lambda *a: os._exit(0)\nraise ValueError('x')"),
    "close_everything": (("ok", "error"), "import os\nos.closerange(0, 300)\nprint('x')\noutput = 1"),
    "signal_self": (ENDED, "import signal\nsignal.raise_signal(signal.SIGKILL)\noutput = 1"),
    "stop_self": (ENDED, "import signal\nsignal.raise_signal(signal.SIGSTOP)\noutput = 1"),
    "timers": (("ok", "error", "timeout"), "import signal\nsignal.setitimer(signal.ITIMER_PROF, 0.001, 0.001)\nfor i in range(10**6):\n    pass\noutput = 1"),
    "raw_threads": (ENDED, "import threading\nthreading.stack_size(32768)\nimport time\nn = 0\ntry:\n    while n < 100000:\n        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n        n += 1\nexcept RuntimeError:\n    pass\noutput = n"),
    "stdin": (("error",), "import sys\noutput = sys.stdin.read() or int('')"),
    "recursion_limit_1": (("ok", "error"), "import sys\ntry:\n    sys.setrecursionlimit(60)\nexcept RecursionError:\n    pass\noutput = [[1]]"),
    "int_limit": (("ok",), "import sys\nsys.set_int_max_str_digits(640)\noutput = 10 ** 3000"),
    "weird_output_name": (("ok", "error"), "globals()['output'] = object\nglobals()['@capture'] = None\ninput = object()"),
    # sources
    "cookie": (("ok", "error"), "# -*- coding: rot13 -*-\noutput = 1"),
    "long_line": (("ok", "error", "timeout"), "output = " + "+".join(["1"] * 20000)),
    "nested_brackets": (("error",), "output = " + "[" * 5000 + "]" * 5000),
    "nested_unary": (("error", "ok"), "output = " + "-" * 20000 + "1"),
    "nested_attributes": (("error", "ok"), "output = a" + ".b" * 20000),
    "nested_functions": (("error", "ok"), "".join("    " * i + f"def f{i}():\n" for i in range(99)) + "    " * 99 + "pass\noutput = 1"),
    "nested_with": (("error", "ok", "timeout"), "with (" * 60 + "1" + ")" * 60 + ": pass"),
    "nested_lambda": (("error", "ok", "timeout"), "output = " + "lambda: (" * 90 + "1" + ")" * 90),
    "bad_dict_nest": (("error", "ok", "timeout"), "output = " + "{1:" * 60 + "}" * 59),
    "null_source": (("error",), "output = 1\0"),
    "surrogate_source": (("error", "ok"), "output = '\ud800'"),
    "gigantic": (("output_limit",), "output = '" + "x" * 10**6 + "'"),
    "empty": (("ok",), ""),
}  # fmt: skip

CANARY = "import math\n\ninput = {'n': 3}\n\ndef solve(n):\n    return math.sqrt(n * n) + len('ab')\n\noutput = solve(**input)\nprint(output)\n"
