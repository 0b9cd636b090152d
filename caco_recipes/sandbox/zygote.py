"""The fork server ("zygote") of one worker: a stand-alone script that warms up, confines itself and forks programs.

    python -P -s -B zygote.py SOCKET_FD

It is exec'ed with an environment of its own and never forked from the coordinator. It reads its configuration and then
jobs from the socket, forks one process per job, watches it from outside (CPU clock, idle time), and answers with a
header that only it can write, followed by bytes that the coordinator must not trust. It never runs a line of a program,
nor parses one. When the socket closes it ends, and everything that it forked ends with it.
"""

import builtins
import collections
import contextlib
import fcntl
import gc
import json
import marshal
import mmap
import os
import resource
import select
import signal
import socket
import struct
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))

FRAME = struct.Struct("<I")
# kind, job id, wait status, killed, cpu seconds, wall seconds, peak KB, stdout size, then lengths: facts, results, stdout
REPLY = struct.Struct("<cQiBddQQIII")
NOT_KILLED, KILLED_CPU, KILLED_IDLE = 0, 1, 2
FACTS_BYTES = 256 * 1024
FACTS_FD = 4
RESULT_FD = 3


def load(name: str) -> dict:
    """The names of a sibling file, run outside `sys.modules` and with a private copy of the builtins.

    Programs find neither the module nor a way to patch what it calls.
    """
    path = os.path.join(HERE, name + ".py")
    names = {"__builtins__": dict(vars(builtins)), "__name__": "caco_sandbox_" + name, "__file__": path}
    with open(path, encoding="utf-8") as file:
        exec(compile(file.read(), path, "exec"), names)
    return names


# ------------------------------------------------------------------------------------------------ start


