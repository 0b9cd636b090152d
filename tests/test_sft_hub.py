"""Training with the Hub's protocol: a dataset by name and revision, the model and its checkpoints pushed as they come."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import localhub
import pytest
import yaml
from training_models import save_model

UPLOAD = """
import json, sys
from huggingface_hub import HfApi
api = HfApi()
api.create_repo("tester/rows", repo_type="dataset")
shas = []
for text in ("first", "second"):
    rows = "".join(json.dumps({"problem": f"{text} {n}", "output": f"It is {n}."}) + "\\n" for n in range(8))
    commit = api.upload_file(path_or_fileobj=rows.encode(), path_in_repo="train.jsonl", repo_id="tester/rows", repo_type="dataset")
    shas.append(commit.oid)
api.create_repo("tester/base")
shas.append(api.upload_folder(repo_id="tester/base", folder_path=sys.argv[1]).oid)
print(json.dumps(shas))
"""


class Loopback:
    """A Hub on loopback with a dataset in two revisions and a base model, and a folder to train in."""

    def __init__(self, folder: Path, root: Path) -> None:
        self.folder, self.root = folder, root
        self.server = localhub.serve(folder / "hub")
        self.hub = self.server.RequestHandlerClass.hub
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        save_model(folder / "model")
        uploaded = self.python("-c", UPLOAD, str(folder / "model"))
        assert uploaded.returncode == 0, uploaded.stderr[-2000:]
        self.first, self.second, self.base = json.loads(uploaded.stdout.splitlines()[-1])

    def python(self, *words: str) -> subprocess.CompletedProcess:
        environment = os.environ | {
            "HF_ENDPOINT": f"http://127.0.0.1:{self.server.server_address[1]}",
            "HF_TOKEN": "hf_write_test",
            "HF_HUB_DISABLE_XET": "1",
            "HF_HOME": str(self.folder / "home"),
            "OMP_NUM_THREADS": "1",
        }
        environment.pop("HF_HUB_OFFLINE", None)
        return subprocess.run(
            [sys.executable, *words], cwd=self.root, env=environment, capture_output=True, text=True, timeout=400
        )

    def train(self, name: str, module: str = "sft", **keys: object) -> subprocess.CompletedProcess:
        """Trains into FOLDER/NAME and pushes to tester/NAME at every save."""
        common = {
            "model_name_or_path": str(self.folder / "model"),
            "dataset_name": "tester/rows",
            "dataset_revision": self.first,
            "columns": {"instruction": "problem"},
            "output_dir": str(self.folder / name),
            "max_steps": 4,
            "save_steps": 2,
            "logging_steps": 1,
            "per_device_train_batch_size": 2,
            "bf16": False,
            "use_cpu": True,
            "report_to": "none",
            "gradient_checkpointing": False,
            "push_to_hub": True,
            "hub_model_id": f"tester/{name}",
            "hub_strategy": "every_save",
            "hub_always_push": True,
        }
        if module == "sft":
            common |= {"text_format": "instruction", "max_length": 64}
        recipe = self.folder / f"{name}.yaml"
        recipe.write_text(yaml.safe_dump(common | keys))
        done = self.python("-m", f"caco_recipes.{module}", "--config", str(recipe))
        assert done.returncode == 0, done.stderr[-3000:]
        assert "a push to the Hub failed" not in done.stdout, done.stdout[-2000:]
        return done

    def commits(self, name: str) -> list[dict[str, bytes]]:
        """Every commit of a model's repository as path → content, the newest first."""
        repository = self.hub.repos[f"models/tester/{name}"]
        oid, found = repository["refs"]["main"], []
        while oid:
            commit = repository["commits"][oid]
            found.append({path: self.hub.blob(file["key"]).read_bytes() for path, file in commit["files"].items()})
            oid = commit["parent"]
        return found


@pytest.fixture(scope="module")
def loopback(tmp_path_factory, root):
    made = Loopback(tmp_path_factory.mktemp("loopback"), root)
    yield made
    made.server.shutdown()
    made.server.server_close()


