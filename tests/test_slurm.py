"""The Slurm job script, as far as it can be tested without Slurm: its text, and that a shell can read it."""

import subprocess

import pytest

from caco_recipes.commands import slurm
from caco_recipes.recipe import RecipeError


def script(capsys, *words):
    assert slurm.main(["recipes/quickstart", *map(str, words)]) == 0
    text = capsys.readouterr().out
    checked = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
    return text


def test_the_script_starts_ray_on_every_node_and_runs_the_recipe(capsys):
    text = script(
        capsys, "--nodes", 8, "--gpus_per_node", 4, "--cpus_per_node", 48, "--time", "3-00:00:00", "--partition", "gpu",
        "--setup", "source .venv/bin/activate", "--shard_rows", 5000,
    )  # fmt: skip
    lines = text.splitlines()
    assert lines[0] == "#!/bin/bash"
    for option in ("nodes=8", "cpus-per-task=48", "gpus-per-node=4", "time=3-00:00:00", "partition=gpu", "requeue"):
        assert f"#SBATCH --{option}" in lines
    assert "#SBATCH --account" not in text
    assert "source .venv/bin/activate" in lines
    assert "--num-cpus=48 --num-gpus=4" in text
    assert "srun --nodes=7 --ntasks=7 --exclude" in text
    assert lines[-1] == 'caco run recipes/quickstart --executor ray --ray_address "$address" --shard_rows 5000'


def test_one_node_has_no_others_and_may_have_no_gpus(capsys):
    text = script(capsys, "--gpus_per_node", 0)
    assert "--exclude" not in text and "gpus-per-node" not in text and "--num-gpus=0" in text


def test_what_a_shell_would_read_otherwise_is_quoted(capsys, tmp_path, monkeypatch):
    odd = tmp_path / "my runs"
    odd.mkdir()
    text = script(capsys, "--output_dir", f"{odd}/$(date)")
    assert f"--output_dir '{odd}/$(date)'" in text


@pytest.mark.parametrize(
    "words", [("--nodes", "0"), ("--time", "1 day"), ("--partition", "x\nrm"), ("--shrad_rows", "5")]
)
def test_wrong_words_are_an_error(words):
    with pytest.raises(RecipeError):
        slurm.main(["recipes/quickstart", *words])