class Zygote:
    def __init__(self, control: socket.socket, config: dict):
        self.control = control
        self.config = config
        self.confine = load("confine")
        self.level = config["isolation"]
        self.running: dict[int, Child] = {}
        self.queue: list[tuple] = []
        self.buffer = bytearray()
        self.pidfds = hasattr(os, "pidfd_open") and not config["portable"]
        self.poll = select.poll()

    def start(self) -> None:
        """Warm-up first, with the rights of an ordinary process; then confinement, step by step, and a test of it."""
        config, confine = self.config, self.confine
        self.settle_paths()
        self.import_warm_modules()
        stdout = self.own_stdout()
        self.harness = self.make_harness(stdout)
        self.warm_up()
        self.slots = [Slot(config["portable"]) for _ in range(config["slots"])]
        self.compiler = None
        self.base_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        self.harness_module["quiet_collector"]()
        huge = collapse_heap(confine) if config["huge_pages"] else 0
        size = address_space()
        # warm files are read before the root is gone
        time.localtime()
        if self.level == "strict":
            confine["limit_process_ids"](config["threads"] * config["slots"] + 50)
        if sys.platform == "linux":
            prefer_as_victim()
            confine["name_process"]("caco-sandbox")
        trees = confine["interpreter_trees"](tuple(config["library_paths"])) if self.level != "unsafe" else []
        if self.level == "strict":
            confine["bare_root"](trees)
        confine["limit_resources"](64, max(config["stdout_limit_kb"], 1024), 256)
        if size:
            resource.setrlimit(resource.RLIMIT_AS, (size + (config["memory_mb"] << 20),) * 2)
        if os.getuid() != 0:
            self.limit_threads()
        if self.level != "strict":
            end_with_peer(self.control, False)
        self.child_filter = None
        if self.level != "unsafe":
            if self.level != "basic":
                confine["landlock"](trees)
            confine["drop_capabilities"]()
            confine["no_new_privs"]()
            confine["Filter"](confine["server_filter"](self.level == "basic")).install()
            self.child_filter = confine["Filter"](confine["child_filter"]())
        self.fork, self.exit_now, self.libc_prctl = os.fork, os._exit, None
        if sys.platform == "linux" and not config["portable"]:
            # without the interpreter's own hooks around fork, which cost more than the fork
            libc = confine["libc"]()
            self.fork, self.exit_now, self.libc_prctl = libc.fork, libc._exit, libc.prctl
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        self.self_test()
        self.harness_module["quiet_collector"]()
        ready = {
            "isolation": self.level,
            "huge_pages": huge,
            "base_mb": self.base_kb / 1024,
            "pid": os.getpid(),
            "warm_up_faults": self.warm_up_faults,
        }
        self.send(json.dumps(ready).encode())

    def settle_paths(self) -> None:
        sys.path[:] = [os.path.realpath(path) for path in [*sys.path, *self.config["library_paths"]] if path]
        sys.argv[:] = ["program.py"]

    def import_warm_modules(self) -> None:
        for name in self.config["modules"]:
            try:
                __import__(name)
            except Exception as error:
                if name in self.config["required"]:
                    raise self.confine["Refused"](f"cannot import {name}: {error}") from None

    def own_stdout(self):
        import io

        raw = io.FileIO(1, "w", closefd=False)
        stdout = io.TextIOWrapper(io.BufferedWriter(raw, 65536), "utf-8", "backslashreplace", newline="\n")
        sys.stdout = sys.__stdout__ = stdout
        return stdout

    def make_harness(self, stdout):
        codec, self.harness_module = load("codec"), load("harness")
        rules, screen = load("rules"), load("screen")
        config = self.config
        sys.set_int_max_str_digits(self.harness_module["MAX_DIGITS"])
        bounds = codec["Bounds"](
            config["value_depth"], config["value_items"], config["value_digits"], config["value_kb"] * 1024
        )
        self.decoder = codec["decode"]
        self.bounds = bounds
        encoder = codec["Encoder"](bounds)
        return self.harness_module["Harness"](
            encoder, codec["TooLarge"], rules["facts_text"], screen["refusal"], stdout, bounds.characters
        )

    def warm_up(self) -> None:
        """Runs the fixed corpus in this process: caches, lazy imports and specialised bytecode are then inherited."""
        main = sys.modules["__main__"]
        self.warm_up_faults: list[str] = []
        for source in self.config["warm_up"]:
            code, _ = self.harness.prepare(source, True)
            if code is not None:
                status, detail, *_ = self.harness.run(code)
                if status != "ok" and not self.missing_package(detail):
                    self.warm_up_faults.append(detail)
        sys.modules["__main__"] = main
        vars(builtins).pop("@capture", None)
        self.reset_state()

    def missing_package(self, detail: str) -> bool:
        return "ModuleNotFoundError" in detail  # sympy or numpy isn't installed: programs will see that themselves

    def reset_state(self) -> None:
        """The state that every program starts from: seeds, decimal context, collector."""
        import decimal
        import random

        random.seed(self.config["seed"])
        if "numpy" in sys.modules:
            sys.modules["numpy"].random.seed(self.config["seed"])
        if "sympy" in sys.modules:
            sys.modules["sympy"].core.random.seed(self.config["seed"])
        decimal.setcontext(decimal.Context())
        gc.set_threshold(20_000, 20, 100)

    def limit_threads(self) -> None:
        """Counted per user (per user and namespace at `strict`), so leave room for what the user runs already."""
        if self.level != "strict" or not hasattr(resource, "RLIMIT_NPROC"):
            return
        wanted = self.config["threads"] + self.config["slots"] + 4
        resource.setrlimit(resource.RLIMIT_NPROC, (wanted, wanted))

    def self_test(self) -> None:
        """Fails closed: a forked child tries what must be refused; anything that works ends this server."""
        if self.level == "unsafe":
            return
        reader, writer = os.pipe()
        pid = self.fork()
        if pid == 0:
            self.child_filter.install()
            try:
                os.write(writer, ", ".join(holes(self.level)).encode())
            finally:
                self.exit_now(0)
        os.close(writer)
        found = os.read(reader, 4096).decode()
        os.close(reader)
        _, status = os.waitpid(pid, 0)
        if found or status != 0:
            raise self.confine["Refused"](
                f"the confinement does not hold here: {found or 'its test ended abnormally'}"
            )

    # -------------------------------------------------------------------------------------------- service

    def send(self, *parts: bytes) -> None:
        self.control.sendall(FRAME.pack(sum(map(len, parts))) + b"".join(parts))

    def serve(self) -> None:
        """Jobs in, answers out, until the socket closes."""
        control = self.control.fileno()
        self.poll.register(control, select.POLLIN)
        while True:
            for descriptor, _ in self.poll.poll(self.pause()):
                if descriptor == control:
                    if not self.receive():
                        return
                elif self.compiler is not None and descriptor == self.compiler.descriptor:
                    self.compiled()
                elif descriptor in self.running:
                    self.reap(self.running[descriptor])
            self.watch()
            while self.queue and len(self.slots) > self.compiling():
                self.start_job(self.queue.pop(0))

    def compiling(self) -> int:
        return len(self.compiler.jobs) if self.compiler is not None else 0

    def pause(self) -> float | None:
        """Milliseconds until a running program must be looked at."""
        if self.compiling():
            return 20
        if not self.running:
            return None
        if not self.pidfds:
            return 1
        now = time.monotonic()
        return max(0.0, (min(child.next_look for child in self.running.values()) - now) * 1000)

    def receive(self) -> bool:
        data = self.control.recv(1 << 18)
        if not data:
            return False
        self.buffer += data
        while len(self.buffer) >= 4:
            (length,) = FRAME.unpack_from(self.buffer)
            if len(self.buffer) < 4 + length:
                break
            self.queue.append(marshal.loads(bytes(self.buffer[4 : 4 + length])))
            del self.buffer[: 4 + length]
        return True

    def start_job(self, job: tuple) -> None:
        """A single program goes to the compiler process first; the others compile in their own."""
        if job[1] != "single":
            self.launch(job)
            return
        if self.compiler is None:
            try:
                self.compiler = Compiler(self)
                self.poll.register(self.compiler.descriptor, select.POLLIN)
            except OSError:  # no process or descriptor to be had now
                self.launch(job)
                return
        try:
            self.compiler.give(job)
        except OSError:  # it has ended, or is stuck with a full socket
            self.drop_compiler()

    def compiled(self) -> None:
        """Takes what the compiler has finished; when it has ended, its oldest program runs without it."""
        try:
            finished = self.compiler.take()
        except (OSError, EOFError):
            self.drop_compiler()
            return
        for job, facts, code in finished:
            if code:
                self.launch(job, facts, code)
            else:  # a syntax error: nothing to run
                header = REPLY.pack(b"R", job[0], 0, 0, 0, 0, 0, 0, len(facts), 0, 0)
                self.send(header, facts)
        if self.compiler.count > 5000 and not self.compiler.jobs:
            self.drop_compiler()

    def drop_compiler(self) -> None:
        compiler, self.compiler = self.compiler, None
        self.poll.unregister(compiler.descriptor)
        compiler.end()
        jobs = list(compiler.jobs)
        if jobs:
            self.launch(jobs[0])
        self.queue[:0] = jobs[1:]

    def launch(self, job: tuple, facts: bytes = b"", code: bytes = b"") -> None:
        number, kind, cpu, idle, want_rules, sources, inputs = job
        slot, handle, pid = self.slots.pop(), None, -1
        runs = max(1, len(inputs), len(sources))
        try:
            variants = [self.decoder(text, self.bounds) for text in inputs]
            slot.clear()
            nonce = os.urandom(16)
            started = time.monotonic()
            pid = self.fork()
            if pid == 0:
                self.become_program(
                    slot, "compiled" if code else kind, cpu * runs, want_rules, sources, variants, nonce, code
                )
            if pid < 0:
                raise OSError(11, "fork refused: no process, or no memory, to be had")
            handle = os.pidfd_open(pid) if self.pidfds else -pid
        except OSError as error:
            if pid > 0:  # out of descriptors: it can't be watched, so it must not run
                signal_child(pid)
                os.waitpid(pid, 0)
            self.slots.append(slot)
            self.send(REPLY.pack(b"F", number, 0, 0, 0, 0, 0, 0, 0, 0, 0), str(error).encode())
            return
        self.running[handle] = Child(number, pid, handle, slot, nonce, cpu, idle, started, runs, facts)
        if self.pidfds:
            self.poll.register(handle, select.POLLIN)

    def become_program(self, slot, kind, cpu, want_rules, sources, variants, nonce, code) -> None:
        """In the child. Never returns."""
        harness = self.harness
        try:
            if self.libc_prctl is not None:
                self.libc_prctl(1, 9, 0, 0, 0)  # the kernel ends this process when the server ends
            os.dup2(slot.out, 1)
            os.dup2(slot.results, RESULT_FD)
            if kind == "compiled":
                os.closerange(RESULT_FD + 1, 256)
            else:
                os.dup2(slot.facts_in, FACTS_FD)
                os.closerange(FACTS_FD + 1, 256)
            ceiling = int(cpu) + 2
            resource.setrlimit(resource.RLIMIT_CPU, (ceiling, ceiling + 1))
            if self.child_filter is not None:
                self.child_filter.install()
            gc.enable()
            if kind == "compiled":
                harness.main_compiled(code, nonce, RESULT_FD)
            elif kind == "single":
                harness.main_single(sources[0], want_rules, FACTS_FD, nonce, RESULT_FD)
            elif kind == "variants":
                harness.main_variants(sources[0], variants, want_rules, FACTS_FD, nonce, RESULT_FD)
            else:
                harness.main_shared(sources, want_rules, FACTS_FD, nonce, RESULT_FD, self.reset_state)
        except BaseException:
            self.exit_now(70)
        self.exit_now(0)

    # -------------------------------------------------------------------------------------------- watching

    def watch(self) -> None:
        now = time.monotonic()
        if self.compiling() and self.compiler.is_stuck(now):
            self.drop_compiler()
        for child in list(self.running.values()):
            if not self.pidfds:
                self.reap(child)
                if child.handle not in self.running:
                    continue
            if now >= child.next_look:
                verdict = child.look(now, self.config["idle_share"])
                if verdict:
                    child.killed = verdict
                    self.kill(child)
                elif child.quiet_seconds > 0.09 and not child.parked:
                    child.parked = True
                    self.send(REPLY.pack(b"I", child.number, 0, 0, 0, 0, 0, 0, 0, 0, 0))

    def kill(self, child) -> None:
        if self.pidfds:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(child.handle, signal.SIGKILL)
        else:
            signal_child(child.pid)

    def reap(self, child) -> None:
        pid, status, usage = os.wait4(child.pid, os.WNOHANG)
        if pid == 0:
            return
        wall = time.monotonic() - child.started
        if self.pidfds:
            self.poll.unregister(child.handle)
            os.close(child.handle)
        del self.running[child.handle]
        slot, cpu = child.slot, usage.ru_utime + usage.ru_stime
        results = slot.read_results(child.nonce, self.config["result_cap"])
        facts = child.facts or slot.read_facts()
        size = os.fstat(slot.out).st_size
        stdout = os.pread(
            slot.out, self.config["stdout_kb"] * 1024 if child.runs <= 1 else self.config["result_cap"], 0
        )
        self.slots.append(slot)
        peak = max(0, usage.ru_maxrss - self.base_kb)
        header = REPLY.pack(
            b"R", child.number, status, child.killed, cpu, wall, peak, size, len(facts), len(results), len(stdout)
        )
        self.send(header, facts, results, stdout)

    def end(self) -> None:
        if self.compiler is not None:
            self.compiler.end()
        for child in self.running.values():
            self.kill(child)


