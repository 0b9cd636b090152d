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
import os
import resource
import select
import signal
import socket
import struct
import sys
import time
import types

HERE = os.path.dirname(os.path.abspath(__file__))
FRAME = struct.Struct("<I")


def load(name: str) -> dict:
    """The names of a sibling file, run (once) outside `sys.modules` and with a private copy of the builtins.

    Programs find neither the module nor a way to patch what it calls.
    """
    if name in loaded:
        return loaded[name]
    path = os.path.join(HERE, name + ".py")
    names = {"__builtins__": vars(builtins) | {"__import__": import_privately}, "__name__": "caco_sandbox_" + name}
    loaded[name] = names
    with open(path, encoding="utf-8") as file:
        exec(compile(file.read(), path, "exec"), names)
    return names


def import_privately(name: str, *rest, public=builtins.__import__):
    """An import in one of these files: of a sibling the copy that is loaded here, of all else the module."""
    package, _, sibling = name.rpartition(".")
    return types.SimpleNamespace(**load(sibling)) if package == "caco_recipes.sandbox" else public(name, *rest)


loaded: dict[str, dict] = {}


# what it does, in the order of a program's way
service = load("service")
children, compiler, forker, memory = load("children"), load("compiler"), load("forker"), load("memory")

# ------------------------------------------------------------------------------------------------ start


class Zygote(service["Service"]):
    def __init__(self, control: socket.socket, config: dict):
        self.control = control
        self.config = config
        self.confine = load("confine")
        self.level = config["isolation"]
        self.pid = os.getpid()
        self.signal_child, self.new_child, self.new_compiler = (
            children["signal_child"],
            children["Child"],
            compiler["Compiler"],
        )
        self.holes = holes
        self.running: dict = {}
        self.unborn: dict = {}
        self.queue: list[tuple] = []
        self.ready: collections.deque[tuple] = collections.deque()  # compiled, or not to be: arguments of `launch`
        self.buffer = bytearray()
        self.pidfds = hasattr(os, "pidfd_open") and not config["portable"]
        self.poll = select.poll()

    def start(self) -> None:
        """Warm-up first, with the rights of an ordinary process; then confinement, step by step, and a test of it."""
        config, confine = self.config, self.confine
        self.settle_paths()
        restore_arenas = memory["gather_arenas"](confine) if config["huge_pages"] else None
        self.import_warm_modules()
        stdout = self.own_stdout()
        self.harness = self.make_harness(stdout)
        self.warm_up()
        self.slots = [children["Slot"](number, config["portable"]) for number in range(config["slots"])]
        self.all_slots = tuple(self.slots)
        self.compiler = self.forker = None
        self.loop, gather = forker["native_calls"](config)
        if restore_arenas is not None:
            restore_arenas()
        self.harness_module["quiet_collector"]()
        self.gathered = config["huge_pages"] and memory["gather_mappings"](confine, gather)
        if not self.gathered:
            memory["keep_text_mapped"](confine)
        self.heap = memory["collapse_heap"](confine) if config["huge_pages"] else []
        self.base_kb = memory["resident_kb"]()
        size = memory["address_space"]()
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
            self.harness.exit_now = self.exit_now
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        self.harness_module["quiet_collector"]()
        self.pid = os.getpid()
        if sys.platform == "linux" and not config["portable"]:
            self.forker = forker["Forker"]()
            self.forker.start(self)
        self.self_test()
        ready = {
            "isolation": self.level,
            "huge_pages": sum(length >> 21 for _, length in self.heap),
            "native": self.loop is not None,
            "gathered": self.gathered,
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
            encoder,
            codec["TooLarge"],
            rules["facts_text"],
            screen["refusal"],
            stdout,
            bounds.characters,
            service["RESULT_FD"],
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
            self.forker.order(slot.number, 0, 10, service["SELF_TEST"])
            ((_, pid),) = self.forker.births()
        else:
            pid = self.fork()
            if pid == 0:
                self.become_program(slot.number, 0, 10, service["SELF_TEST"])
        if pid < 0:
            raise OSError(-pid, os.strerror(-pid))
        _, status, usage = os.wait4(pid, 0)
        self.base_kb = usage.ru_maxrss  # of a process that does next to nothing: what each of them begins with
        found = os.pread(slot.results, 4096, 0).decode()
        if found != "none" or status != 0:
            raise self.confine["Refused"](
                f"the confinement does not hold here: {found or 'its test ended abnormally'}"
            )


# ------------------------------------------------------------------------------------------------ the machine


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
