"""The coordinator's end of one fork server: start it, send jobs, take its answers apart."""

import importlib.util
import json
import marshal
import os
import socket
import struct
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field

from caco_recipes.sandbox import native
from caco_recipes.sandbox.results import Limits
from caco_recipes.sandbox.warmup import WARM_MODULES, WARM_UP

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "zygote.py")
FRAME = struct.Struct("<I")
REPLY = struct.Struct("<cQiBddQQIII")  # as in zygote.py
RESULT_CAP = 2 << 20


@dataclass(slots=True)
class Reply:
    """A header that the fork server vouches for, and bytes that the program may have forged."""

    kind: str  # R result, I idle, W is it asleep? (its process id in `facts`), F fault (why in `facts`)
    job: int
    wait_status: int
    killed: int
    cpu: float
    wall: float
    peak_kb: int
    stdout_size: int
    facts: bytes = b""
    results: bytes = b""
    stdout: bytes = b""


@dataclass(slots=True)
class Worker:
    """One fork server process. `ready` is None until it reported; `jobs` are those it has not answered yet."""

    kind: str
    process: subprocess.Popen
    control: socket.socket
    started: float
    heard: float = 0.0  # when it last said something, or was given work after none
    ready: dict | None = None
    jobs: dict = field(default_factory=dict)
    parked: set = field(default_factory=set)
    incoming: bytearray = field(default_factory=bytearray)
    outgoing: bytearray = field(default_factory=bytearray)

    @property
    def active(self) -> int:
        return len(self.jobs) - len(self.parked)

    def queue(self, number: int, mode: str, cpu: float, idle: float, rules: bool, sources: list, inputs: list) -> None:
        job = marshal.dumps((number, mode, cpu, idle, rules, sources, inputs))
        self.outgoing += FRAME.pack(len(job)) + job
        self.flush()

    def answer(self, number: int, found: str) -> None:
        """Tells whether a program that the server asked about is "asleep" or "awake"."""
        self.queue(number, found, 0.0, 0.0, False, [], [])

    def flush(self) -> bool:
        """Sends what the socket takes; True when all is sent. A dead server shows on reading, not here."""
        try:
            while self.outgoing:
                del self.outgoing[: self.control.send(self.outgoing[: 1 << 18])]
        except BlockingIOError:
            return False
        except OSError:
            self.outgoing.clear()
        return True

    def receive(self) -> list[bytes] | None:
        """Whole frames that have arrived; None when the server is gone."""
        try:
            data = self.control.recv(1 << 20)
        except BlockingIOError:
            return []
        except OSError:
            return None
        if not data:
            return None
        self.incoming += data
        frames = []
        while len(self.incoming) >= 4:
            (length,) = FRAME.unpack_from(self.incoming)
            if length > 4 * RESULT_CAP:
                return None
            if len(self.incoming) < 4 + length:
                break
            frames.append(bytes(self.incoming[4 : 4 + length]))
            del self.incoming[: 4 + length]
        return frames

    def stop(self, patience: float = 2.0) -> None:
        """Closes the socket, at which the server ends with all it forked; kills it when it does not."""
        self.control.close()
        try:
            self.process.wait(patience)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def split_reply(frame: bytes) -> Reply:
    kind, job, status, killed, cpu, wall, peak, size, facts, results, stdout = REPLY.unpack_from(frame)
    body, at = [], REPLY.size
    for length in (facts, results, stdout):
        body.append(frame[at : at + length])
        at += length
    if kind in (b"F", b"W"):
        body[0] = frame[REPLY.size :]
    return Reply(kind.decode(), job, status, killed, cpu, wall, peak, size, *body)


def start_worker(
    kind: str, isolation: str, limits: Limits, slots: int, at_once: int, seed: int, cores: int, portable: bool
) -> Worker:
    """Executes a fork server for programs of `kind`; it reports over the socket when it is ready. Raises `OSError`."""
    ours, theirs = socket.socketpair()
    loop = loop_file() if not portable else -1
    try:
        process = subprocess.Popen(
            [sys.executable, "-P", "-s", "-B", SCRIPT, str(theirs.fileno())],
            env=environment(seed),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[theirs.fileno(), *([loop] if loop >= 0 else [])],
            start_new_session=True,
        )
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
        if loop >= 0:
            os.close(loop)
    config = asdict(limits) | {
        "isolation": isolation,
        "slots": slots,
        "at_once": at_once,
        "seed": seed,
        "portable": portable,
        "modules": WARM_MODULES[kind],
        "required": [],
        "warm_up": WARM_UP[kind],
        "library_paths": library_paths(),
        "huge_pages": True,
        "native": loop,
        "cores": cores,
        "result_cap": RESULT_CAP,
        # a program that gets less than this share of a core over a while is waiting; one that is starved gets more
        "idle_share": 0.002,
    }
    worker = Worker(kind, process, ours, time.monotonic())
    text = json.dumps(config).encode()
    try:
        ours.sendall(FRAME.pack(len(text)) + text)
    except OSError:
        pass  # it died at once: seen on reading
    ours.setblocking(False)
    return worker


def loop_file() -> int:
    """A memory file with the forker's compiled loop; -1 when there is none."""
    library = native.library()
    if library is None:
        return -1
    try:
        descriptor = os.memfd_create("forker")
        with os.fdopen(os.dup(descriptor), "wb") as file:
            file.write(library)
        return descriptor
    except OSError:
        return -1


def environment(seed: int) -> dict[str, str]:
    """The whole environment of a fork server: nothing of ours leaks, and everything that changes results is pinned."""
    pinned = {
        "PYTHONHASHSEED": str(seed % 2**32),
        "TZ": "UTC",
        "LC_ALL": "C.UTF-8",
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        # the C heap in one piece, which huge pages can lie under; large arrays are still mapped one by one; no heap per
        # thread, of which each would take 64 MB of the address space that a program may have
        "GLIBC_TUNABLES": "glibc.malloc.arena_max=1:glibc.malloc.top_pad=33554432:glibc.malloc.mmap_threshold=2097152:"
        "glibc.malloc.trim_threshold=268435456",
        "SYMPY_USE_CACHE": "yes",
        "SYMPY_CACHE_SIZE": "None",  # without bound: a hit writes no list of recent uses, which would copy its pages
    }
    # where the interpreter's own shared libraries may lie
    kept = {name: os.environ[name] for name in ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH") if name in os.environ}
    return pinned | kept


_library_paths: list[str] | None = None


def library_paths() -> list[str]:
    """Directories that hold sympy, mpmath and numpy when they are not this interpreter's own site-packages."""
    global _library_paths
    if _library_paths is None:
        import sysconfig

        own = {os.path.realpath(sysconfig.get_paths()[name]) for name in ("purelib", "platlib", "stdlib")}
        found = []
        for name in ("sympy", "mpmath", "numpy"):
            spec = importlib.util.find_spec(name)
            if spec is not None and spec.origin:
                place = os.path.realpath(os.path.dirname(os.path.dirname(spec.origin)))
                if place not in own and place not in found:
                    found.append(place)
        _library_paths = found
    return _library_paths
