"""The command line: fast help, clear errors, and the two row-by-row commands that other projects build on."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from caco_recipes import cli
from caco_recipes.json_lines import ResumableWriter, read_rows
from caco_recipes.recipe import RecipeError


def caco(*arguments, **keywords):
    return subprocess.run(
        [sys.executable, "-m", "caco_recipes", *map(str, arguments)], capture_output=True, text=True, **keywords
    )


def write_lines(path, rows):
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def read_lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_help_imports_nothing_heavy():
    code = "import sys; from caco_recipes.cli import main; main(['--help']); print([m for m in sys.modules if m.split('.')[0] in ('torch', 'datasets', 'transformers', 'pyarrow', 'numpy')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("[]")
    assert "run" in done.stdout and "execute" in done.stdout


@pytest.mark.parametrize("command", list(cli.COMMANDS))
def test_every_command_has_help(command):
    done = caco(command, "--help")
    assert done.returncode == 0, done.stderr
    assert "usage" in done.stdout.lower()


def test_doctor_says_what_is_here():
    done = caco("doctor", "--offline")
    assert done.returncode == 0, done.stderr
    assert "isolation" in done.stdout and "torch" in done.stdout and "here" in done.stdout.splitlines()[-1]


def test_a_misspelt_command_names_the_nearest():
    done = caco("exectue")
    assert done.returncode == 2
    assert "did you mean 'execute'" in done.stderr


def test_grade_keeps_order_and_fields(tmp_path):
    source = write_lines(
        tmp_path / "in.jsonl",
        [
            {"gold": "\\frac{1}{2}", "pred": "0.5", "id": 7, "more": [1, {"a": None}]},
            {"gold": "5", "pred": "6"},
            {"gold": "0.5", "pred": "1/2", "kind": "program"},
            {"gold": 3, "pred": 3.0},
            {"gold": "5"},
            {"gold": "5", "pred": "5", "kind": "essay"},
            "not json",
        ],
    )
    done = caco("grade", source, "--output", tmp_path / "out.jsonl")
    assert done.returncode == 0, done.stderr
    rows = read_lines(tmp_path / "out.jsonl")
    assert [row["verdict"] for row in rows] == ["accepted", "rejected", "accepted", "accepted", *["rejected"] * 3]
    assert rows[0] | {} == rows[0] and rows[0]["more"] == [1, {"a": None}] and rows[0]["id"] == 7
    assert [row["reason"] for row in rows[1:]] == [
        "answer_mismatch",
        "",
        "",
        "bad_row:pred",
        "bad_row:kind",
        "bad_row:json",
    ]
    assert rows[-1]["line"] == "not json"
    assert not list(tmp_path.glob("*.partial*"))


def test_execute_gives_one_row_per_row(tmp_path):
    good = 'def f(a, b):\n    return a ** b\n\ninput = {"a": 7, "b": 80}\noutput = f(**input)\nprint(output)\n'
    source = write_lines(
        tmp_path / "in.jsonl",
        [
            {"code": good, "id": "x"},
            {"code": "while True: pass"},
            {"nothing": 1},
            {"code": "def ("},
            "{",
            {"code": "1/0"},
        ],
    )
    done = caco("execute", source, "--output", tmp_path / "out.jsonl", "--workers", 2, "--timeout", 1)
    assert done.returncode == 0, done.stderr
    rows = read_lines(tmp_path / "out.jsonl")
    assert [row["verdict"] for row in rows] == ["accepted", *["rejected"] * 5]
    assert [row["reason"] for row in rows[1:]] == [
        "timeout:cpu", "bad_row:code", "syntax_error", "bad_row:json", "exception:ZeroDivisionError",
    ]  # fmt: skip
    assert rows[0]["id"] == "x"
    assert str(7**80) in rows[0]["output"], "an exact value of any size"
    assert json.loads(rows[0]["input"]) == {"a": 7, "b": 80}
    assert rows[0]["stdout"] == f"{7**80}\n"
    assert 0 <= rows[0]["seconds"] < 1


def test_execute_killed_goes_on_behind_the_finished_rows(tmp_path):
    source = write_lines(tmp_path / "in.jsonl", [{"code": f"print({i})", "n": i} for i in range(3000)])
    out = tmp_path / "out.jsonl"
    words = [sys.executable, "-m", "caco_recipes", "execute", str(source), "--output", str(out), "--workers", "2"]
    process = subprocess.Popen(words, stderr=subprocess.DEVNULL, start_new_session=True)
    partial = out.with_name("out.jsonl.partial")
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and not (partial.exists() and partial.stat().st_size > 20_000):
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not out.exists() and partial.stat().st_size > 20_000
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0 and "going on behind" in done.stderr
    rows = read_lines(out)
    assert [row["n"] for row in rows] == list(range(3000))
    assert [row["stdout"] for row in rows] == [f"{i}\n" for i in range(3000)]


def test_explain_shows_one_program(tmp_path):
    source = write_lines(tmp_path / "in.jsonl", [{"code": "print(1)"}, {"code": "x = [\n1/0]"}])
    done = caco("execute", source, "--explain", 1)
    assert done.returncode == 0, done.stderr
    assert "ZeroDivisionError" in done.stdout and "isolation" in done.stdout
    assert caco("execute", source, "--explain", 9).returncode == 2


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "no such file"), ("", "is empty"), ("hello\n", "line 1 is not a JSON object"), ("[1]\n", "line 1 is not")],
)
@pytest.mark.parametrize("command", ["execute", "grade"])
def test_an_unusable_input_is_a_clear_error(tmp_path, command, content, words):
    if content is not None:
        (tmp_path / "in.jsonl").write_text(content)
    done = caco(command, tmp_path / "in.jsonl", "--output", tmp_path / "out.jsonl")
    assert done.returncode == 2
    assert words in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "out.jsonl").exists()


def test_a_partial_of_another_input_is_not_continued(tmp_path):
    one = write_lines(tmp_path / "one.jsonl", [{"n": 1}, {"n": 2}, {"n": 3}])
    other = write_lines(tmp_path / "other.jsonl", [{"n": 1}, {"n": 9}, {"n": 3}])
    writer = ResumableWriter(tmp_path / "out", {"verdict"}, {"a": 1}, one)
    for row in read_rows(one):
        writer.write(row | {"verdict": "accepted"})
    writer.stop()
    with open(writer.partial, "a") as file:
        file.write('{"n": 4, "ver')
    assert ResumableWriter(tmp_path / "out", {"verdict"}, {"a": 1}, one).done == 3
    assert ResumableWriter(tmp_path / "out", {"verdict"}, {"a": 1}, other).done == 1
    assert ResumableWriter(tmp_path / "out", {"verdict"}, {"a": 2}, one).done == 0


def test_no_space_left_is_said_and_nothing_is_lost(tmp_path):
    """A real full file system: a tmpfs of 64 KB (needs root, as in a container)."""
    folder = tmp_path / "small"
    folder.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], capture_output=True
    ).returncode:
        pytest.skip("mounting a small file system needs root")
    try:
        source = write_lines(
            tmp_path / "in.jsonl", [{"gold": "1", "pred": "1", "pad": "x" * 200} for _ in range(3000)]
        )
        done = caco("grade", source, "--output", folder / "out.jsonl")
        assert done.returncode == 1
        assert "no space left" in done.stderr and "Traceback" not in done.stderr
        assert not (folder / "out.jsonl").exists()
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_recipe_that_is_not_there(tmp_path):
    done = caco("run", tmp_path / "absent.yaml")
    assert done.returncode == 2 and "no such recipe" in done.stderr
    (tmp_path / "empty").mkdir()
    assert "has no pipeline.yaml" in caco("run", tmp_path / "empty").stderr


def test_bad_rows_after_the_first_line_are_kept_as_text(tmp_path):
    path = tmp_path / "in.jsonl"
    path.write_bytes(b'{"a": 1}\n\xff\xfe\n\n[2]\n' + b"[" * 100_000 + b"\n")
    rows = list(read_rows(path))
    assert len(rows) == 4 and rows[0] == {"a": 1}
    with pytest.raises(RecipeError):
        list(read_rows(tmp_path / "none"))
