"""What goes wrong around a run: each fault is said clearly, the exit code shows it, and nothing finished is lost."""

import os
import signal
import subprocess
import sys
import time

import pytest
import yaml

SEEDS = "recipes/quickstart/data/seeds.jsonl"
RECORDED = "recipes/quickstart/recorded.yaml"


def words(recipe, folder, *more):
    return [sys.executable, "-m", "caco_recipes", "run", str(recipe), "--output_dir", str(folder), *map(str, more)]


def caco_run(root, recipe, folder, *more):
    return subprocess.run(words(recipe, folder, *more), cwd=root, capture_output=True, text=True, timeout=300)


def recipe(folder, engine, **seeds):
    content = {
        "name": "faults",
        "engines": {"writer": engine},
        "stages": {"seeds": {"sources": [{"path": SEEDS}], "limit": 3} | seeds, "unify": {"engine": "writer"}},
    }
    path = folder / "faults.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def test_ctrl_c_keeps_what_is_done_and_the_same_command_goes_on(root, tmp_path):
    process = subprocess.Popen(
        words(RECORDED, tmp_path),
        cwd=root,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # A shell's background jobs ignore SIGINT, and their children inherit that: be as a terminal's command.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    parts = tmp_path / "quickstart-recorded/execute_seeds"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not list(parts.glob("part-*.parquet")):
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: the whole group
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "interrupted" in errors and "the same command goes on" in errors and "Traceback" not in errors
    done = caco_run(root, RECORDED, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "publish" in done.stdout


def test_a_full_disk_is_said_and_the_run_goes_on_when_there_is_space(root, tmp_path):
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a small file system needs root")
    try:
        done = caco_run(root, RECORDED, folder)
        assert done.returncode == 1, done.stderr
        assert "make room" in done.stderr.splitlines()[-1] and "Traceback" not in done.stderr
        subprocess.run(["mount", "-o", "remount,size=256m", str(folder)], check=True)
        done = caco_run(root, RECORDED, folder)
        assert done.returncode == 0, done.stderr
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_model_that_does_not_exist_names_the_recipe_key(root, tmp_path):
    path = recipe(tmp_path, {"engine": "transformers", "model": "no-such-owner/no-such-model"})
    done = subprocess.run(
        words(path, tmp_path), cwd=root, capture_output=True, text=True, env=os.environ | {"HF_HUB_OFFLINE": "1"}
    )
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert "engines.writer.model" in last and "no-such-owner/no-such-model" in last, done.stderr
    assert "Traceback" not in done.stderr


def test_a_dead_server_is_said_and_the_seeds_are_kept(root, tmp_path):
    engine = {
        "engine": "openai",
        "model": "m",
        "endpoint": "chat",
        "base_url": ["http://127.0.0.1:9/v1"],
        "server_wait": 1.0,
        "retries": 0,
    }
    done = caco_run(root, recipe(tmp_path, engine), tmp_path)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert "127.0.0.1:9" in last and "Traceback" not in done.stderr, done.stderr
    assert list((tmp_path / "faults/seeds").glob("part-*.parquet"))


@pytest.mark.parametrize(
    ("content", "code", "said"),
    [
        ("", 2, "is empty"),
        ("this is prose\n", 2, "line 1"),
        ('{"question": "q"}\n', 2, "problem"),
        ('{"problem": "What is 1+1?", "answer": "2"}\n{"problem": "", "answer": "3"}\n', 0, "bad_row:problem 1"),
    ],
)
def test_unusable_seeds(root, tmp_path, content, code, said):
    (tmp_path / "mine.jsonl").write_text(content)
    path = recipe(
        tmp_path, {"engine": "recorded", "path": "recipes/quickstart/data/recorded.jsonl"},
        sources=[{"path": str(tmp_path / "mine.jsonl")}],
    )  # fmt: skip
    done = caco_run(root, path, tmp_path, "--stages", "seeds")
    assert done.returncode == code, done.stderr
    assert said in (done.stderr if code else done.stdout), done.stderr + done.stdout
    assert "Traceback" not in done.stderr


def test_a_run_without_a_single_row_ends_well(root, tmp_path):
    """Every seed's recording is missing: the steps behind have nothing to do and say so in the funnel."""
    path = recipe(tmp_path, {"engine": "recorded", "path": "recipes/quickstart/data/recorded.jsonl"})
    mapping = yaml.safe_load(path.read_text())
    mapping["stages"] |= {
        "execute": {},
        "dedup": {},
        "back_translate": {"engine": "writer"},
        "solve": {"engine": "writer"},
    }
    mapping["stages"] |= {"verify": {}}
    path.write_text(yaml.safe_dump(mapping, sort_keys=False))
    done = caco_run(root, path, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "verify" in done.stdout and "infrastructure" in done.stdout


def test_a_store_that_can_not_be_written_is_said_before_anything_is_asked(root, tmp_path):
    store = tmp_path / "quickstart-recorded" / "store"
    store.mkdir(parents=True)
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "ro,size=256m", "tmpfs", str(store)], capture_output=True
    ).returncode:
        pytest.skip("mounting a file system needs root")
    try:
        done = caco_run(root, RECORDED, tmp_path, "--stages", "seeds,unify", "--limit", 60)
        assert done.returncode == 1, done.stderr
        last = done.stderr.splitlines()[-1]
        assert "the store is read-only" in last and "Traceback" not in done.stderr
        assert not list((tmp_path / "quickstart-recorded/unify").glob("part-*.parquet"))
        subprocess.run(["mount", "-o", "remount,rw", str(store)], check=True)
        done = caco_run(root, RECORDED, tmp_path, "--stages", "seeds,unify", "--limit", 60)
        assert done.returncode == 0, done.stderr
    finally:
        subprocess.run(["umount", str(store)], check=True)
