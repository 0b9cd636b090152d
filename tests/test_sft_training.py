"""Training for real, on a model of 0.1M parameters: launch, SIGKILL and resume, two processes, the files that stay."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from training_models import save_model

from caco_recipes.training import checkpoints

STEPS, SAVE_EVERY = 30, 10


def launch(root: Path, work: Path, out: str, accelerate: str = "cpu", **overrides) -> list[str]:
    words = [sys.executable, "-m", "accelerate.commands.launch"]
    words += ["--config_file", str(root / "accelerate_configs" / f"{accelerate}.yaml")]
    if accelerate != "cpu":
        words += ["--main_process_port", "0"]  # any free port
    return [*words, "-m", "caco_recipes.sft", *arguments(work, out, **overrides)]


def arguments(work: Path, out: str, **overrides) -> list[str]:
    words = ["--config", str(work / "recipe.yaml"), "--output_dir", str(work / out)]
    for key, value in overrides.items():
        words += [f"--{key}", str(value)]
    return words


def environment() -> dict[str, str]:
    return os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


def run(words: list[str], root: Path) -> subprocess.CompletedProcess:
    return subprocess.run(words, cwd=root, env=environment(), capture_output=True, text=True, timeout=300)


def losses(folder: Path) -> list[float]:
    history = json.loads((folder / "trainer_state.json").read_text())["log_history"]
    return [entry["loss"] for entry in history if "loss" in entry]


@pytest.fixture(scope="module")
def work(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("sft")
    save_model(folder / "model")
    rows = [
        {
            "instruction": f"Add {n} and {n * 7}.",
            "output": "The sum is " + "really " * (n % 5) + f"\\boxed{{{n * 8}}}.",
        }
        for n in range(96)
    ]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe = {
        "model_name_or_path": str(folder / "model"),
        "text_format": "instruction",
        "dataset_path": str(folder / "rows.jsonl"),
        "token_cache": str(folder / "cache"),
        "max_length": 256,
        "output_dir": str(folder / "out"),
        "max_steps": STEPS,
        "per_device_train_batch_size": 1,
        "gradient_accumulation_steps": 8,
        "learning_rate": 2e-3,
        "warmup_steps": 0.1,
        "gradient_checkpointing": False,
        "bf16": False,
        "use_cpu": True,
        "logging_steps": 1,
        "save_steps": SAVE_EVERY,
        "report_to": "none",
    }
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    return folder


@pytest.fixture(scope="module")
def undisturbed(root, work) -> Path:
    done = run(launch(root, work, "undisturbed"), root)
    assert done.returncode == 0, done.stderr[-3000:]
    (work / "undisturbed.out").write_text(done.stdout)
    return work / "undisturbed"


def test_what_people_watch(undisturbed):
    """A line per log with tokens and ETA; the tokens are those of the rows, padding left out."""
    lines = (undisturbed.parent / "undisturbed.out").read_text().splitlines()
    shape = re.compile(
        r"step (\d+)/30  loss \d+\.\d{4}  lr \S+  ([\d,]+) tokens  [\d,]+ tokens/s  ETA (\d+:\d\d:\d\d)"
    )
    steps = [found for line in lines if (found := shape.fullmatch(line))]
    assert [int(found[1]) for found in steps] == list(range(1, STEPS + 1))
    assert steps[-1][3] == "0:00:00"
    total = re.search(r"^tokens: ([\d,]+) ", "\n".join(lines), re.MULTILINE)[1]
    # 96 rows in steps of 8: the twelfth step has seen every row once.
    assert steps[11][2] == total


def test_a_tracker_by_recipe(work, tmp_path, monkeypatch):
    pytest.importorskip("tensorboard", reason="tensorboard is not installed: pip install tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(tmp_path / "events"))
    assert in_this_process(work, "tracked", report_to="tensorboard", max_steps=3, save_strategy="no") == 0
    events = EventAccumulator(str(tmp_path / "events")).Reload()
    curve = [event.value for event in events.Scalars("train/loss")]
    assert curve == pytest.approx(losses(work / "tracked"), abs=1e-4) and len(curve) == 3
    assert events.Scalars("train/num_tokens")[-1].value > 0


def test_the_files_that_stay(undisturbed):
    summary = json.loads((undisturbed / "training_summary.json").read_text())
    assert summary["steps"] == STEPS and summary["world_size"] == 1
    assert summary["last_loss"] < summary["first_loss"] - 1, "the model learnt nothing"
    assert summary["rows_by_outcome"] == {"kept": 96}
    card = (undisturbed / "README.md").read_text()
    assert "rows.jsonl" in card and "learning_rate: 0.002" in card and "### Instruction:" in card
    assert str(undisturbed) not in card and "trl" in card and "None" not in card
    assert (undisturbed / "loss.png").read_bytes()[:4] == b"\x89PNG"
    resolved = yaml.safe_load((undisturbed / "recipe.yaml").read_text())
    assert resolved["learning_rate"] == 2e-3 and resolved["text_format"] == "instruction"
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(undisturbed)
    assert "### Response:" in tokenizer.chat_template
    assert AutoModelForCausalLM.from_pretrained(undisturbed).num_parameters() < 1e6


def test_sigkill_in_the_middle_ends_with_the_same_loss(root, work, undisturbed):
    killed = work / "killed"
    process = subprocess.Popen(
        launch(root, work, "killed"),
        cwd=root,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 200
    first = killed / f"checkpoint-{SAVE_EVERY}"
    while checkpoints.fault_of(first, SAVE_EVERY) is not None:
        assert process.poll() is None and time.monotonic() < deadline, "it ended before it could be killed"
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (killed / "training_summary.json").exists(), "killed too late to prove anything"
    # What a kill inside a save leaves: a newer folder with half a file.
    half = killed / "checkpoint-25"
    shutil.copytree(first, half)
    (half / "optimizer.pt").write_bytes((first / "optimizer.pt").read_bytes()[:1000])
    state = json.loads((half / "trainer_state.json").read_text()) | {"global_step": 25}
    (half / "trainer_state.json").write_text(json.dumps(state))

    done = run(launch(root, work, "killed"), root)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "checkpoint-25 is skipped: optimizer.pt is cut short" in done.stdout
    assert "resuming from" in done.stdout
    straight, resumed = losses(undisturbed), losses(killed)
    assert len(resumed) == STEPS
    assert resumed == pytest.approx(straight, abs=1e-5)
    summaries = [json.loads((folder / "training_summary.json").read_text()) for folder in (undisturbed, killed)]
    assert summaries[0]["tokens_seen"] == summaries[1]["tokens_seen"]


def in_this_process(work: Path, out: str, **overrides) -> int:
    from caco_recipes import sft

    return sft.main(arguments(work, out, **overrides))


def test_the_same_command_after_the_end_trains_no_further(work, undisturbed, capsys):
    before = (undisturbed / "model.safetensors").read_bytes()
    (undisturbed / "model.safetensors").unlink()  # killed between the last checkpoint and the last save
    (undisturbed / "training_summary.json").unlink()
    assert in_this_process(work, "undisturbed") == 0
    assert "this run is finished" in capsys.readouterr().out
    assert (undisturbed / "model.safetensors").read_bytes() == before
    assert json.loads((undisturbed / "training_summary.json").read_text())["steps"] == STEPS


def test_another_recipe_does_not_go_on_with_these_checkpoints(work, undisturbed, capsys):
    assert in_this_process(work, "undisturbed", learning_rate=1e-3, weight_decay=0.5) == 2
    assert "holds checkpoints of another run; different: learning_rate, weight_decay" in capsys.readouterr().err


def test_two_processes_give_the_curve_of_one(root, work, undisturbed):
    done = run(launch(root, work, "two", accelerate="cpu_2proc", gradient_accumulation_steps=4), root)
    assert done.returncode == 0, done.stderr[-3000:]
    summary = json.loads((work / "two" / "training_summary.json").read_text())
    assert summary["world_size"] == 2, "MULTI_CPU would have started one process"
    # Same rows per step; sums in another order, so equal up to float32 rounding that 30 steps carry on.
    assert losses(work / "two") == pytest.approx(losses(undisturbed), abs=2e-3)


def test_every_kind_of_damage_is_seen(undisturbed, tmp_path):
    whole = undisturbed / f"checkpoint-{STEPS}"
    assert checkpoints.fault_of(whole, STEPS) is None

    def damaged(name: str, change) -> str | None:
        folder = tmp_path / f"checkpoint-{STEPS}"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(whole, folder)
        change(folder / name)
        return checkpoints.fault_of(folder, STEPS)

    def cut(path: Path) -> None:
        path.write_bytes(path.read_bytes()[:-10])

    assert damaged("trainer_state.json", Path.unlink) == "it has no trainer_state.json, which is written last"
    assert damaged("trainer_state.json", cut) == "trainer_state.json is cut short"
    assert damaged("model.safetensors", cut) == "model.safetensors is cut short"
    assert damaged("model.safetensors", Path.unlink) == "it has no weights"
    assert damaged("optimizer.pt", cut) == "optimizer.pt is cut short"
    assert damaged("optimizer.pt", Path.unlink).startswith("optimizer.pt is missing")
    assert damaged("rng_state.pth", cut) == "rng_state.pth is cut short"
    assert damaged("model.safetensors", lambda path: path.write_bytes(b"")) == "model.safetensors is cut short"
