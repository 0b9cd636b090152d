"""Whether a program that gets next to no CPU time sleeps, or waits for a CPU that others have.

Asked by a fork server before it ends a program for sleeping; answered by the coordinator, which has a /proc where the
server has none. A CPU clock alone can't tell the two apart: beside programs of a much higher priority one that is ready
to run may stand still for seconds.
"""

import os


def is_asleep(server: int, pid: int) -> bool:
    """False when a thread of the program is ready to run, or waits for a disk.

    `server` is the process that the coordinator started; `pid` is the program's id as its fork server knows it, which
    at `strict` is that of a namespace. True where the system doesn't say.
    """
    try:
        for child in _children(server):
            for candidate in (child, *_children(child)):
                if _innermost_id(candidate) == pid:
                    return not any(state in "RD" for state in _states(candidate))
    except (OSError, ValueError, IndexError):
        pass
    return True


def _children(pid: int) -> list[int]:
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(child) for child in file.read().split()]


def _innermost_id(pid: int) -> int:
    """Its id in the namespace that it lives in."""
    with open(f"/proc/{pid}/status") as file:
        for line in file:
            if line.startswith("NSpid:"):
                return int(line.split()[-1])
    return pid


def _states(pid: int) -> list[str]:
    """The letter of `ps` for each thread."""
    found = []
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/stat") as file:
            found.append(file.read().rpartition(")")[2].split()[0])
    return found