class Compiler:
    """A confined process that parses, compiles and notes facts, for one program after the other, and runs none.

    Parsing in a fresh process costs ten times as much (it touches the parser's and compiler's pages anew each time).
    The server itself never parses: a source that breaks or stalls the parser takes this process with it, and is then
    tried again in a process of its own, whose limits say what becomes of it.
    """

    def __init__(self, zygote: Zygote):
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
        while len(self.buffer) >= 8 and self.jobs:
            facts, code = struct.unpack_from("<II", self.buffer)
            if facts > FACTS_BYTES or code > 1 << 24:
                raise EOFError
            if len(self.buffer) < 8 + facts + code:
                break
            body = bytes(self.buffer[8 : 8 + facts + code])
            del self.buffer[: 8 + facts + code]
            finished.append((self.jobs.popleft(), body[:facts], body[facts:]))
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
        signal_child(self.pid)
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


class Slot:
    """Where one running program puts its results: two memory files, and a pipe for the facts noted before it ran."""

    def __init__(self, portable: bool):
        self.out, self.results = memory_file("stdout", portable), memory_file("results", portable)
        self.facts_out, self.facts_in = os.pipe()
        os.set_blocking(self.facts_out, False)
        try:
            fcntl.fcntl(self.facts_in, 1031, FACTS_BYTES)  # F_SETPIPE_SZ: the writer must never wait
        except OSError:
            pass

    def clear(self) -> None:
        for descriptor in (self.out, self.results):
            os.ftruncate(descriptor, 0)
            os.lseek(descriptor, 0, os.SEEK_SET)

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
        return data[4 : 4 + length]


