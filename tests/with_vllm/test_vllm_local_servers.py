"""vLLM servers that the OpenAI engine starts by itself: supervised, started again when killed, ended with the run."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from caco_recipes.generation import Request, SamplingParams
from caco_recipes.generation.config import EngineConfig
from caco_recipes.generation.engine import EngineError, model_identity, open_engine


def config(model, **keys):
    arguments = {"enforce_eager": True}
    keys = {"dtype": "float32", "max_model_len": 512, "servers": 1, "engine_args": arguments} | keys
    return EngineConfig(engine="openai", model=model, max_in_flight=32, **keys)


def requests(count):
    sampling = SamplingParams(temperature=1.0, max_tokens=40)
    return [(n, Request(f"question {n}", sampling)) for n in range(count)]


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid}/stat") as stat:
        return stat.read().rsplit(")", 1)[1].split()[0] != "Z"


def gone(pids, seconds=40) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not any(alive(pid) for pid in pids):
            return True
        time.sleep(0.2)
    return False


def test_a_server_that_is_killed_is_started_again_and_ends_with_the_engine(nano):
    engine = open_engine(config(nano))
    assert engine.identity == model_identity(EngineConfig(engine="vllm", model=nano))
    answers, first = {}, []
    for key, completion in engine.generate(requests(300)):
        answers[key] = completion
        if len(answers) == 80:
            first = engine._local.pids()
            os.killpg(first[0], signal.SIGKILL)
    assert len(answers) == 300 and not any(answer.error for answer in answers.values())
    second = engine._local.pids()
    assert len(second) == 1 and second != first
    engine.close()
    assert gone(first + second)


def test_servers_end_when_this_process_is_killed(nano):
    program = textwrap.dedent("""
        import sys, time
        from test_vllm_local_servers import config, open_engine, requests
        engine = open_engine(config(sys.argv[1]))
        while not engine._local.pids():
            time.sleep(0.1)
        time.sleep(4)
        print(engine._local.pids()[0], flush=True)
        time.sleep(600)
    """)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([os.path.dirname(__file__), *sys.path])}
    parent = subprocess.Popen(
        [sys.executable, "-c", program, nano], stdout=subprocess.PIPE, text=True, env=environment
    )
    server = int(parent.stdout.readline())
    assert alive(server)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    assert gone([server])


def test_servers_that_can_t_start_are_an_error_with_their_last_words(nano):
    engine = open_engine(config(nano, engine_args={"no_such_option": 3}), "teacher")
    with pytest.raises(
        EngineError, match=r"engines\.teacher\.servers: vLLM ended 3 times in a row[\s\S]*no-such-option"
    ):
        dict(engine.generate(requests(1)))
    engine.close()
