"""Training with the Hub's protocol: a dataset by name and revision, the model and its checkpoints pushed as they come."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import localhub
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
print(json.dumps(shas))
"""


def test_dataset_by_revision_and_pushes(tmp_path: Path, root: Path):
    server = localhub.serve(tmp_path / "hub")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        environment = os.environ | {
            "HF_ENDPOINT": f"http://127.0.0.1:{server.server_address[1]}",
            "HF_TOKEN": "hf_write_test",
            "HF_HUB_DISABLE_XET": "1",
            "HF_HOME": str(tmp_path / "home"),
            "OMP_NUM_THREADS": "1",
        }
        environment.pop("HF_HUB_OFFLINE", None)

        def python(*words: str) -> subprocess.CompletedProcess:
            return subprocess.run(
                [sys.executable, *words], cwd=root, env=environment, capture_output=True, text=True, timeout=100
            )

        uploaded = python("-c", UPLOAD)
        assert uploaded.returncode == 0, uploaded.stderr[-2000:]
        first, second = json.loads(uploaded.stdout.splitlines()[-1])
        save_model(tmp_path / "model")
        keys = {
            "model_name_or_path": str(tmp_path / "model"),
            "text_format": "instruction",
            "dataset_name": "tester/rows",
            "dataset_revision": first,
            "columns": {"instruction": "problem"},
            "output_dir": str(tmp_path / "out"),
            "max_length": 64,
            "max_steps": 4,
            "save_steps": 2,
            "per_device_train_batch_size": 2,
            "bf16": False,
            "use_cpu": True,
            "report_to": "none",
            "gradient_checkpointing": False,
            "push_to_hub": True,
            "hub_model_id": "tester/tuned",
            "hub_strategy": "every_save",
            "hub_always_push": True,
        }
        recipe = tmp_path / "r.yaml"
        recipe.write_text(yaml.safe_dump(keys))
        done = python("-m", "caco_recipes.sft", "--config", str(recipe))
        assert done.returncode == 0, done.stderr[-3000:]
        hub = server.RequestHandlerClass.hub
        repository = hub.repos["models/tester/tuned"]
        files = repository["commits"][repository["refs"]["main"]]["files"]
        assert {"model.safetensors", "tokenizer.json", "chat_template.jinja", "README.md", "recipe.yaml"} <= set(files)
        card = hub.blob(files["README.md"]["key"]).read_text()
        # The pinned revision was read and is named, not the newer one; no path of this machine, nothing of TRL's card.
        assert "tester/rows" in card and first in card and second not in card
        assert str(tmp_path) not in card and "generated from" not in card
        for name in ("recipe.yaml", "config.json", "tokenizer_config.json", "training_summary.json"):
            if name in files:
                assert str(tmp_path) not in hub.blob(files[name]["key"]).read_text(), name
        # One commit makes the repository; a checkpoint at steps 2 and 4 and the end follow.
        assert len(repository["commits"]) >= 3, "checkpoints did not go to the Hub as they came"
    finally:
        server.shutdown()