class Child:
    """A running program, seen from outside."""

    def __init__(self, number, pid, handle, slot, nonce, cpu_limit, idle_limit, started, runs, facts):
        self.number, self.pid, self.handle, self.slot, self.nonce, self.runs = number, pid, handle, slot, nonce, runs
        self.cpu_limit, self.idle_limit, self.started = cpu_limit, idle_limit, started
        self.killed, self.parked, self.facts = NOT_KILLED, False, facts
        self.idle_seconds = self.quiet_seconds = 0.0
        self.last_look, self.last_cpu, self.cpu_before, self.progress = started, 0.0, 0.0, 0
        self.window_start, self.window_cpu = started, 0.0
        self.next_look = started + min(0.05, cpu_limit)

    def look(self, now: float, idle_share: float) -> int:
        """Whether a limit is used up. CPU time decides; time counts as idle only when next to no CPU was used in it.

        A program that is starved by others still gets its share of the CPU, however small, if one looks at a whole
        second: among a hundred others its turn comes several times a second. One that sleeps gets none. What looks
        quiet between two looks is enough to let another program run beside it, not to end it.
        """
        try:
            cpu = time.clock_gettime((~self.pid << 3) | 2)
        except OSError:  # gone already, or no such clock here
            cpu = self.last_cpu
        passed = now - self.last_look
        if cpu - self.last_cpu < idle_share * passed:
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
        return KILLED_IDLE if self.idle_seconds >= self.idle_limit else NOT_KILLED


