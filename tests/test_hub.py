"""Pushes to a real implementation of the Hub's protocol on loopback, from processes of their own."""

import json
import os
import shutil
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

import localhub
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from made_runs import make_run

from caco_recipes import hub, publish
from caco_recipes.funnel import read_run
from caco_recipes.pipeline import load_run
from caco_recipes.publish import Config, assemble
from caco_recipes.publish_rows import CONFIGS
from caco_recipes.run_folder import StepFolder

ROOT = Path(__file__).resolve().parent.parent
WRITE = "hf_writeSecretTokenOfTheTest0001"
READ = "hf_readSecretTokenOfTheTest00001"

PUSH = """
import sys, json, logging
logging.basicConfig(level=logging.DEBUG)
from caco_recipes.hub import HubError, push
options = json.loads(sys.argv[3])
try:
    print(json.dumps(vars(push(sys.argv[1], sys.argv[2], **options))))
except HubError as error:
    print(f"HubError: {error}", file=sys.stderr)
    sys.exit(3)
"""


class LoopbackHub:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.server = localhub.serve(folder / "hub")
        self.address = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.hub = self.server.RequestHandlerClass.hub
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def environment(self, token: str | None = WRITE) -> dict[str, str]:
        keep = {name: os.environ[name] for name in ("PATH", "OMP_NUM_THREADS") if name in os.environ}
        made = {"HF_ENDPOINT": self.address, "HF_HUB_DISABLE_XET": "1", "HF_HOME": str(self.folder / "home")}
        made |= {"HF_HUB_DISABLE_TELEMETRY": "1", "PYTHONPATH": str(ROOT), "HOME": str(self.folder)}
        return keep | made | ({"HF_TOKEN": token} if token else {})

    def python(self, code: str, *arguments: object, token: str | None = WRITE, **environment: str):
        command = [sys.executable, "-c", code, *map(str, arguments)]
        settings = self.environment(token) | environment
        return subprocess.run(command, env=settings, capture_output=True, text=True, timeout=120)

    def push(self, path: object, name: str, token: str | None = WRITE, env: dict | None = None, **options: object):
        return self.python(PUSH, path, name, json.dumps(options), token=token, **(env or {}))

    def pushed(self, path: object, name: str, **options: object) -> dict:
        done = self.push(path, name, **options)
        assert done.returncode == 0, done.stderr[-2000:]
        return json.loads(done.stdout.splitlines()[-1])

    def requests(self) -> list[str]:
        return (self.folder / "hub" / "requests.log").read_text().splitlines()

    def fail(self, on: str, times: int) -> None:
        urllib.request.urlopen(urllib.request.Request(f"{self.address}/_fail?times={times}&on={on}", method="POST"))


@pytest.fixture
def loopback(tmp_path):
    made = LoopbackHub(tmp_path)
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("run"), 200)


@pytest.fixture
def dataset(run, tmp_path):
    assemble(read_run(run), ["verify"], tmp_path / "made" / "dataset", Config(rows_per_file=40), name="made")
    return tmp_path / "made" / "dataset"


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "model"
    (folder / "checkpoint-10").mkdir(parents=True)
    (folder / "README.md").write_text("---\nlibrary_name: transformers\nlicense: apache-2.0\n---\n# A model\n")
    (folder / "config.json").write_text('{"model_type": "llama"}')
    (folder / "model.safetensors").write_bytes(b"\x08\x00\x00\x00\x00\x00\x00\x00{}      ")
    (folder / "checkpoint-10" / "optimizer.pt").write_bytes(b"state")
    (folder / "optimizer.pt").write_bytes(b"state")
    return folder


