"""The process that makes the processes of programs, seen from the fork server, and its loop in Python.

Loaded by the stand-alone fork server. forker.c is the same loop for machines with a C compiler.
"""

import builtins
import contextlib
import ctypes
import os
import socket
import struct

HIGHEST_FD = 256
ORDER = struct.Struct("<IIII")  # slot, length of what lies in it, ceiling of CPU seconds, way to run
BIRTH = struct.Struct("<ii")  # slot, process id (or a negative error number)


class Tools(ctypes.Structure):
    """program.c's `struct tools`: the objects that it needs, found before any program runs."""

    _fields_ = [
        *((name, ctypes.c_void_p) for name in "builtins builtins_name main_name output_name input_name".split()),
        *((name, ctypes.c_void_p) for name in "standard_output flush_name finish no".split()),
        *((name, ctypes.c_int) for name in "frames enough characters items depth".split()),
    ]

    @classmethod
    def of(cls, zygote) -> "Tools":
        harness = zygote.harness
        objects = (
            *(builtins, "__builtins__", "__main__", "output", "input", harness.stdout, "flush", harness.finish),
            zygote.harness_module["MISSING"],
        )
        # what is beyond these bounds the harness encodes
        bounds = (
            min(bound, 1 << 20) for bound in (zygote.bounds.characters, zygote.bounds.items, zygote.bounds.depth)
        )
        tools = cls(*map(id, objects), 0, 2 * zygote.harness_module["FRAMES"], *bounds)
        tools.kept = objects
        harness.captured = zygote.harness_module["MISSING"]  # by no program of the warm-up
        vars(builtins)[zygote.harness_module["CAPTURE"]] = harness.capture
        return tools


class Forker:
    """A process that holds what programs need, and does nothing but fork: each program is a copy of it.

    The server writes to its own memory all the time; a process that forks after that copies page tables which have been
    broken up, and pays again for each page that it then writes. This one stays as it was when it was made. Its children
    are the server's (CLONE_PARENT), which waits for them. It is told a slot, and answers with a process id.
    """

    def __init__(self):
        self.buffer = b""

    def start(self, zygote) -> None:
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
        self.kill = zygote.signal_child
        theirs.close()
        self.channel, self.descriptor = ours, ours.fileno()

    def native_call(self, zygote, channel: int):
        """(the call of forker.c's loop, the array in which each new process finds its order), or (None, None)."""
        if zygote.loop is None:
            return None, None
        ranges = [number for pair in zygote.heap for number in pair]
        slots = [descriptor for slot in zygote.all_slots for descriptor in slot.descriptors()]
        order = (ctypes.c_uint * 4)()
        tools = Tools.of(zygote)
        arguments = (
            ctypes.c_int(channel),
            (ctypes.c_ulong * len(ranges))(*ranges),
            ctypes.c_long(len(zygote.heap)),
            (ctypes.c_int * len(slots))(*slots),
            ctypes.c_long(zygote.pid),
            zygote.child_filter.pointer if zygote.child_filter is not None else None,
            order,
            ctypes.byref(tools),
        )

        def call() -> None:
            tools.frames = zygote.harness_module["frames"]()
            zygote.loop(*arguments)

        return call, order

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
        self.kill(self.pid)


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


def native_calls(config: dict):
    """(`caco_fork_loop` of forker.c, `caco_gather` of gather.c), compiled by the coordinator; (None, None) without them."""
    if config["native"] < 0:
        return None, None
    try:
        library = ctypes.PyDLL(f"/proc/self/fd/{config['native']}")
        return library.caco_fork_loop, library.caco_gather
    except (OSError, AttributeError):
        return None, None
    finally:
        os.close(config["native"])
