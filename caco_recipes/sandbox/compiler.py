"""The fork server's compiler process, seen from the server: programs in, facts and code out.

Loaded by the stand-alone fork server. The process itself runs `Harness.main_compiler`.
"""

import collections
import gc
import os
import socket
import struct
import time

FACTS_BYTES = 256 * 1024
PAIR = struct.Struct("<IIB")  # as in harness.py


class Compiler:
    """A confined process that parses, compiles and notes facts, for one program after the other, and runs none.

    Parsing in a fresh process costs ten times as much (it touches the parser's and compiler's pages anew each time).
    The server itself never parses: a source that breaks or stalls the parser takes this process with it, and is then
    tried again in a process of its own, whose limits say what becomes of it.
    """

    def __init__(self, zygote):
        ours, theirs = socket.socketpair()
        self.pid = zygote.fork()
        if self.pid < 0:
            raise OSError(11, "fork refused")
        if self.pid == 0:
            try:
                if zygote.libc_prctl is not None:
                    zygote.libc_prctl(1, 9, 0, 0, 0)
                os.dup2(theirs.fileno(), 3)
                os.closerange(4, 256)
                if zygote.child_filter is not None:
                    zygote.child_filter.install()
                gc.enable()
                zygote.harness.main_compiler(Channel(3))
            finally:
                zygote.exit_now(0)
        self.kill = zygote.signal_child
        theirs.close()
        ours.settimeout(2.0)  # the server must not hang on a parser that does
        self.channel, self.descriptor = ours, ours.fileno()
        self.jobs: collections.deque = collections.deque()
        self.buffer, self.count, self.cpu, self.since = bytearray(), 0, 0.0, time.monotonic()
        self.cpu_at_start_of_job = 0.0

    def give(self, job: tuple) -> None:
        source = job[5][0].encode("utf-8", "surrogatepass")
        if not self.jobs:
            self.since = time.monotonic()
        self.jobs.append(job)
        self.channel.sendall(struct.pack("<I?", len(source), job[4]) + source)

    def take(self) -> list[tuple]:
        data = self.channel.recv(1 << 18)
        if not data:
            raise EOFError
        self.buffer += data
        finished = []
        while len(self.buffer) >= PAIR.size and self.jobs:
            facts, code, known = PAIR.unpack_from(self.buffer)
            if facts > FACTS_BYTES or code > 1 << 24:
                raise EOFError
            end = PAIR.size + facts + code
            if len(self.buffer) < end:
                break
            body = bytes(self.buffer[PAIR.size : end])
            del self.buffer[:end]
            finished.append((self.jobs.popleft(), body[:facts], body[facts:], known))
            self.count += 1
            self.since = time.monotonic()
            self.cpu_at_start_of_job = self.cpu
        return finished

    def is_stuck(self, now: float) -> bool:
        """Half a second of CPU time on one source, or ten of waiting."""
        if now - self.since < 0.2:
            return False
        try:
            self.cpu = time.clock_gettime((~self.pid << 3) | 2)
        except OSError:
            return now - self.since > 10
        return self.cpu - self.cpu_at_start_of_job > 0.5 or now - self.since > 10

    def end(self) -> None:
        self.channel.close()
        self.kill(self.pid)
        os.waitpid(self.pid, 0)


class Channel:
    """The two socket calls that the compiler process needs, on a bare descriptor."""

    def __init__(self, descriptor: int):
        self.descriptor = descriptor

    def recv(self, length: int) -> bytes:
        return os.read(self.descriptor, length)

    def sendall(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self.descriptor, view) :]