def test_what_was_pushed_loads_with_equal_rows_in_every_config(loopback, dataset):
    done = loopback.pushed(dataset, "tester/rows")
    assert done["kind"] == "dataset" and done["private"] and done["changed"]
    script = (
        "import json, sys; from datasets import get_dataset_config_names, load_dataset\n"
        "names = get_dataset_config_names('tester/rows')\n"
        "rows = {n: load_dataset('tester/rows', n, split='train').to_list() for n in names}\n"
        "assert load_dataset('tester/rows', split='train').to_list() == rows['default']\n"
        "json.dump(rows, open(sys.argv[1], 'w'))\n"
    )
    loaded = loopback.python(script, loopback.folder / "out.json")
    assert loaded.returncode == 0, loaded.stderr[-2000:]
    rows = json.loads((loopback.folder / "out.json").read_text())
    assert set(rows) == set(CONFIGS)
    for config in CONFIGS:
        folder = dataset / ("data" if config == "default" else config)
        local = [row for path in sorted(folder.glob("*.parquet")) for row in pq.read_table(path).to_pylist()]
        assert rows[config] == local and local


def test_a_test_split_loads_from_the_hub_and_shares_no_family_with_train(loopback, run, tmp_path):
    copy = shutil.copytree(run, tmp_path / "run")
    for path in StepFolder(copy / "verify").accepted_files():
        table = pq.read_table(path)
        names = pa.array([f"family {at // 4}" for at in range(len(table))])
        pq.write_table(table.set_column(table.column_names.index("family_id"), "family_id", names), path)
    folder = tmp_path / "made" / "dataset"
    made = assemble(read_run(copy), ["verify"], folder, Config(test_share=0.3, rows_per_file=20), name="made")
    loopback.pushed(folder, "tester/rows")
    script = (
        "import json, sys; from datasets import load_dataset\n"
        "sets = load_dataset('tester/rows')\n"
        "assert load_dataset('tester/rows', split='test').to_list() == sets['test'].to_list()\n"
        "json.dump({name: rows.to_list() for name, rows in sets.items()}, open(sys.argv[1], 'w'))\n"
    )
    loaded = loopback.python(script, loopback.folder / "out.json")
    assert loaded.returncode == 0, loaded.stderr[-2000:]
    rows = json.loads((loopback.folder / "out.json").read_text())
    assert list(rows) == ["train", "test"]
    families = {}
    for split in rows:
        local = [
            row for path in sorted((folder / "data").glob(f"{split}-*")) for row in pq.read_table(path).to_pylist()
        ]
        assert rows[split] == local and len(local) == made.splits["default"][split].rows > 10
        families[split] = {row["family_id"] for row in local}
    assert not families["train"] & families["test"]
    # An audit replays both.
    command = (
        "from caco_recipes.cli import main; import sys; sys.exit(main(['audit', 'tester/rows', '--workers', '1']))"
    )
    audited = loopback.python(command)
    assert f"{made.accepted:,}  rows replayed" in audited.stdout, audited.stdout + audited.stderr[-2000:]
    # A push without the split takes its files away.
    assemble(read_run(copy), ["verify"], folder, Config(), name="made")
    loopback.pushed(folder, "tester/rows")
    repo = loopback.hub.repos["datasets/tester/rows"]
    assert not [name for name in repo["commits"][repo["refs"]["main"]]["files"] if "/test-" in name]


def test_an_index_of_a_hub_dataset_names_the_commit_that_its_rows_are_of(loopback, run, dataset):
    loopback.pushed(dataset, "tester/rows")
    repo = loopback.hub.repos["datasets/tester/rows"]
    first = repo["refs"]["main"]
    command = (
        "import sys; from caco_recipes.cli import main\n"
        "from caco_recipes.decontamination import Index\n"
        "assert main(['index', '--data', 'tester/rows', '--split', 'train', '--output', sys.argv[1], *sys.argv[2:]]) == 0\n"
        "print('sets', *(f\"{s['revision']} {s['source']} {s['items']}\" for s in Index.load(sys.argv[1]).sets))\n"
    )

    def indexed(*words: str) -> list[str]:
        done = loopback.python(command, loopback.folder / "rows.npz", *words)
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout.splitlines()[-1].split()[1:]

    count = str(pq.ParquetDataset(dataset / "data").read().num_rows)
    assert indexed() == [first, "tester/rows", count]
    assert indexed("--revision", "main") == [first, "tester/rows", count]
    # Another commit on the branch is another version, and the old one can still be indexed.
    fewer = assemble(read_run(run), ["verify"], dataset, Config(licences=["MIT"]), name="made").accepted
    loopback.pushed(dataset, "tester/rows")
    second = repo["refs"]["main"]
    assert second != first and indexed() == [second, "tester/rows", str(fewer)] and fewer < int(count)
    assert indexed("--revision", first) == [first, "tester/rows", count]


