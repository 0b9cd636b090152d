"""Every map stage of the loop, with recorded answers and a real engine, killed fifty times at random moments.

Five runs of ten kills each. A kill is SIGKILL to the whole process tree; the same command goes on. In the end: the bytes of
an undisturbed run, no answered request asked a second time, nothing damaged.
"""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from nano_model import nano_model

from caco_recipes import pipeline
from caco_recipes.generation import store_care

KILLS = 10
NOT_COMPARED = ("events.jsonl", ".lock")
# Stages that the chaos recipe leaves out, and why.
ELSEWHERE = {
    "imported": "a source like seeds, without a model or a sandbox",
    "draw": "a source that reads another run; in tests/test_control.py",
    "control": "no shards; in tests/test_control.py",
    "sft": "training has checkpoints of its own",
    "publish": "no shards; in tests/test_kill.py",
    "evaluate": "no shards",
    "report": "no shards; not compared",
}


def recipe(folder: Path) -> Path:
    content = {
        "name": "chaos",
        "output_dir": str(folder),
        "shard_rows": 8,
        "workers": 2,
        "engines": {
            "recorded": {"engine": "recorded", "path": "recipes/quickstart/data/recorded.jsonl"},
            "nano": {"engine": "transformers", "model": str(nano_model()), "batch_size": 8, "max_model_len": 512},
        },
        "stages": {
            "seeds": {"sources": [{"path": "recipes/quickstart/data/seeds.jsonl"}], "limit": 60},
            "unify": {"engine": "recorded", "only": "recorded"},
            "unify_programs": {"stage": "unify", "input": ["seeds"], "method": "mechanical", "only": "with_program"},
            "execute": {"input": ["unify", "unify_programs"]},
            "program_keys": {},
            "dedup": {},
            "decontaminate": {},
            "metamorphic": {"limit": 12},
            "back_translate": {"engine": "recorded", "only": "recorded"},
            "faithful": {"derived": "accept"},
            "variants": {"input": ["back_translate"], "limit": 20},
            "solve": {"engine": "recorded", "input": ["back_translate"]},
            "verify": {},
            "domains": {},
            "compose": {"input": ["dedup"], "limit": 20},
            # The real engine: what a random model writes is rejected, and paid for all the same.
            "sample": {"engine": "nano", "num_programs": 60, "max_tokens": 24, "temperature": 1.0},
            "difficulty": {"engine": "nano", "input": ["verify"], "limit": 16, "attempts": 2, "max_tokens": 16},
        },
    }
    path = folder / "chaos.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def start(root, folder):
    folder.mkdir(exist_ok=True)
    words = [sys.executable, "-m", "caco_recipes", "run", str(recipe(folder))]
    return subprocess.Popen(words, cwd=root, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def contents(run: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(run)): path.read_bytes()
        for path in sorted(run.rglob("*"))
        if path.is_file()
        and path.name not in NOT_COMPARED
        and ".timing." not in path.name
        and path.relative_to(run).parts[0] != "store"
    }


def finished(process):
    _, errors = process.communicate(timeout=900)
    assert process.returncode == 0, errors.decode()[-2000:]


@pytest.fixture(scope="module")
def undisturbed(root, tmp_path_factory):
    """The expected bytes, the paid requests, and how long a run takes."""
    folder = tmp_path_factory.mktemp("undisturbed")
    began = time.monotonic()
    finished(start(root, folder))
    paid = store_care.verify(folder / "chaos/store")
    assert paid.records > 100 and paid.superseded == 0
    return contents(folder / "chaos"), paid.records, time.monotonic() - began


def test_the_recipe_has_every_map_stage(tmp_path):
    stages = {step.stage for step in pipeline.load_run(recipe(tmp_path)).steps}
    assert stages | ELSEWHERE.keys() >= pipeline.STAGES.keys(), "a new stage: add it to the recipe above"


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_ten_kills(root, tmp_path, undisturbed, seed):
    expected, paid, length = undisturbed
    moments = random.Random(seed)
    kills = rounds = 0
    hit = []
    while kills < KILLS:
        folder = tmp_path / f"killed-{rounds}"
        rounds += 1
        while kills < KILLS:
            process = start(root, folder)
            try:
                process.wait(timeout=moments.uniform(0.1, 0.6) * length)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
                kills += 1
                newest = max(folder.rglob("manifest.json"), key=lambda path: path.stat().st_mtime, default=None)
                hit.append(newest.parent.name if newest else "the start")
            else:
                assert process.returncode == 0, process.communicate()[1].decode()[-2000:]
                break
        finished(start(root, folder))
        assert contents(folder / "chaos") == expected, "the bytes depend on where it was killed"
        store = store_care.verify(folder / "chaos/store")
        assert store.superseded == 0, "an answered request was asked again"
        assert store.records == paid and not store.damage
    print(f"{kills} kills over {rounds} runs, in or behind: {', '.join(hit)}")
