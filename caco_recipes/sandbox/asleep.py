"""Whether a program that gets next to no CPU time sleeps, or waits for a CPU that others have.

Asked by a fork server before it ends a program for sleeping; answered by the coordinator, which has a /proc where the
server has none. A CPU clock alone can't tell the two apart: beside programs of a much higher priority one that is ready
to run may stand still for seconds.
"""

import os


def is_asleep(server: int, pid: int) -> bool:
    """False when a thread of the program is ready to run, or waits for a disk, or when the program has ended meanwhile.

    `server` is the process that the coordinator started; `pid` is the program's id as its fork server knows it, which
    at `strict` is that of a namespace. True where the system doesn't say.
    """
    try:
        os.stat(f"/proc/{server}/task/{server}/children")  # not in every kernel, and there are systems without /proc
        for child in _children(server):
            for candidate in (child, *_children(child)):
                if _innermost_id(candidate) == pid:
                    states = _states(candidate)
                    return bool(states) and not states & AWAKE
    except (OSError, ValueError, IndexError):
        return True
    return False


AWAKE = frozenset("RDZX")  # letters of `ps`: ready to run, waiting for a disk, ended


def _read(path: str) -> str:
    """A file of a process; empty when that has ended, as others of the server do all the time."""
    try:
        with open(path) as file:
            return file.read()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _children(pid: int) -> list[int]:
    return [int(child) for child in _read(f"/proc/{pid}/task/{pid}/children").split()]


def _innermost_id(pid: int) -> int:
    """Its id in the namespace that it lives in; 0 when it has ended. Raises `IndexError` where the system doesn't say."""
    status = _read(f"/proc/{pid}/status")
    return int(status.partition("\nNSpid:")[2].partition("\n")[0].split()[-1]) if status else 0


def _states(pid: int) -> set[str]:
    """The states of its threads; empty when it has ended."""
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except (FileNotFoundError, ProcessLookupError):
        return set()
    told = (_read(f"/proc/{pid}/task/{thread}/stat").rpartition(")")[2].split() for thread in threads)
    return {fields[0] for fields in told if fields}
