"""The slow tier: math-verify in worker processes that are killed when they hang, and `Grader`, which keeps them.

A worker is a plain subprocess that talks JSON lines over pipes. Its limit runs in the parent (`select` on the pipe), so it holds in any thread
and in async code, and a killed worker takes down one pair only: that pair is `undecided`, reason `infrastructure:timeout`.
"""

import json
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from caco_recipes.grading.grade import check_options, fast, needs_slow
from caco_recipes.grading.typed import grade_output, printed
from caco_recipes.verdicts import ACCEPTED, REJECTED, UNDECIDED, Verdict

START_SECONDS = 120.0  # importing sympy on a busy machine; not counted as any pair's time
_RULE = "math-verify"


class _Worker:
    """One subprocess. Not thread-safe: `Grader` lends it to one thread at a time."""

    def __init__(self, timeout: float):
        self.timeout = timeout
        self.process: subprocess.Popen | None = None
        self.buffer = b""

    def _start(self) -> None:
        environment = {
            "PATH": os.environ.get("PATH", ""),
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "caco_recipes.grading.slow_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,  # Ctrl-C reaches the parent, which then stops its workers in order
        )
        self.buffer = b""
        if self._line(START_SECONDS) != b"ready":
            self.stop()
            raise OSError("the math-verify worker didn't start; is math-verify installed in this environment?")

    def _line(self, seconds: float) -> bytes | None:
        """The next line, or None when the time is over or the worker is gone."""
        assert self.process and self.process.stdout
        deadline = time.monotonic() + seconds
        pipe = self.process.stdout.fileno()
        while b"\n" not in self.buffer:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([pipe], [], [], left)[0]:
                return None
            chunk = os.read(pipe, 65536)
            if not chunk:
                return None
            self.buffer += chunk
        line, _, self.buffer = self.buffer.partition(b"\n")
        return line

    def warm(self) -> None:
        if self.process is None or self.process.poll() is not None:
            self._start()

    def compare(self, gold: str, pred: str) -> Verdict:
        for _ in range(2):
            self.warm()
            assert self.process and self.process.stdin
            try:
                self.process.stdin.write(json.dumps([gold, pred]).encode() + b"\n")
                self.process.stdin.flush()
                break
            except OSError:  # it died between two pairs: a new one, once
                self.stop()
        else:
            return Verdict(UNDECIDED, "infrastructure:worker_died", _RULE)
        line = self._line(self.timeout)
        if line is None:
            died = self.process.poll() is not None
            self.stop()
            return Verdict(UNDECIDED, "infrastructure:worker_died" if died else "infrastructure:timeout", _RULE)
        answer = json.loads(line)
        if answer == "equal":
            return Verdict(ACCEPTED, "", _RULE)
        if answer == "different":
            return Verdict(REJECTED, "answer_mismatch", _RULE)
        return Verdict(UNDECIDED, "infrastructure:unreadable_answer", _RULE)

    def stop(self) -> None:
        process, self.process = self.process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            try:
                if pipe:
                    pipe.close()
            except OSError:
                pass  # unsent bytes to a process that is gone


class Grader:
    """Grades with the slow tier in. A context manager; any number of threads may share one.

    Args:
        workers: most math-verify processes at a time. They start when the first undecided pair comes, and are reused.
        timeout: seconds one pair may take in a worker before that worker is killed and the pair is `undecided`.

    From async code: `await asyncio.to_thread(grader.grade, gold, pred)`.
    """

    def __init__(self, workers: int = 1, timeout: float = 3.0):
        if workers < 1:
            raise ValueError(f"workers must be at least 1, got {workers}")
        if timeout <= 0:
            raise ValueError(f"timeout must be positive, got {timeout}")
        self._idle = [_Worker(timeout) for _ in range(workers)]
        self._all = list(self._idle)
        self._free = threading.Condition()
        self._closed = False

    def __enter__(self) -> "Grader":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        """Waits for pairs in work, then stops the workers."""
        with self._free:
            self._closed = True
            while len(self._idle) < len(self._all):
                self._free.wait()
            for worker in self._all:
                worker.stop()

    def warm(self) -> "Grader":
        """Starts one worker now, so that the first undecided pair doesn't wait for imports."""
        self._with_worker(_Worker.warm)
        return self

    def _with_worker(self, action):
        with self._free:
            while not self._idle and not self._closed:
                self._free.wait()
            if self._closed:
                raise ValueError("this Grader is closed")
            worker = self._idle.pop()
        try:
            return action(worker)
        finally:
            with self._free:
                self._idle.append(worker)
                self._free.notify()

    def _slow(self, gold: str, pred: str) -> Verdict:
        try:
            return self._with_worker(lambda worker: worker.compare(gold, pred))
        except OSError as fault:
            return Verdict(UNDECIDED, f"infrastructure:{type(fault).__name__}", _RULE)

    def grade(self, gold: str, pred: str, *, kind: str = "answer", policy: str = "exact") -> Verdict:
        """`grade` of this package, with the slow tier for what the fast ones can't tell."""
        check_options(kind, policy)
        verdict = fast(gold, pred, kind, policy)
        if not needs_slow(verdict):
            return verdict
        text = printed(pred) if kind == "typed" else pred
        return verdict if text is None else self._slow(gold, text)

    def grade_output(self, output: object, answer: str, *, policy: str = "rounding") -> Verdict:
        """`grading.grade_output` (dual verification), with the slow tier where the answer or a printed output can't be read."""
        check_options("typed", policy)
        verdict = grade_output(output, answer, policy=policy)
        if needs_slow(verdict) and (text := printed(output)) is not None:
            return self._slow(text, answer)
        return verdict

    def grade_many(self, pairs: Iterable[tuple], *, policy: str = "exact") -> list[Verdict]:
        """Verdicts of `(gold, pred)` or `(gold, pred, kind)`, in order. Undecided pairs run on all workers at once."""
        pairs = [(*pair, "answer")[:3] for pair in pairs]
        for kind in {kind for _, _, kind in pairs}:
            check_options(kind, policy)
        verdicts = [fast(gold, pred, kind, policy) for gold, pred, kind in pairs]
        open_pairs = {
            (pairs[i][0], pairs[i][1])
            for i, verdict in enumerate(verdicts)
            if needs_slow(verdict) and pairs[i][2] != "typed"
        }
        if open_pairs:
            with ThreadPoolExecutor(len(self._all)) as threads:
                ordered = sorted(open_pairs)
                answers = dict(zip(ordered, threads.map(lambda pair: self._slow(*pair), ordered), strict=True))
            verdicts = [
                answers.get((gold, pred), verdict) if needs_slow(verdict) else verdict
                for verdict, (gold, pred, _) in zip(verdicts, pairs, strict=True)
            ]
        return verdicts