# ------------------------------------------------------------------------------------------------ the machine


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


def memory_file(name: str, portable: bool) -> int:
    if hasattr(os, "memfd_create") and not portable:
        return os.memfd_create(name)
    import tempfile

    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def collapse_heap(confine: dict) -> int:
    """Asks for huge pages under the private heap (Linux 6.1): a fork then copies a few entries instead of thousands."""
    if sys.platform != "linux":
        return 0
    libc, collapsed, huge = confine["libc"](), 0, 1 << 21
    import ctypes

    with open("/proc/self/maps") as file:
        lines = file.read().splitlines()
    for line in lines:
        fields = line.split()
        if fields[1] != "rw-p" or (len(fields) > 5 and fields[5] != "[heap]"):
            continue
        start, end = (int(part, 16) for part in fields[0].split("-"))
        start, end = -(-start // huge) * huge, end // huge * huge
        if end > start and libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), 25) == 0:
            collapsed += (end - start) // huge
    return collapsed


def address_space() -> int:
    """Bytes of address space of this process; 0 where the system doesn't say (then RLIMIT_AS is not used)."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[0]) * mmap.PAGESIZE
    except OSError:
        return 0


def prefer_as_victim() -> None:
    """When memory runs out the kernel ends a program, not the coordinator."""
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write("500")
    except OSError:
        pass


def holes(level: str) -> list[str]:
    """What a confined child could do although its level promises that it can't."""
    found = []

    def attempt(what: str, action) -> None:
        try:
            action()
            found.append(what)
        except OSError:
            pass

    attempt("network", lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM))
    attempt("unix sockets", lambda: socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
    attempt("fork", lambda: os.fork() or os._exit(0))
    attempt("signals", lambda: os.kill(os.getppid(), 0))
    attempt("writing files", lambda: os.open("/tmp", os.O_RDWR | 0o20200000))
    attempt("writing files", lambda: os.open("caco-sandbox-test", os.O_WRONLY | os.O_CREAT))
    if level != "basic":
        attempt("reading files", lambda: os.open("/etc/passwd", os.O_RDONLY))
        attempt("reading processes", lambda: os.open("/proc/self/environ", os.O_RDONLY))
    return found


def outlive_neither(control: socket.socket, pid: int) -> None:
    """The outer process of `strict`: ends when the namespace's first process does, and ends it with the coordinator."""
    watched = select.poll()
    handle = os.pidfd_open(pid)
    watched.register(control.fileno(), 0)  # a hang-up is always told
    watched.register(handle, select.POLLIN)
    watched.poll()
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)  # all in the namespace go with it
    _, status = os.waitpid(pid, 0)
    os._exit(os.waitstatus_to_exitcode(status) & 0xFF)


