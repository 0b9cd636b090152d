"""The quickstart's recorded loop, killed with SIGKILL at ten random moments, ends in the same bytes, nothing asked twice."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from caco_recipes.generation import store_care

KILLS = 10
RECIPE = "recipes/quickstart/recorded.yaml"
# Compared is everything but what the project says is measured: sidecars, events, reports, locks; and the store, whose
# records carry the time they were written at and whose segments are named after their writers.
NOT_COMPARED = ("events.jsonl", ".lock", "report.html", "report.md")


def start(root, folder):
    words = [sys.executable, "-m", "caco_recipes", "run", RECIPE, "--output_dir", str(folder), "--shard_rows", "40"]
    return subprocess.Popen(words, cwd=root, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def contents(folder: Path):
    run = folder / "quickstart-recorded"
    return {
        str(path.relative_to(run)): path.read_bytes()
        for path in sorted(run.rglob("*"))
        if path.is_file()
        and path.name not in NOT_COMPARED
        and ".timing." not in path.name
        and path.relative_to(run).parts[0] not in ("store", "report")
    }


def finished(process):
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors.decode()[-2000:]


def test_ten_random_kills_change_nothing(root, tmp_path):
    began = time.monotonic()
    finished(start(root, tmp_path / "undisturbed"))
    length = time.monotonic() - began
    expected = contents(tmp_path / "undisturbed")
    assert len([name for name in expected if name.endswith(".parquet")]) > 50
    paid = store_care.verify(tmp_path / "undisturbed/quickstart-recorded/store")
    assert paid.records > 500 and paid.superseded == 0

    moments = random.Random(20261124)
    kills = rounds = 0
    while kills < KILLS:
        folder = tmp_path / f"killed-{rounds}"
        rounds += 1
        while kills < KILLS:
            process = start(root, folder)
            try:
                process.wait(timeout=moments.uniform(0.25, 0.65) * length)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
                kills += 1
            else:
                assert process.returncode == 0, process.communicate()[1].decode()[-2000:]
                break
        finished(start(root, folder))
        assert contents(folder) == expected, "the bytes depend on where it was killed"
        store = store_care.verify(folder / "quickstart-recorded/store")
        assert store.superseded == 0, "an answered request was asked again"
        assert store.records == paid.records
        assert not store.damage
    print(f"{kills} kills over {rounds} runs")


def test_nothing_of_a_killed_run_survives(root, tmp_path):
    """Sandbox workers and their programs end with the command."""
    process = start(root, tmp_path)
    deadline = time.monotonic() + 60
    parts = tmp_path / "quickstart-recorded/execute_seeds"
    while time.monotonic() < deadline and not list(parts.glob("part-*.parquet")):
        time.sleep(0.02)
    if process.poll() is not None:
        pytest.fail(process.communicate()[1].decode()[-2000:])
    group = process.pid
    os.kill(group, signal.SIGKILL)  # the command alone, not its group
    process.communicate()
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and _members(group):
        time.sleep(0.05)
    assert not _members(group)


def _members(group: int) -> list[str]:
    """Living processes of a session (field 6 of /proc/PID/stat)."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == group and fields[0] not in "ZX":
            found.append(path.parent.name)
    return found
