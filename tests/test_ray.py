"""Shards on a real Ray cluster of several raylets: the bytes of a local run, also when workers and nodes are lost."""

import contextlib
import json
import os
import signal
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from nano_model import nano_model
from stage_runs import recording, run_stages, write_json_lines

from caco_recipes import pipeline
from caco_recipes.run_folder import RunError

pytest.importorskip("ray", reason="executor: ray is an extra: pip install 'caco-recipes[ray]'")
HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def cluster():
    """A head without processors for tasks and two nodes of one processor each."""
    import ray
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_worker_niceness", "0")
        patch.setenv("RAY_health_check_failure_threshold", "2")
        patch.setenv("RAY_health_check_period_ms", "500")
        patch.setenv("PYTHONPATH", f"{HERE}{os.pathsep}{HERE.parent}")  # the toy stages, for the nodes' workers
        made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
        made.add_node(num_cpus=1)
        made.add_node(num_cpus=1)
        ray.init(address=made.address, log_to_driver=False, logging_level="error")
        yield made
        ray.shutdown()
        made.shutdown()


@pytest.fixture(autouse=True)
def toy_stages(monkeypatch):
    monkeypatch.syspath_prepend(str(HERE))
    monkeypatch.setitem(pipeline.STAGES, "numbers", "toy_numbers")
    monkeypatch.setitem(pipeline.STAGES, "fragile", "toy_fragile")


def parts(run, *steps):
    return {
        f"{step}/{path.name}": path.read_bytes()
        for step in steps
        for path in sorted((run.folder / step).glob("*"))
        if ".timing." not in path.name and path.name != "manifest.json"
    }


def both_ways(folder, stages, recordings=None, **keys):
    runs = []
    for executor in ("local", "ray"):
        (folder / executor).mkdir()
        runs.append(run_stages(folder / executor, stages, recordings, executor=executor, **keys))
    return runs


def events(run, kind):
    lines = (run.folder / "events.jsonl").read_text().splitlines()
    return [event for event in map(json.loads, lines) if event["event"] == kind]


def test_a_loop_on_two_nodes_has_the_bytes_of_a_local_run(cluster, tmp_path):
    """A source in order, actors with an engine, tasks with a sandbox, a step in order."""
    seeds = [{"problem": f"What is {n} + {n}?", "answer": str(2 * n)} for n in range(24)]
    program = "```python\ndef add(a, b):\n    c = a + b\n    d = c * 1\n    return d\n\ninput = {{'a': {n}, 'b': {n}}}\noutput = add(**input)\nprint(output)\n```"
    recordings = [recording("unify", seed["problem"], program.format(n=n % 20)) for n, seed in enumerate(seeds)]
    path = write_json_lines(tmp_path / "seeds.jsonl", seeds)
    stages = {
        "seeds": {"sources": [{"path": str(path)}]},
        "unify": {"engine": "recorded"},
        "execute": {},
        "dedup": {},
    }
    local, remote = both_ways(tmp_path, stages, recordings, shard_rows=6)
    steps = list(stages)
    assert parts(remote, *steps) == parts(local, *steps)
    for step in steps:
        ours, theirs = remote.step_folder(step).manifest(), local.step_folder(step).manifest()
        assert (ours["totals"], ours["fingerprint"]) == (theirs["totals"], theirs["fingerprint"])
    assert local.step_folder("dedup").manifest()["totals"]["accepted"] == 20
    assert Counter(e["step"] for e in events(remote, "part")) == Counter(e["step"] for e in events(local, "part"))
    assert sum(event["asked"] for event in events(remote, "generation")) == 24


@pytest.mark.slow
def test_a_row_that_ends_its_workers_is_isolated_and_the_rest_is_as_ever(cluster, tmp_path):
    stages = {"numbers": {"count": 20}, "fragile": {"kills": [13], "raises": ["KeyError:17"]}}
    run = run_stages(tmp_path, stages, shard_rows=4, executor="ray")
    folder = run.step_folder("fragile")
    assert [row["number"] for row in folder.read()] == [n for n in range(20) if n not in (13, 17)]
    aside = {row["number"]: (row["verdict"], row["reason"]) for row in folder.read("rejected")}
    assert aside == {
        13: ("undecided", "infrastructure:worker died in fragile"),
        17: ("undecided", "infrastructure:KeyError in fragile"),
    }
    assert len(events(run, "worker_died")) == 2 and len(events(run, "row_lost")) == 2