def end_with_peer(control: socket.socket, on: bool) -> None:
    """While warming up, before it can listen: SIGIO ends this process when the coordinator closes its end or dies."""
    flags = fcntl.fcntl(control, fcntl.F_GETFL)
    if not on:
        fcntl.fcntl(control, fcntl.F_SETFL, flags & ~os.O_ASYNC)
        return
    fcntl.fcntl(control, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(control, fcntl.F_SETFL, flags | os.O_ASYNC)
    gone = select.poll()
    gone.register(control.fileno(), 0)
    if gone.poll(0):
        os._exit(0)


def main() -> None:
    control = socket.socket(fileno=int(sys.argv[1]))
    # out of the way of descriptors 0 to 3, which every program gets anew
    control = socket.socket(fileno=fcntl.fcntl(control.detach(), 1030, 16))
    zygote = None
    try:
        (length,) = FRAME.unpack(control.recv(4, socket.MSG_WAITALL))
        config = json.loads(control.recv(length, socket.MSG_WAITALL))
        os.environ.clear()
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most if 0 < most < 1024 else 1024, most))
        os.setsid() if os.getpid() != os.getsid(0) else None
        zygote = Zygote(control, config)
        if zygote.level == "strict":
            zygote.confine["new_namespaces"]()
            pid = os.fork()
            if pid:
                outlive_neither(control, pid)
            zygote.confine["die_with_parent"]()
        else:
            end_with_peer(control, True)
        os.chdir("/")
        zygote.start()
    except Exception as error:
        text = json.dumps(
            {"refused": f"{error}" if type(error).__name__ == "Refused" else f"{type(error).__name__}: {error}"}
        )
        control.sendall(FRAME.pack(len(text)) + text.encode())
        os._exit(97)
    try:
        zygote.serve()
    finally:
        zygote.end()
        os._exit(0)


if __name__ == "__main__":
    main()