def test_a_repeated_push_sends_nothing_and_makes_no_commit(loopback, dataset):
    first = loopback.pushed(dataset, "tester/rows")
    before = len(loopback.requests())
    second = loopback.pushed(dataset, "tester/rows")
    assert not second["changed"] and second["commit"] == first["commit"]
    assert not [line for line in loopback.requests()[before:] if "/lfs/" in line and line.startswith("PUT")]
    assert not [line for line in loopback.requests()[before:] if "/commit/" in line]


def test_a_push_is_one_commit_and_takes_away_stale_shards(loopback, run, dataset):
    loopback.pushed(dataset, "tester/rows")
    repo = loopback.hub.repos["datasets/tester/rows"]
    assert len(repo["commits"]) == 2  # the Hub's own first one, and ours
    assemble(read_run(run), ["verify"], dataset, Config(), name="made")
    loopback.pushed(dataset, "tester/rows")
    files = repo["commits"][repo["refs"]["main"]]["files"]
    assert (
        len(repo["commits"]) == 3 and "data/train-00001.parquet" not in files and "data/train-00000.parquet" in files
    )


def test_a_push_that_was_cut_off_goes_on_where_it_was(loopback, dataset):
    count = len(list(dataset.rglob("*.parquet")))
    assert count > 6
    loopback.fail("/commit/", 50)  # everything is uploaded, then the network dies
    broken = loopback.push(dataset, "tester/rows")
    assert broken.returncode == 3 and "what was uploaded is not sent again" in broken.stderr
    sent = [line for line in loopback.requests() if line.startswith("PUT /lfs/")]
    assert len(sent) == count
    loopback.fail("/commit/", 0)
    loopback.pushed(dataset, "tester/rows")
    assert [line for line in loopback.requests() if line.startswith("PUT /lfs/")] == sent


def test_a_running_run_is_pushed_with_its_progress_and_again_when_it_ends(loopback, run, tmp_path):
    copy = shutil.copytree(run, tmp_path / "run")
    step = StepFolder(copy / "verify")
    whole = step.manifest()
    hidden = tmp_path / "hidden.parquet"
    step.part(1).rename(hidden)
    step.write_manifest(whole | {"complete": False})
    loopback.pushed(copy, "tester/rows")
    assert "**Unfinished.**" in _file(loopback, "README.md").decode()
    part = _rows(loopback)
    hidden.rename(step.part(1))
    step.write_manifest(whole)
    loopback.pushed(copy, "tester/rows")
    card = _file(loopback, "README.md").decode()
    assert "**Unfinished.**" not in card and 'load_dataset("tester/rows", split="train")' in card
    assert 0 < part < _rows(loopback) == len(list(step.read()))


def test_a_run_with_a_published_dataset_is_pushed_as_that(loopback, run, tmp_path):
    copy = shutil.copytree(run, tmp_path / "run")
    assemble(read_run(copy), ["verify"], copy / "publish" / "dataset", Config(), name="the published one")
    step = StepFolder(copy / "publish")
    step.write_manifest({"step": "publish", "stage": "publish", "complete": True, "inputs": ["verify"]})
    loopback.pushed(copy, "tester/rows")
    assert b"# the published one" in _file(loopback, "README.md")
    assert not (copy / "publish" / "partial").exists()


def test_a_model_goes_with_its_card_and_without_its_training_state(loopback, model):
    done = loopback.pushed(model, "tester/model", private=False)
    assert done["kind"] == "model" and not done["private"]
    repo = loopback.hub.repos["models/tester/model"]
    files = set(repo["commits"][repo["refs"]["main"]]["files"])
    assert files == {".gitattributes", "README.md", "config.json", "model.safetensors"}


