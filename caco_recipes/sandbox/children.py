"""The fork server's view of a running program: the files it writes to, and how it is watched from outside.

Loaded by the stand-alone fork server. What a program writes is only carried here, never read.
"""

import contextlib
import fcntl
import os
import signal
import struct
import time

FRAME = struct.Struct("<I")
NOT_KILLED, KILLED_CPU, KILLED_IDLE, ASK = 0, 1, 2, 3  # ASK: it looks asleep; the coordinator can tell
WALL_FACTOR = 40  # times the CPU limit, before the coordinator takes the server for stuck
FACTS_BYTES = 256 * 1024


class Slot:
    """One running program's files: the order that it reads, stdout and results, a pipe for facts noted before it ran."""

    def __init__(self, number: int, portable: bool):
        self.number = number
        self.job = high(memory_file("job", portable))
        self.out, self.results = high(memory_file("stdout", portable)), high(memory_file("results", portable))
        self.facts_out, self.facts_in = map(high, os.pipe())
        os.set_blocking(self.facts_out, False)
        os.set_blocking(self.facts_in, False)  # where the pipe can't be made larger a writer must not wait for ever
        try:
            fcntl.fcntl(self.facts_in, 1031, FACTS_BYTES)  # F_SETPIPE_SZ: the writer must never wait
        except OSError:
            pass

    def descriptors(self) -> tuple[int, ...]:
        """In the order of forker.c's `struct slot`."""
        return self.out, self.results, self.job, self.facts_in

    def clear(self) -> None:
        for descriptor in (self.out, self.results):
            os.ftruncate(descriptor, 0)
            os.lseek(descriptor, 0, os.SEEK_SET)

    def fill(self, order: bytes) -> int:
        """Lays the order down; its length."""
        written = 0
        while written < len(order):
            written += os.pwrite(self.job, order[written:], written)
        return written

    def read_results(self, nonce: bytes, cap: int) -> bytes:
        results = os.pread(self.results, cap, 0)
        return results[len(nonce) :] if results.startswith(nonce) else b""

    def read_facts(self) -> bytes:
        """The first frame in the pipe; what a program may have added behind it is thrown away."""
        data = b""
        try:
            while part := os.read(self.facts_out, 1 << 20):
                data += part
        except BlockingIOError:
            pass
        if len(data) < 4:
            return b""
        (length,) = FRAME.unpack_from(data)
        return data[4 : 4 + length] if len(data) >= 4 + length else b""


class Child:
    """A running program, seen from outside."""

    def __init__(self, number, slot, nonce, cpu_limit, idle_limit, runs, facts):
        self.number, self.slot, self.nonce, self.runs = number, slot, nonce, runs
        self.pid = self.handle = -1
        self.cpu_limit, self.idle_limit = cpu_limit, idle_limit
        self.wall_limit = runs * (WALL_FACTOR * cpu_limit + idle_limit)
        self.killed, self.parked, self.asked, self.facts = NOT_KILLED, False, False, facts
        self.idle_seconds = self.quiet_seconds = 0.0

    def start(self) -> None:
        """From here its time counts."""
        self.started = started = time.monotonic()
        self.last_look, self.last_cpu, self.cpu_before, self.progress = started, 0.0, 0.0, 0
        self.window_start, self.window_cpu = started, 0.0
        self.next_look = started + min(0.05, self.cpu_limit)

    def look(self, now: float, idle_share: float, fair_share: float) -> int:
        """Whether a limit is used up. CPU time decides; time counts as idle only when next to no CPU was used in it.

        A program that is starved by others still gets its share of the CPU, however small, if one looks at a whole
        second: among a hundred others its turn comes several times a second. One that sleeps gets none; nor does one
        beside others of a far higher priority, so before a program ends for sleeping it is asked whether it sleeps.
        What looks quiet between two looks, or takes far less than its fair share of the cores, is enough to let
        another program run beside it, not to end it. One that sleeps nearly all of the time, just not enough, ends at
        `wall_limit`.
        """
        try:
            cpu = time.clock_gettime((~self.pid << 3) | 2)
        except OSError:  # gone already, or no such clock here
            cpu = self.last_cpu
        passed = now - self.last_look
        if cpu - self.last_cpu < max(idle_share, 0.2 * fair_share) * passed:
            self.quiet_seconds += passed
        self.last_look, self.last_cpu = now, cpu
        window = now - self.window_start
        if window >= min(1.0, self.idle_limit / 5):
            if cpu - self.window_cpu < idle_share * window:
                self.idle_seconds += window
            self.window_start, self.window_cpu = now, cpu
        if self.runs > 1:  # each finished run starts a new budget
            size = os.fstat(self.slot.results).st_size
            if size != self.progress:
                self.progress, self.cpu_before = size, cpu
                self.idle_seconds = self.quiet_seconds = 0.0
        used = cpu - self.cpu_before
        self.next_look = now + min(max(self.cpu_limit - used, 0.005), 0.1)
        if used >= self.cpu_limit or cpu >= self.cpu_limit * max(1, self.runs):
            return KILLED_CPU
        asleep = self.idle_seconds >= self.idle_limit or now - self.started >= self.wall_limit
        return ASK if asleep and not self.asked else NOT_KILLED

    def found_awake(self) -> None:
        """It was starved, not asleep: its time as an idle one starts anew."""
        self.asked, self.idle_seconds = False, 0.0
        self.wall_limit = max(self.wall_limit, time.monotonic() - self.started + self.idle_limit)


def signal_child(pid: int) -> None:
    """SIGKILL to an unreaped child, by pidfd where kill() is filtered away; by kill() elsewhere."""
    with contextlib.suppress(ProcessLookupError):
        try:
            handle = os.pidfd_open(pid)
        except (AttributeError, OSError):
            with contextlib.suppress(PermissionError):
                os.kill(pid, signal.SIGKILL)
            return
        signal.pidfd_send_signal(handle, signal.SIGKILL)
        os.close(handle)


def high(descriptor: int) -> int:
    """The same file out of the way of the descriptors that every program gets anew."""
    moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD, 16)
    os.close(descriptor)
    return moved


def memory_file(name: str, portable: bool) -> int:
    if hasattr(os, "memfd_create") and not portable:
        return os.memfd_create(name)
    import tempfile

    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
