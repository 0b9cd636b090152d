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
WALL_FACTOR = 40  # times the CPU limit, before the coordinator takes this server for stuck
FACTS_BYTES = 256 * 1024
# where a program's process finds things; 0 and 2 are /dev/null
STDOUT_FD, RESULT_FD, JOB_FD, FACTS_FD = 1, 3, 4, 5
HIGHEST_FD = 256
ORDER = struct.Struct("<IIII")  # to the forker: slot, length of what lies in it, ceiling of CPU seconds, way
BIRTH = struct.Struct("<ii")  # from it: slot, process id (or a negative error number)
JOB = struct.Struct("<16s?")  # in the slot: nonce, rules wanted; then the program
COMPILED, SINGLE, VARIANTS, SHARED, SELF_TEST = range(5)  # ways to run
WAYS = {"single": SINGLE, "variants": VARIANTS, "shared": SHARED}


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
        self.pid = os.getpid()
        self.running: dict[int, Child] = {}
        self.unborn: dict[int, Child] = {}
        self.queue: list[tuple] = []
        self.buffer = bytearray()
        self.pidfds = hasattr(os, "pidfd_open") and not config["portable"]
        self.poll = select.poll()

    def start(self) -> None:
        """Warm-up first, with the rights of an ordinary process; then confinement, step by step, and a test of it."""
        config, confine = self.config, self.confine
        self.settle_paths()
        restore_arenas = gather_arenas(confine) if config["huge_pages"] else None
        self.import_warm_modules()
        stdout = self.own_stdout()
        self.harness = self.make_harness(stdout)
        self.warm_up()
        self.slots = [Slot(number, config["portable"]) for number in range(config["slots"])]
        self.all_slots = tuple(self.slots)
        self.compiler = self.forker = None
        self.loop = native_loop(config)
        if restore_arenas is not None:
            restore_arenas()
        self.harness_module["quiet_collector"]()
        keep_text_mapped(confine)
        self.heap = collapse_heap(confine) if config["huge_pages"] else []
        self.base_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        size = address_space()
        # warm files are read before the root is gone
        time.localtime()
        if self.level == "strict":
            confine["limit_process_ids"](config["threads"] * config["slots"] + 50)
        if sys.platform == "linux":
            prefer_as_victim()
            confine["name_process"]("caco-sandbox")
            confine["leave_no_core"]()
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
        self.harness_module["quiet_collector"]()
        self.pid = os.getpid()
        if sys.platform == "linux" and not config["portable"]:
            self.forker = Forker()
            self.forker.start(self)
        self.self_test()
        ready = {
            "isolation": self.level,
            "huge_pages": sum(length >> 21 for _, length in self.heap),
            "native": self.loop is not None,
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
        """Fails closed: a process made like those of programs tries what must be refused; anything that works ends this."""
        if self.level == "unsafe":
            return
        slot = self.slots[0]
        if self.forker is not None:
            self.forker.order(slot.number, 0, 10, SELF_TEST)
            ((_, pid),) = self.forker.births()
        else:
            pid = self.fork()
            if pid == 0:
                self.become_program(slot.number, 0, 10, SELF_TEST)
        if pid < 0:
            raise OSError(-pid, os.strerror(-pid))
        _, status = os.waitpid(pid, 0)
        found = os.pread(slot.results, 4096, 0).decode()
        if found != "none" or status != 0:
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
        if self.forker is not None:
            self.poll.register(self.forker.descriptor, select.POLLIN)
        while True:
            for descriptor, _ in self.poll.poll(self.pause()):
                if descriptor == control:
                    if not self.receive():
                        return
                elif self.forker is not None and descriptor == self.forker.descriptor:
                    for slot, pid in self.forker.births():
                        self.born(self.unborn.pop(slot), pid)
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
        """Lays a program into a slot and has a process made for it."""
        number, kind, cpu, idle, want_rules, sources, inputs = job
        slot = self.slots.pop()
        runs = max(1, len(inputs), len(sources))
        child = Child(number, slot, os.urandom(16), cpu, idle, runs, facts)
        way = COMPILED if code else WAYS[kind]
        ceiling = int(cpu * runs) + 2
        try:
            slot.clear()
            length = slot.fill(JOB.pack(child.nonce, want_rules) + (code or marshal.dumps((sources, inputs))))
            child.start()
            self.unborn[slot.number] = child
            if self.forker is not None:
                self.forker.order(slot.number, length, ceiling, way)
                return
            pid = self.fork()
        except OSError as error:
            self.unborn.pop(slot.number, None)
            self.not_born(child, str(error))
            return
        if pid == 0:
            self.become_program(slot.number, length, ceiling, way)
        self.born(self.unborn.pop(slot.number), pid)

    def born(self, child, pid: int) -> None:
        """Starts to watch a process that the forker has made."""
        if pid < 0:
            self.not_born(child, f"fork refused ({os.strerror(-pid)}): no process, or no memory, to be had")
            return
        child.pid = pid
        try:
            child.handle = os.pidfd_open(pid) if self.pidfds else -pid
        except OSError as error:  # out of descriptors: it can't be watched, so it must not run
            signal_child(pid)
            os.waitpid(pid, 0)
            self.not_born(child, str(error))
            return
        self.running[child.handle] = child
        if self.pidfds:
            self.poll.register(child.handle, select.POLLIN)

    def not_born(self, child, why: str) -> None:
        self.slots.append(child.slot)
        self.send(REPLY.pack(b"F", child.number, 0, 0, 0, 0, 0, 0, 0, 0, 0), why.encode())

    def become_program(self, slot_number: int, length: int, ceiling: int, way: int) -> None:
        """In a new process: gives up the server's rights, then runs the order. Never returns. (forker.c does the same.)"""
        slot = self.all_slots[slot_number]
        try:
            if self.libc_prctl is not None:
                self.libc_prctl(1, 9, 0, 0, 0)  # the kernel ends this process when the server ends
                if os.getppid() != self.pid:
                    self.exit_now(70)  # it has ended before
            os.dup2(slot.out, STDOUT_FD)
            os.dup2(slot.results, RESULT_FD)
            os.dup2(slot.job, JOB_FD)
            if way != COMPILED:
                os.dup2(slot.facts_in, FACTS_FD)
            os.closerange(JOB_FD + 1 if way == COMPILED else FACTS_FD + 1, HIGHEST_FD)
            resource.setrlimit(resource.RLIMIT_CPU, (ceiling, ceiling + 1))
            if self.child_filter is not None:
                self.child_filter.install()
        except BaseException:
            self.exit_now(70)
        self.run_order(length, way)

    def run_order(self, length: int, way: int) -> None:
        """In a confined process: reads its order and runs it. Never returns."""
        harness = self.harness
        try:
            if way == SELF_TEST:
                os.write(RESULT_FD, (", ".join(holes(self.level)) or "none").encode())
                self.exit_now(0)
            job = os.pread(JOB_FD, length, 0)
            os.close(JOB_FD)
            nonce, want_rules = JOB.unpack_from(job)
            gc.enable()
            if way == COMPILED:
                harness.main_compiled(job[JOB.size :], nonce, RESULT_FD)
                self.exit_now(0)
            sources, inputs = marshal.loads(job[JOB.size :])
            if way == SINGLE:
                harness.main_single(sources[0], want_rules, FACTS_FD, nonce, RESULT_FD)
            elif way == VARIANTS:
                variants = [self.decoder(text, self.bounds) for text in inputs]
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
                verdict = child.look(
                    now, self.config["idle_share"], min(1.0, self.config["cores"] / len(self.running))
                )
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
        if self.forker is not None:
            self.forker.end()  # what it has made meanwhile ends with this process
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


class Forker:
    """A process that holds what programs need, and does nothing but fork: each program is a copy of it.

    The server writes to its own memory all the time; a process that forks after that copies page tables which have been
    broken up, and pays again for each page that it then writes. This one stays as it was when it was made. Its children
    are the server's (CLONE_PARENT), which waits for them. It is told a slot, and answers with a process id.
    """

    def __init__(self):
        self.buffer = b""

    def start(self, zygote: Zygote) -> None:
        """Makes the process. (No constructor: a program would start a level of recursion deeper than by itself.)"""
        ours, theirs = socket.socketpair()
        call, order = self.native_call(zygote, theirs.fileno())
        self.pid = zygote.fork()
        if self.pid < 0:
            raise OSError(11, "fork refused")
        if self.pid == 0:
            try:
                zygote.libc_prctl(1, 9, 0, 0, 0)
                if os.getppid() != zygote.pid:
                    zygote.exit_now(0)
                kept = {theirs.fileno(), *(d for slot in zygote.all_slots for d in slot.descriptors())}
                for descriptor in range(3, HIGHEST_FD):
                    if descriptor not in kept:
                        with contextlib.suppress(OSError):
                            os.close(descriptor)
                if call is not None:
                    call()
                    zygote.run_order(order[1], order[3])
                else:
                    zygote.become_program(*fork_loop(theirs.fileno(), zygote.confine))
            finally:
                zygote.exit_now(0)
        theirs.close()
        self.channel, self.descriptor = ours, ours.fileno()

    def native_call(self, zygote: Zygote, channel: int):
        """(the call of forker.c's loop, the array in which each new process finds its order), or (None, None)."""
        if zygote.loop is None:
            return None, None
        import ctypes

        ranges = [number for pair in zygote.heap for number in pair]
        slots = [descriptor for slot in zygote.all_slots for descriptor in slot.descriptors()]
        order = (ctypes.c_uint * 4)()
        arguments = (
            ctypes.c_int(channel),
            (ctypes.c_ulong * len(ranges))(*ranges),
            ctypes.c_long(len(zygote.heap)),
            (ctypes.c_int * len(slots))(*slots),
            ctypes.c_long(zygote.pid),
            zygote.child_filter.pointer if zygote.child_filter is not None else None,
            order,
        )
        return lambda: zygote.loop(*arguments), order

    def order(self, slot: int, length: int, ceiling: int, way: int) -> None:
        self.channel.sendall(ORDER.pack(slot, length, ceiling, way))

    def births(self) -> list[tuple[int, int]]:
        """(slot, process id or negative error number) of what was made. Raises `EOFError` when the forker is gone."""
        data = self.channel.recv(4096)
        if not data:
            raise EOFError("the forker has ended")
        self.buffer += data
        whole = len(self.buffer) // BIRTH.size * BIRTH.size
        found = list(BIRTH.iter_unpack(self.buffer[:whole]))
        self.buffer = self.buffer[whole:]
        return found

    def end(self) -> None:
        self.channel.close()
        signal_child(self.pid)


def fork_loop(channel: int, confine: dict) -> tuple[int, int, int, int]:
    """As in forker.c: returns the order in each new process; otherwise ends when the channel closes."""
    clone = confine["plain_clone"]
    while True:
        orders = os.read(channel, 32 * ORDER.size)
        if not orders or len(orders) % ORDER.size:
            os._exit(0)
        births = b""
        for order in ORDER.iter_unpack(orders):
            pid = clone()
            if pid == 0:
                return order
            births += BIRTH.pack(order[0], pid)
        os.write(channel, births)


class Slot:
    """One running program's files: the order that it reads, stdout and results, a pipe for facts noted before it ran."""

    def __init__(self, number: int, portable: bool):
        self.number = number
        self.job = high(memory_file("job", portable))
        self.out, self.results = high(memory_file("stdout", portable)), high(memory_file("results", portable))
        self.facts_out, self.facts_in = map(high, os.pipe())
        os.set_blocking(self.facts_out, False)
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
        return data[4 : 4 + length]


class Child:
    """A running program, seen from outside."""

    def __init__(self, number, slot, nonce, cpu_limit, idle_limit, runs, facts):
        self.number, self.slot, self.nonce, self.runs = number, slot, nonce, runs
        self.pid = self.handle = -1
        self.cpu_limit, self.idle_limit = cpu_limit, idle_limit
        self.wall_limit = runs * (WALL_FACTOR * cpu_limit + idle_limit)
        self.killed, self.parked, self.facts = NOT_KILLED, False, facts
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
        second: among a hundred others its turn comes several times a second. One that sleeps gets none. What looks
        quiet between two looks, or takes far less than its fair share of the cores, is enough to let another program
        run beside it, not to end it. One that sleeps nearly all of the time, just not enough, ends at `wall_limit`.
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
        return KILLED_IDLE if asleep else NOT_KILLED


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


def collapse_heap(confine: dict) -> list[tuple[int, int]]:
    """Asks for huge pages under the private heap (Linux 6.1): a fork then copies a few entries instead of thousands.

    Returns the (start, length) of each stretch that has them.
    """
    if sys.platform != "linux":
        return []
    libc, collapsed, huge = confine["libc"](), [], 1 << 21
    import ctypes

    with open("/proc/self/maps") as file:
        lines = file.read().splitlines()
    for line in lines:
        fields = line.split()
        if fields[1] != "rw-p" or (len(fields) > 5 and fields[5] != "[heap]"):
            continue
        start, end = (int(part, 16) for part in fields[0].split("-"))
        start, end = -(-start // huge) * huge, end // huge * huge
        for place in range(start, end, huge):  # one by one: what nothing lies in yet is refused
            if libc.madvise(ctypes.c_void_p(place), ctypes.c_size_t(huge), 25) == 0:
                collapsed.append((place, huge))
    return collapsed


def gather_arenas(confine: dict):
    """Has the interpreter take its arenas from the C heap, where huge pages fit; returns what ends this again, or None.

    By itself it maps them one by one, wherever a megabyte is free, and two of them rarely lie in one huge page. What
    is allocated between now and the end is given back with munmap, as all arenas are: the heap never sees it again.
    """
    if sys.platform != "linux":
        return None
    import ctypes

    class Allocator(ctypes.Structure):
        _fields_ = [("context", ctypes.c_void_p), ("allocate", ctypes.c_void_p), ("free", ctypes.c_void_p)]

    try:
        libc, python = confine["libc"](), ctypes.pythonapi
        if not hasattr(libc, "gnu_get_libc_version"):
            return None  # the settings of the heap are glibc's
        found, ours = Allocator(), Allocator()
        python.PyObject_GetArenaAllocator(ctypes.byref(found))
        ours.context = resource.getpagesize()  # aligned_alloc(context, size)
        ours.allocate = ctypes.cast(libc.aligned_alloc, ctypes.c_void_p)
        ours.free = ctypes.cast(
            libc.labs, ctypes.c_void_p
        )  # does nothing: only seen by what is freed while warming up
        python.PyObject_SetArenaAllocator(ctypes.byref(ours))
    except AttributeError:
        return None
    return lambda: python.PyObject_SetArenaAllocator(ctypes.byref(found))


def native_loop(config: dict):
    """`caco_fork_loop` of forker.c, compiled by the coordinator; None when it is not to be had: then `fork_loop` serves."""
    if config["native"] < 0:
        return None
    import ctypes

    try:
        loop = ctypes.PyDLL(f"/proc/self/fd/{config['native']}").caco_fork_loop
    except (OSError, AttributeError):
        return None
    finally:
        os.close(config["native"])
    return loop


def keep_text_mapped(confine: dict) -> None:
    """Has a fork copy the page-table entries of the interpreter's and the C library's text.

    Left alone a fork drops those of files, and every program faults them in again, fifty times. A mapping with one
    private page is copied whole: so one byte of each is written with what it is.
    """
    if sys.platform != "linux":
        return
    import ctypes

    mprotect, names = confine["libc"]().mprotect, ("libpython", "/python", "libc.so", "libc-", "ld-linux")
    with open("/proc/self/maps") as file:
        lines = file.read().splitlines()
    for line in lines:
        fields = line.split()
        if fields[1] not in ("r-xp", "r--p") or len(fields) < 6:
            continue
        if not any(name in "/" + os.path.basename(fields[5]) for name in names):
            continue
        start, end = (int(part, 16) for part in fields[0].split("-"))
        protection = 5 if fields[1] == "r-xp" else 1
        where, length = ctypes.c_void_p(start), ctypes.c_size_t(end - start)
        if mprotect(where, length, protection | 2) == 0:  # some systems refuse what is both written and run
            ctypes.memmove(start, start, 1)
            mprotect(where, length, protection)


def address_space() -> int:
    """Bytes of address space of this process; 0 where the system doesn't say (then RLIMIT_AS is not used)."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[0]) * resource.getpagesize()
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