def test_a_model_goes_without_pickles_and_folders_of_this_machine(loopback, model):
    base = str(loopback.folder / "bases" / "small")
    (model / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": base, "r": 4}))
    (model / "training_args.bin").write_bytes(base.encode())
    (model / "trainer_state.json").write_text(json.dumps({"best_model_checkpoint": base}))
    (model / "superseded-checkpoint-10-1").mkdir()
    (model / "superseded-checkpoint-10-1" / "optimizer.pt").write_bytes(b"state")
    loopback.pushed(model, "tester/model")
    repo = loopback.hub.repos["models/tester/model"]
    files = repo["commits"][repo["refs"]["main"]]["files"]
    assert set(files) == {".gitattributes", "README.md", "adapter_config.json", "config.json", "model.safetensors"}
    sent = loopback.hub.blob(files["adapter_config.json"]["key"]).read_text()
    assert json.loads(sent) == {"base_model_name_or_path": "small", "r": 4}
    assert json.loads((model / "adapter_config.json").read_text())["base_model_name_or_path"] == base


def test_a_branch(loopback, model):
    loopback.pushed(model, "tester/model", revision="try-1")
    repo = loopback.hub.repos["models/tester/model"]
    assert repo["refs"]["try-1"] != repo["refs"]["main"]


@pytest.mark.parametrize(
    ("token", "name", "message"),
    [
        (None, "tester/rows", "run hf auth login"),
        ("hf_expiredButSecretToken0001", "tester/rows", "run hf auth login"),
        (READ, "tester/rows", "may not write to tester/rows"),
        (WRITE, "somebody/rows", "may not write to somebody/rows"),
        (WRITE, "not a name", "no repository name"),
    ],
)
def test_faults_say_what_to_do(loopback, dataset, token, name, message):
    done = loopback.push(dataset, name, token=token)
    assert done.returncode == 3, done.stderr[-1500:]
    assert message in fault(done)
    assert not token or token not in done.stdout + done.stderr


def test_no_network(loopback, dataset):
    done = loopback.push(dataset, "tester/rows", env={"HF_ENDPOINT": "http://127.0.0.1:9"})
    assert done.returncode == 3 and "can't reach http://127.0.0.1:9" in fault(done)
    done = loopback.push(dataset, "tester/rows", env={"HF_HUB_OFFLINE": "1"})
    assert done.returncode == 3 and "HF_HUB_OFFLINE is set" in fault(done)


def test_no_token_is_logged_or_sent_in_a_file(loopback, dataset, model):
    done = loopback.push(dataset, "tester/rows")
    assert done.returncode == 0 and WRITE not in done.stdout + done.stderr
    for text in (WRITE, "hf_" + "a" * 34):
        (model / "config.json").write_text(json.dumps({"note": text}))
        done = loopback.push(model, "tester/model")
        assert done.returncode == 3 and "config.json holds an access token" in fault(done)
        assert text not in done.stderr
    assert "models/tester/model" not in loopback.hub.repos


def test_tokens_are_redacted():
    assert hub.redacted(f"Bearer {WRITE} and hf_abcdefgh") == "Bearer hf_*** and hf_***"


def test_folders_that_are_nothing_to_push(tmp_path, model):
    with pytest.raises(hub.HubError, match="is not a folder"):
        hub.push(tmp_path / "absent", "a/b")
    (tmp_path / "empty").mkdir()
    with pytest.raises(hub.HubError, match="neither a dataset"):
        hub.push(tmp_path / "empty", "a/b")
    (model / "README.md").unlink()
    with pytest.raises(hub.HubError, match=r"no README\.md"):
        hub.push(model, "a/b")
    (model / "model.safetensors").unlink()
    with pytest.raises(hub.HubError, match="no weights"):
        hub.push(model, "a/b")


def test_publish_names_the_repository_of_the_recipe(run, tmp_path):
    assemble(read_run(run), ["verify"], tmp_path / "d", Config(hub="me/rows"), name="made")
    assert 'load_dataset("me/rows", "rejected"' in (tmp_path / "d" / "README.md").read_text()
    assert publish.intact(tmp_path) is False


def fault(done) -> str:
    """The one line that the push ended with (log lines of the interpreter's end may follow it)."""
    lines = [line for line in done.stderr.splitlines() if line.startswith("HubError: ")]
    assert len(lines) == 1, done.stderr[-2000:]
    return lines[0]


def _file(loopback: LoopbackHub, name: str, dataset: str = "rows") -> bytes:
    repo = loopback.hub.repos[f"datasets/tester/{dataset}"]
    return loopback.hub.blob(repo["commits"][repo["refs"]["main"]]["files"][name]["key"]).read_bytes()


def _rows(loopback: LoopbackHub) -> int:
    import io

    return pq.read_metadata(io.BytesIO(_file(loopback, "data/train-00000.parquet"))).num_rows


RUNNING = """
import sys
from caco_recipes import pipeline
pipeline.run_steps(pipeline.load_run(sys.argv[1]))
"""


def recorded_recipe(root, folder, name, **publish_keys):
    """The quickstart's recorded loop on 120 seeds, ten rows to a shard, pushed while it runs."""
    import yaml

    content = yaml.safe_load((root / "recipes/quickstart/recorded.yaml").read_text())
    content |= {"name": name, "output_dir": str(folder / "runs"), "shard_rows": 10}
    content["stages"]["seeds"]["limit"] = 120
    content["stages"]["publish"] |= {"hub": "tester/live"} | publish_keys
    content["stages"].pop("report")
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def messages(loopback):
    return [commit["message"] for commit in loopback.hub.repos["datasets/tester/live"]["commits"].values()]


def pushes(folder):
    from caco_recipes.events import read_events

    return [event for event in read_events(folder / "events.jsonl") if event["event"] == "push"]


def test_a_run_pushes_what_it_has_while_it_goes_on_and_resumes_counting(loopback, root, tmp_path, monkeypatch):
    monkeypatch.chdir(root)
    recipe = recorded_recipe(root, tmp_path, "live", push_every=8)
    # Half of its steps, and then the rest: as any resumed run.
    half = "seeds,unify,unify_programs,execute_seeds"
    stopped = loopback.python(RUNNING.replace("argv[1])", f"argv[1]), {half.split(',')}"), recipe)
    assert stopped.returncode == 0, stopped.stderr[-2000:]
    folder = tmp_path / "runs" / "live"
    first = pushes(folder)
    assert first and all("parts" in event for event in first), first
    card = _file(loopback, "README.md", "live").decode()
    planned = len([step for step in load_run(recipe).steps if not step.whole_run])
    assert "**Unfinished.**" in card and f"of {planned} steps are complete" in card
    assert loopback.hub.repos["datasets/tester/live"]["private"]
    done = loopback.python(RUNNING, recipe)
    assert done.returncode == 0, done.stderr[-2000:]
    assert not [event for event in pushes(folder) if "error" in event]
    later = pushes(folder)[len(first) :]
    assert all(b["parts"] - a["parts"] >= 8 for a, b in zip(pushes(folder), pushes(folder)[1:], strict=False))
    assert not later or later[0]["parts"] >= first[-1]["parts"] + 8, "the resumed run began to count anew"
    card = _file(loopback, "README.md", "live").decode()
    assert "**Unfinished.**" not in card and not (folder / "publish" / "partial").exists()
    # Neither the events nor any file of the run knows the token.
    for path in folder.rglob("*"):
        assert not path.is_file() or WRITE.encode() not in path.read_bytes(), path
    assert WRITE not in done.stderr + done.stdout + stopped.stderr


def test_a_failing_push_beside_the_work_does_not_end_it(loopback, root, tmp_path, monkeypatch):
    monkeypatch.chdir(root)
    recipe = recorded_recipe(root, tmp_path, "alone", push_every=10, hub="somebody/rows")
    done = loopback.python(RUNNING, recipe)
    events = pushes(tmp_path / "runs" / "alone")
    assert events and all("may not write to somebody/rows" in event["error"] for event in events)
    assert "the run goes on" in done.stderr and WRITE not in done.stderr
    # The publish step's own push is what the recipe asks for: its failure is the run's.
    assert done.returncode == 1 and "HubError" in done.stderr
    assert StepFolder(tmp_path / "runs" / "alone" / "verify").complete()


def test_push_every_needs_a_repository():
    with pytest.raises(ValueError, match="needs the repository's name"):
        Config(push_every=5)
