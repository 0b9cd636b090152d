"""`caco status`: a real run watched from another process while it runs, after it was killed, and when it is done."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from caco_recipes.events import Events, read_events
from caco_recipes.progress import StepProgress, done_line, live_line
from caco_recipes.run_folder import PartRecord, RunError
from caco_recipes.run_state import read_state, state_line, state_text

RECORDED = "recipes/quickstart/recorded.yaml"


def start(root, folder):
    words = [sys.executable, "-m", "caco_recipes", "run", RECORDED, "--output_dir", str(folder), "--shard_rows", "20"]
    return subprocess.Popen(words, cwd=root, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def status(run, *more):
    words = [sys.executable, "-m", "caco_recipes", "status", str(run), *more]
    return subprocess.run(words, capture_output=True, text=True, timeout=120)


def test_a_run_is_watched_killed_and_finished(root, tmp_path):
    run = tmp_path / "quickstart-recorded"
    process = start(root, tmp_path)
    deadline = time.monotonic() + 90
    while not list(run.glob("execute_seeds/part-*.parquet")) and time.monotonic() < deadline:
        time.sleep(0.05)
    state = read_state(run)
    assert state.state == "running" and state.pid == process.pid and state.host == os.uname().nodename
    assert state.heartbeat["step"] and state.heartbeat_age < 60
    seen = json.loads(status(run, "--json").stdout.splitlines()[0])
    assert seen["planned"][0] == "seeds" and seen["steps"][0] | {} == seen["steps"][0]
    assert process.poll() is not None or seen["state"] == "running"

    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    state = read_state(run)
    assert state.state == "killed" and "the same caco run command goes on from there" in state_line(state)

    process = start(root, tmp_path)
    deadline = time.monotonic() + 60
    while read_state(run).state != "running" and time.monotonic() < deadline:
        time.sleep(0.05)
    watched = status(run, "--watch", "--every", "0.2")  # ends when the run does
    process.communicate()
    assert process.returncode == 0 and watched.returncode == 0, watched.stderr
    assert "running, process" in watched.stdout and "heard of" in watched.stdout
    beats = [event for event in read_events(run / "events.jsonl") if event["event"] == "heartbeat"]
    assert any(beat["rows_per_second"] > 0 and beat["eta_seconds"] is not None for beat in beats)
    assert watched.stdout.rstrip().endswith("quickstart-recorded: finished")
    assert "verify" in state_text(run)


def test_what_is_no_run_is_said(tmp_path):
    assert status(tmp_path / "absent").returncode == 2
    with pytest.raises(RunError, match="holds no run yet"):
        read_state(tmp_path)


def test_a_run_of_another_machine_lives_by_its_heartbeats(tmp_path):
    events = Events(tmp_path / "events.jsonl")
    events.session = "elsewhere:7:1"
    events.write("run_start", session=events.session, pid=7, steps=["seeds", "solve"])
    progress = StepProgress("solve", 100, events)
    assert read_state(tmp_path).state == "running" and "step 2 of 2" in state_line(read_state(tmp_path))
    progress.close()
    lines = (tmp_path / "events.jsonl").read_text().splitlines()
    old = [json.dumps(json.loads(line) | {"time": time.time() - 300}) for line in lines]
    (tmp_path / "events.jsonl").write_text("\n".join(old) + "\n")
    assert read_state(tmp_path).state == "killed"


def test_a_long_run_is_read_from_its_end(tmp_path):
    events = Events(tmp_path / "events.jsonl")
    events.write("run_start", session=events.session, pid=1, steps=["solve"])
    for number in range(3000):
        events.write("heartbeat", session=events.session, step="solve", rows=number, padding="x" * 100)
    assert (tmp_path / "events.jsonl").stat().st_size > 600_000
    assert read_state(tmp_path).planned == ["solve"] and read_state(tmp_path).heartbeat["rows"] == 2999


class Screen:
    """A stream that says whether it is a terminal, and keeps what was written."""

    def __init__(self, terminal):
        self.terminal = terminal
        self.text = ""

    def isatty(self):
        return self.terminal

    def write(self, text):
        self.text += text

    def flush(self):
        pass


def part(rows, accepted, reasons, requests=0):
    return PartRecord(
        fingerprint="f", index=0, rows=rows, accepted=accepted, rejected=rows - accepted, undecided=0,
        reasons=reasons, facts={"requests": requests} if requests else {},
    )  # fmt: skip


def test_rates_leave_out_what_was_finished_earlier_and_reach_into_the_shard_under_way(tmp_path):
    progress = StepProgress("solve", 1000, Events(tmp_path / "e.jsonl"), engine="small", stream=Screen(False))
    progress.part(part(500, 400, {"truncated": 100}), reused=True)
    assert progress.facts()["rows"] == 500 and progress.facts()["rows_per_second"] == 0
    assert progress.facts()["eta_seconds"] is None
    time.sleep(0.3)
    for _ in range(30):
        progress.answered(10, 5)
    facts = progress.facts()
    assert facts["rows_under_way"] == 30 and facts["tokens_per_second"] > 0
    assert facts["eta_seconds"] == pytest.approx((1000 - 530) / facts["rows_per_second"], rel=0.3)
    progress.part(part(100, 90, {"no_answer": 10}, requests=200))  # two requests to a row
    facts = progress.facts()
    assert facts["rows"] == 600 and facts["rows_under_way"] == 0
    assert facts["reasons"] == {"truncated": 100, "no_answer": 10}
    for _ in range(50 + 170):
        progress.answered(10, 5)
    assert progress.facts()["rows_under_way"] == pytest.approx(25)
    progress.close()


def test_a_terminal_sees_one_moving_line_and_a_log_only_lines(tmp_path):
    for terminal in (True, False):
        screen = Screen(terminal)
        progress = StepProgress("verify", 40, stream=screen)
        progress.part(part(20, 15, {"answer_mismatch": 5}))
        time.sleep(0.5)
        progress.close()
        assert ("\r\x1b[2K" in screen.text and "━" in screen.text) == terminal
        assert screen.text.endswith("\n") and "kept 15 (75.0 %)  rejected 5" in screen.text
        assert "answer_mismatch 5" in screen.text and screen.text.count("\n") == 1


def test_lines_of_a_step():
    facts = {
        "step": "solve", "rows": 1200, "rows_under_way": 34.0, "total": 5000, "rows_per_second": 41.2,
        "tokens_per_second": 2310.4, "seconds": 30, "eta_seconds": 91, "accepted": 1000, "rejected": 200,
        "undecided": 0, "reasons": {"truncated": 120, "no_answer": 80}, "prompt_tokens": 1000, "completion_tokens": 500,
    }  # fmt: skip
    line = live_line(facts)
    for words in ("1,234/5,000 rows (25 %)", "41.2 rows/s", "2,310 tokens/s", "ETA 1 min 31 s", "truncated 120"):
        assert words in line
    assert done_line(facts).split() == (
        "solve 1,200 rows kept 1,000 (83.3 %) rejected 200 1,500 tokens 30 s truncated 120, no_answer 80".split()
    )
