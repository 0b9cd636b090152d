"""Tests that need vLLM: its CPU build, in an environment of its own (`make install-vllm`). Skipped elsewhere.

.venv-vllm/bin/python -m pytest -m vllm tests/with_vllm
"""

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from nano_model import nano_model

# Read by vLLM when it is imported, and by the servers that the tests start.
os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
os.environ.setdefault("VLLM_CPU_NUM_OF_RESERVED_CPU", "0")
os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

HERE = Path(__file__).resolve().parent


def pytest_collection_modifyitems(items):
    missing = importlib.util.find_spec("vllm") is None
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.vllm)
            if missing:
                item.add_marker(pytest.mark.skip(reason="vLLM is not in this environment (make install-vllm)"))


@pytest.fixture(scope="session")
def nano() -> str:
    return str(nano_model())


class VllmServer:
    """A real vLLM server on a loopback port."""

    def __init__(self, model: str, port: int | None = None) -> None:
        self.model = model
        if port is None:
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                port = free.getsockname()[1]
        self.port = port
        self.url = f"http://127.0.0.1:{port}/v1"
        self._process: subprocess.Popen | None = None
        self.start()

    def start(self) -> None:
        """Starts the process; `wait` waits for it."""
        command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", self.model]
        command += ["--served-model-name", "nano", "--host", "127.0.0.1", "--port", str(self.port)]
        command += ["--dtype", "float32", "--max-model-len", "512", "--enforce-eager"]
        command += ["--no-enable-chunked-prefill"]  # see docs/engines.md
        # A session of its own, so that its workers can be ended with it.
        self._process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )

    def wait(self, seconds: float = 240) -> "VllmServer":
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            assert self._process.poll() is None, "the server ended while it started"
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=2):
                    return self
            except (urllib.error.URLError, OSError):
                time.sleep(0.5)
        raise AssertionError(f"no server within {seconds} s")

    def answered(self) -> int:
        """Requests that this process has finished, by its own count."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=10) as response:
            lines = response.read().decode().splitlines()
        return int(
            sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith("vllm:request_success_total"))
        )

    def kill(self) -> None:
        """SIGKILL to the server and its workers."""
        if self._process is not None:
            try:
                os.killpg(self._process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass  # ended by itself
            self._process.wait()
            self._process = None


@pytest.fixture
def serve(nano):
    servers: list[VllmServer] = []

    def start(port: int | None = None) -> VllmServer:
        servers.append(VllmServer(nano, port))
        return servers[-1]

    yield start
    for server in servers:
        server.kill()
