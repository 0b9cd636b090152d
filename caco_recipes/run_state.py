"""What a run is doing right now, from its folder alone: `caco status RUN`, also from another terminal or machine.

A command that works on a run holds a lock on `runs/NAME/.lock`, which the kernel gives back when the command is gone,
however it went; and it writes heartbeats. On the same machine the lock decides whether it lives; on another one (the lock
of a shared file system may not reach it) a heartbeat of the last half minute does.
"""

import fcntl
import os
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from caco_recipes.budget import duration
from caco_recipes.events import TAIL, read_events
from caco_recipes.funnel import Step, read_run, recorded_steps, text_table
from caco_recipes.progress import live_line
from caco_recipes.run_folder import RunError

SILENT_SECONDS = 30.0
RUNNING = "running"


@dataclass
class RunState:
    """A run's state.

    Attributes:
        run: its folder.
        state: `running`, `finished`, `stopped at its budget`, `failed`, `interrupted` or `killed`; `not started`.
        why: what its end said, where it said something.
        pid, host: of the last command.
        heartbeat: the step under way as its last heartbeat told (`events.jsonl`); empty before the first.
        heartbeat_age: seconds since then.
        steps: step -> rows, verdicts, reasons, tokens, seconds, whether it is complete.
        planned: names of the steps of the last command.
    """

    run: str
    state: str
    why: str = ""
    pid: int | None = None
    host: str = ""
    heartbeat: dict[str, Any] = field(default_factory=dict)
    heartbeat_age: float | None = None
    planned: list[str] = field(default_factory=list)
    steps: list[dict[str, Any]] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def read_state(run: str | Path) -> RunState:
    """The state of a run's folder. Raises `RunError` when it is none."""
    folder = Path(run)
    if not folder.is_dir():
        raise RunError(f"{folder} is not a folder: give a run's folder, for example runs/quickstart")
    if not (folder / "events.jsonl").exists() and not (folder / ".lock").exists():
        raise RunError(f"{folder} holds no run yet: start it with caco run RECIPE")
    start, end, beat = _last(folder / "events.jsonl", TAIL)
    if start is None:  # a long run's beginning lies before the tail
        start = _last(folder / "events.jsonl", None)[0]
    session = (start or {}).get("session", "")
    made = RunState(str(folder), "not started")
    if start:
        made.pid, made.host = start.get("pid"), session.partition(":")[0]
        made.planned = [str(name) for name in start.get("steps") or []]
    if beat and beat.get("session") == session:
        made.heartbeat = {key: value for key, value in beat.items() if key not in ("event", "session")}
        made.heartbeat_age = round(max(0.0, time.time() - float(beat.get("time") or 0)), 1)
    ended = end if end and end.get("session") == session else None
    if ended:
        outcomes = {"budget": "stopped at its budget", "finished": "finished", "interrupted": "interrupted"}
        made.state, made.why = outcomes.get(str(ended.get("outcome")), "failed"), str(ended.get("why") or "")
    elif start:
        made.state = RUNNING if _alive(folder / ".lock", made) else "killed"
    try:
        steps = read_run(folder)
    except RunError:
        steps = []  # the first step has not begun
    made.steps = [_step_facts(step) for step in steps]
    if not start and steps:  # its events are gone, or it is older than they are
        made.state = "finished" if all(step.complete for step in steps) else "not running"
    return made


def _last(path: Path, tail: int | None) -> tuple[dict | None, dict | None, dict | None]:
    """The last run_start, run_end and heartbeat."""
    found: dict[str, dict[str, Any]] = {}
    for event in read_events(path, tail):
        found[event["event"]] = event
    return found.get("run_start"), found.get("run_end"), found.get("heartbeat")


def _alive(lock: Path, state: RunState) -> bool:
    if state.host == os.uname().nodename:
        try:
            os.kill(state.pid, 0)
        except (ProcessLookupError, TypeError, OverflowError):
            return False
        except PermissionError:
            pass  # it lives, and belongs to somebody else
        try:
            # Only asked where a process of that number lives, so that a look never stands in the way of a start.
            with open(lock, "rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                return False  # nobody holds it; closing the file gives ours back
        except BlockingIOError:
            return True
        except OSError:
            return False
    return state.heartbeat_age is not None and state.heartbeat_age < SILENT_SECONDS


def _step_facts(step: Step) -> dict[str, Any]:
    names = ("name", "stage", "complete", "rows", "accepted", "rejected", "undecided", "reasons", "tokens", "seconds")
    return {name: getattr(step, name) for name in names}


def state_text(run: str | Path) -> str:
    """The funnel, and below it what the run is doing. Raises `RunError` when `run` is no run's folder."""
    state = read_state(run)
    lines = []
    if state.steps:
        steps = read_run(run)
        recorded = recorded_steps(steps)
        lines.append(text_table(steps, recorded))
        if recorded:
            lines.append("[recorded]: answers of people or models recorded earlier, replayed; no model ran there.\n")
    return "\n".join([*lines, state_line(state)]) + "\n"


def state_line(state: RunState) -> str:
    """What a run is doing, on a line or two."""
    head = f"{state.run}: {state.state}" + (f" ({state.why})" if state.why else "")
    if state.state == RUNNING:
        head += f", process {state.pid} on {state.host}"
        step = state.heartbeat.get("step")
        if step in state.planned:
            head += f", step {state.planned.index(step) + 1} of {len(state.planned)}"
        if state.heartbeat_age is None:
            return head + ", starting"
        head += f", heard of {duration(state.heartbeat_age)} ago"
        if state.heartbeat_age > SILENT_SECONDS:
            head += " (no heartbeat since: it may hang, or its machine is very busy)"
        return f"{head}\n  {live_line(state.heartbeat)}"
    if state.state in ("killed", "interrupted", "failed") or state.state.startswith("stopped"):
        step = state.heartbeat.get("step")
        at = f" It was at {step}." if step else ""
        return f"{head}.{at} What was finished is kept; the same caco run command goes on from there."
    return head
