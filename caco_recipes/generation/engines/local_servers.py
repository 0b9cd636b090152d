"""vLLM servers on this machine, one per GPU (or group of GPUs), started and kept alive for the OpenAI engine.

A server that ends is started again, later each time; one that keeps ending while it starts is an error with the last
lines of its log. All of them end with this process, also when it is killed.
"""

import contextlib
import ctypes
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from caco_recipes.generation.config import EngineConfig
from caco_recipes.generation.engine import EngineError
from caco_recipes.generation.model import Model

SETTLED_SECONDS = 180.0  # a server that lived this long had started
STARTS_IN_A_ROW = 3  # that may fail
RESTART_SECONDS, LONGEST_RESTART = 2.0, 60.0
ENDING_SECONDS = 15.0
_PR_SET_PDEATHSIG = 1


@dataclass(slots=True)
class _Local:
    """One server and its process."""

    port: int
    log: Path
    environment: dict[str, str]
    process: subprocess.Popen | None = None
    started: float = 0.0
    failures: int = 0
    next_start: float = 0.0


@dataclass(slots=True)
class LocalServers:
    """Starts `config.servers` servers of a model. `urls` and `api_key` reach them; `check` raises what went wrong."""

    config: EngineConfig
    model: Model
    key: str
    api_key: str = field(default_factory=lambda: secrets.token_hex(16))
    urls: list[str] = field(default_factory=list)
    _servers: list[_Local] = field(default_factory=list)
    _failure: str = ""
    _closing: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    _logs: Path | None = None

    def start(self) -> None:
        """Returns at once; the servers take their time."""
        self._logs = Path(tempfile.mkdtemp(prefix="caco-vllm-"))
        for number, gpus in enumerate(self._gpus()):
            environment = dict(os.environ) | {"VLLM_API_KEY": self.api_key}
            if gpus:
                environment["CUDA_VISIBLE_DEVICES"] = ",".join(gpus)
            server = _Local(_free_port(), self._logs / f"server-{number}.log", environment)
            self._servers.append(server)
            self.urls.append(f"http://127.0.0.1:{server.port}/v1")
        self._thread = threading.Thread(target=self._supervise, name="vllm-servers", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raises `EngineError` if a server can't be kept alive."""
        if self._failure:
            raise EngineError(self._failure)

    def close(self) -> None:
        """Ends every server and its workers."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join()
        if self._logs is not None and not self._failure:
            shutil.rmtree(self._logs, ignore_errors=True)

    def pids(self) -> list[int]:
        """Process ids of the servers that run."""
        return [s.process.pid for s in self._servers if s.process is not None and s.process.poll() is None]

    def _gpus(self) -> list[list[str]]:
        """The GPUs of each server; empty lists where there are none."""
        each = max(1, self.config.tensor_parallel_size)
        if "CUDA_VISIBLE_DEVICES" in os.environ:
            gpus = [gpu for gpu in os.environ["CUDA_VISIBLE_DEVICES"].split(",") if gpu]
        else:
            import torch

            gpus = [str(number) for number in range(torch.cuda.device_count())]
        if not gpus:
            return [[] for _ in range(self.config.servers)]
        if self.config.servers * each > len(gpus):
            raise EngineError(
                f"{self.key}.servers: {self.config.servers} servers of {each} GPUs each, and {len(gpus)} GPUs are here"
            )
        return [gpus[number * each : (number + 1) * each] for number in range(self.config.servers)]

    def _command(self, server: _Local) -> list[str]:
        # The module rather than `vllm serve`: the CPU build has no such command that works.
        command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server"]
        command += ["--model", self.model.name, "--served-model-name", self.config.model]
        command += ["--host", "127.0.0.1", "--port", str(server.port), "--dtype", self.config.dtype]
        command += ["--tensor-parallel-size", str(self.config.tensor_parallel_size), "--enable-prefix-caching"]
        command += ["--gpu-memory-utilization", str(self.config.gpu_memory_utilization)]
        if self.model.revision:
            command += ["--revision", self.model.revision]
        if self.config.max_model_len is not None:
            command += ["--max-model-len", str(self.config.max_model_len)]
        if self.config.trust_remote_code:
            command += ["--trust-remote-code"]
        # Without GPUs: see vllm_engine.py on seeded requests whose prompts are read in parts.
        arguments = {} if "CUDA_VISIBLE_DEVICES" in server.environment else {"enable_chunked_prefill": False}
        for name, value in (arguments | self.config.engine_args).items():
            option = f"--{name.replace('_', '-')}"
            if value is True:
                command += [option]
            elif value is False:
                command += [f"--no-{option[2:]}"]
            else:
                command += [option, str(value)]
        return command

    def _supervise(self) -> None:
        # All processes are started by this thread: they are to end with their parent, which for Linux is a thread.
        libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
        try:
            while not self._closing.wait(0.2) and not self._failure:
                for server in self._servers:
                    self._look_after(server, libc)
        finally:
            self._end_all()

    def _look_after(self, server: _Local, libc: ctypes.CDLL | None) -> None:
        now = time.monotonic()
        if server.process is not None and (status := server.process.poll()) is not None:
            server.process = None
            server.failures = 0 if now - server.started > SETTLED_SECONDS else server.failures + 1
            if server.failures >= STARTS_IN_A_ROW:
                lines = server.log.read_text(errors="replace").splitlines()[-15:]
                self._failure = (
                    f"{self.key}.servers: vLLM ended {server.failures} times in a row (status {status}); the end of "
                    f"{server.log}:\n" + "\n".join(lines)
                )
                return
            server.next_start = now + min(LONGEST_RESTART, RESTART_SECONDS * 2**server.failures)
        if server.process is None and now >= server.next_start:

            def end_with_parent() -> None:
                if libc is not None:
                    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)

            with open(server.log, "ab") as log:
                server.process = subprocess.Popen(
                    self._command(server),
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    stdin=subprocess.DEVNULL,
                    env=server.environment,
                    start_new_session=True,
                    preexec_fn=end_with_parent,
                )
            server.started = now

    def _end_all(self) -> None:
        running = [server.process for server in self._servers if server.process is not None]
        for signal_number, patience in ((signal.SIGTERM, ENDING_SECONDS), (signal.SIGKILL, ENDING_SECONDS)):
            for process in running:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal_number)
            deadline = time.monotonic() + patience
            for process in running:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(max(0.1, deadline - time.monotonic()))


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]