def assert_nothing_of_this_machine(loopback: Loopback, name: str) -> None:
    for files in loopback.commits(name):
        for path, content in files.items():
            assert not path.endswith("training_args.bin"), "a pickle"
            assert str(loopback.folder).encode() not in content, f"{path} names a folder of this machine"
            assert b"hf_write_test" not in content, path


def test_dataset_by_revision_and_pushes(loopback):
    loopback.train("tuned")
    commits = loopback.commits("tuned")
    files = commits[0]
    assert {"model.safetensors", "config.json", "tokenizer.json", "chat_template.jinja"} <= set(files)
    assert {"README.md", "recipe.yaml", "loss.png", "training_summary.json"} <= set(files)
    assert not [path for path in files if "/" in path or "optimizer" in path], "no checkpoint was asked for"
    card = files["README.md"].decode()
    # The pinned revision was read and is named, not the newer one; nothing of TRL's card.
    assert "tester/rows" in card and loopback.first in card and loopback.second not in card
    assert "generated from" not in card
    # One commit makes the repository; a checkpoint at steps 2 and 4 and the end follow.
    assert len(commits) >= 4, "checkpoints did not go to the Hub as they came"
    assert len({content["model.safetensors"] for content in commits if "model.safetensors" in content}) >= 2
    assert_nothing_of_this_machine(loopback, "tuned")
    assert not list((loopback.folder / "tuned").glob("_push*")), "staged files stay behind"


@pytest.mark.parametrize("base", ["local", "hub"])
def test_an_adapter_names_its_base_but_no_folder(loopback, base):
    name = f"adapter-{base}"
    keys = {"use_peft": True, "lora_r": 4, "lora_target_modules": ["q_proj"], "hub_strategy": "all_checkpoints"}
    keys |= {"save_total_limit": 1}  # a checkpoint may be deleted while it is pushed
    if base == "hub":
        keys |= {"model_name_or_path": "tester/base", "model_revision": loopback.base}
    loopback.train(name, **keys)
    files = loopback.commits(name)[0]
    expected = ("tester/base", loopback.base) if base == "hub" else ("model", None)
    for folder in ("", "checkpoint-2/", "checkpoint-4/"):
        config = json.loads(files[f"{folder}adapter_config.json"])
        assert (config["base_model_name_or_path"], config["revision"]) == expected, folder
        assert f"{folder}adapter_model.safetensors" in files
    # What a run elsewhere needs to go on is there; it is not in the model's own folder.
    assert {"checkpoint-4/optimizer.pt", "checkpoint-4/trainer_state.json"} <= set(files)
    assert "optimizer.pt" not in files and "checkpoint-4/README.md" not in files
    assert_nothing_of_this_machine(loopback, name)
    # On this machine the adapter still finds its base.
    kept = json.loads((loopback.folder / name / "adapter_config.json").read_text())
    assert kept["base_model_name_or_path"] == ("tester/base" if base == "hub" else str(loopback.folder / "model"))


def test_grpo_pushes_like_sft(loopback):
    code = 'input = {"a": 12}\ndef double(a):\n    return 2 * a\noutput = double(**input)\nprint(output)\n'
    rows = loopback.folder / "families.jsonl"
    rows.write_text(json.dumps({"problem": "Double 12.", "code": code, "answer": "24"}) + "\n")
    keys = {"dataset_name": None, "dataset_revision": None, "dataset_path": str(rows), "columns": {"answer": "answer"}}
    keys |= {"num_generations": 2, "max_completion_length": 8, "max_steps": 1, "save_steps": 1}
    loopback.train("reinforced", module="grpo", **keys)
    files = loopback.commits("reinforced")[0]
    assert {"model.safetensors", "README.md", "recipe.yaml", "training_summary.json"} <= set(files)
    assert_nothing_of_this_machine(loopback, "reinforced")