def test_what_a_stage_raises_in_a_worker_is_raised_here(cluster, tmp_path):
    with pytest.raises(RuntimeError, match=r"^3$"):
        run_stages(tmp_path, {"numbers": {"count": 8}, "fragile": {"raises": ["RuntimeError:3"]}}, executor="ray")
    (tmp_path / "engine").mkdir()
    engine = {
        "nobody": {
            "engine": "openai",
            "model": "m",
            "base_url": ["http://127.0.0.1:9/v1"],
            "server_wait": 0.5,
            "endpoint": "chat",
        }
    }
    path = write_json_lines(tmp_path / "seeds.jsonl", [{"problem": "p", "answer": "1"}])
    stages = {"seeds": {"sources": [{"path": str(path)}]}, "unify": {"engine": "nobody"}}
    with pytest.raises(RuntimeError, match=r"engines\.nobody"):
        run_stages(tmp_path / "engine", stages, engines=engine, executor="ray", shard_rows=5)


@pytest.mark.slow
def test_a_node_that_is_killed_in_the_middle_costs_nothing(cluster, tmp_path):
    pids = tmp_path / "pids"
    stages = {"numbers": {"count": 100}, "fragile": {"sleep": 0.4, "pids": str(pids)}}
    victim = cluster.add_node(num_cpus=1)
    killed = threading.Event()

    def kill() -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not (
            pids.exists() and len({line.split()[0] for line in pids.read_text().splitlines()}) >= 3
        ):
            time.sleep(0.05)
        cluster.remove_node(victim, allow_graceful=False)
        killed.set()

    killer = threading.Thread(target=kill)
    killer.start()
    run = run_stages(tmp_path, stages, shard_rows=4, executor="ray")
    killer.join()
    assert killed.is_set()
    assert [row["square"] for row in run.step_folder("fragile").read()] == [n * n for n in range(100)]
    assert not list(run.step_folder("fragile").read("rejected"))


def test_an_address_where_nothing_is_is_an_error(monkeypatch, tmp_path):
    import ray

    from caco_recipes import ray_executor

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", _refuse)
    run = pipeline.Run(pipeline.RunConfig(name="x", stages={"a": {}}, ray_address="nowhere:1"), tmp_path, [])
    with pytest.raises(RunError, match="the Ray cluster at nowhere:1 can't be reached"):
        ray_executor.connect(run)


def _refuse(*arguments, **keywords):
    raise ConnectionError("refused")


@pytest.mark.slow
def test_an_actor_that_is_killed_with_its_model_is_replaced(cluster, tmp_path):
    nano = {"engine": "transformers", "model": str(nano_model()), "batch_size": 4, "actors": 2, "max_model_len": 512}
    stages = {"sample": {"engine": "nano", "num_programs": 48, "max_tokens": 48, "temperature": 1.0}}
    keys = {"engines": {"nano": nano}, "shard_rows": 4, "shards_at_once": 2}
    (tmp_path / "local").mkdir()
    (tmp_path / "ray").mkdir()
    local = run_stages(tmp_path / "local", stages, **keys)
    killed = []

    def kill() -> None:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and not list((tmp_path / "ray").rglob("part-*.parquet")):
            time.sleep(0.02)
        for command in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                if command.read_bytes().startswith(b"ray::EngineActor") and not killed:
                    os.kill(int(command.parent.name), signal.SIGKILL)
                    killed.append(int(command.parent.name))

    killer = threading.Thread(target=kill)
    killer.start()
    remote = run_stages(tmp_path / "ray", stages, executor="ray", **keys)
    killer.join()
    assert killed and events(remote, "worker_died")
    assert parts(remote, "sample") == parts(local, "sample")
    assert not any(
        "infrastructure" in reason for reason in remote.step_folder("sample").manifest()["totals"]["reasons"]
    )
