"""What a fork server does once it is confined: jobs in, a process for each, watched from outside, answers out.

Loaded by the stand-alone fork server; `Zygote` in zygote.py is what it serves with. It never runs a line of a program,
nor parses one.
"""

import contextlib
import gc
import marshal
import os
import resource
import select
import signal
import struct
import time

FRAME = struct.Struct("<I")
# kind, job id, wait status, killed, cpu seconds, wall seconds, peak KB, stdout size, then lengths: facts, results, stdout
REPLY = struct.Struct("<cQiBddQQIII")
# where a program's process finds things; 0 and 2 are /dev/null
STDOUT_FD, RESULT_FD, JOB_FD, FACTS_FD = 1, 3, 4, 5
HIGHEST_FD = 256
JOB = struct.Struct("<16s?B")  # in the slot: nonce, rules wanted, what is known of `input`; then the program
COMPILED, SINGLE, VARIANTS, SHARED, SELF_TEST = range(5)  # ways to run
WAYS = {"single": SINGLE, "variants": VARIANTS, "shared": SHARED}
KILLED_IDLE, ASK = 2, 3  # as in children.py


class Service:
    """The methods of a fork server from its first job to its last."""

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
            while self.queue and len(self.slots) > self.compiling() + len(self.ready):
                self.start_job(self.queue.pop(0))
            while self.ready and self.living() < self.config["at_once"]:
                self.launch(*self.ready.popleft())

    def living(self) -> int:
        """How many programs run now; those that sleep don't count: they leave the cores to others."""
        return len(self.unborn) + sum(not child.parked for child in self.running.values())

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
            job = marshal.loads(bytes(self.buffer[4 : 4 + length]))
            del self.buffer[: 4 + length]
            if job[1] in WAYS:
                self.queue.append(job)
            else:
                self.answered(*job[:2])
        return True

    def start_job(self, job: tuple) -> None:
        """A single program goes to the compiler process first; the others compile in their own."""
        if job[1] != "single":
            self.ready.append((job,))
            return
        if self.compiler is None:
            try:
                self.compiler = self.new_compiler(self)
                self.poll.register(self.compiler.descriptor, select.POLLIN)
            except OSError:  # no process or descriptor to be had now
                self.ready.append((job,))
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
        for job, facts, code, known in finished:
            if code:
                self.ready.append((job, facts, code, known))
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
            self.ready.append((jobs[0],))
        self.queue[:0] = jobs[1:]

    def launch(self, job: tuple, facts: bytes = b"", code: bytes = b"", known: int = 0) -> None:
        """Lays a program into a slot and has a process made for it."""
        number, kind, cpu, idle, want_rules, sources, inputs = job
        slot = self.slots.pop()
        runs = max(1, len(inputs), len(sources))
        child = self.new_child(number, slot, os.urandom(16), cpu, idle, runs, facts)
        way = COMPILED if code else WAYS[kind]
        ceiling = int(cpu * runs) + 2
        try:
            slot.clear()
            length = slot.fill(JOB.pack(child.nonce, want_rules, known) + (code or marshal.dumps((sources, inputs))))
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
            self.signal_child(pid)
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
            if self.child_filter is not None:
                self.confine["limit_cpu"](ceiling)
                self.child_filter.install()
            else:
                resource.setrlimit(resource.RLIMIT_CPU, (ceiling, ceiling + 1))
        except BaseException:
            self.exit_now(70)
        self.run_order(length, way)

    def run_order(self, length: int, way: int) -> None:
        """In a confined process: reads its order and runs it. Never returns."""
        harness = self.harness
        try:
            if way == SELF_TEST:
                os.write(RESULT_FD, (", ".join(self.holes(self.level)) or "none").encode())
                self.exit_now(0)
            job = os.pread(JOB_FD, length, 0)
            os.close(JOB_FD)
            nonce, want_rules, known = JOB.unpack_from(job)
            gc.enable()
            if way == COMPILED:
                harness.main_compiled(job[JOB.size :], known, nonce, RESULT_FD)
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
                if verdict == ASK:
                    child.asked = True
                    self.send(REPLY.pack(b"W", child.number, 0, 0, 0, 0, 0, 0, 0, 0, 0), str(child.pid).encode())
                elif verdict:
                    child.killed = verdict
                    self.kill(child)
                elif child.quiet_seconds > 0.09 and not child.parked:
                    child.parked = True
                    self.send(REPLY.pack(b"I", child.number, 0, 0, 0, 0, 0, 0, 0, 0, 0))

    def answered(self, number: int, found: str) -> None:
        """The coordinator's answer about a program that looked asleep: "asleep" or "awake"."""
        for child in self.running.values():
            if child.number == number and child.asked:
                if found == "asleep":
                    child.killed = KILLED_IDLE
                    self.kill(child)
                else:
                    child.found_awake()

    def kill(self, child) -> None:
        if self.pidfds:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(child.handle, signal.SIGKILL)
        else:
            self.signal_child(child.pid)

    def reap(self, child) -> None:
        pid, status, usage = os.wait4(child.pid, os.WNOHANG)
        if pid == 0:
            return
        wall = time.monotonic() - child.started
        if self.pidfds:
            self.poll.unregister(child.handle)
            os.close(child.handle)
        del self.running[child.handle]
        if child.killed == KILLED_IDLE and status != signal.SIGKILL:
            child.killed = 0  # it came to its end by itself first
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
