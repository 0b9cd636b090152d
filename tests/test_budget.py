"""Budgets: a run stops at its tokens, hours or money, keeps everything, counts what earlier commands spent, and goes on."""

import json
import subprocess
import sys

import pytest
import yaml
from nano_model import nano_model

from caco_recipes import pipeline
from caco_recipes.budget import Account, BudgetConfig, BudgetReached, Work, duration, parse_budget, work_of
from caco_recipes.events import Events, read_events
from caco_recipes.generation import Request, SamplingParams
from caco_recipes.generation.config import EngineConfig
from caco_recipes.generation.engine import open_engine
from caco_recipes.generation.session import Session
from caco_recipes.generation.store import Store
from caco_recipes.generation.store_care import verify
from caco_recipes.prices import EnginePrice, Prices
from caco_recipes.recipe import RecipeError

RECORDED = "recipes/quickstart/recorded.yaml"
PROGRAMS = 60


def sampling_recipe(folder, **keys):
    """60 programs of a real, tiny model, ten to a shard."""
    content = {
        "name": "sampled",
        "output_dir": str(folder / "runs"),
        "shard_rows": 10,
        "engines": {"nano": {"engine": "transformers", "model": str(nano_model()), "device": "cpu", "batch_size": 2}},
        "stages": {"sample": {"engine": "nano", "num_programs": PROGRAMS, "max_tokens": 12}},
    }
    path = folder / "sampled.yaml"
    path.write_text(yaml.safe_dump(content | keys, sort_keys=False))
    return path


def account_of(run):
    recipe = run.recipe
    return Account(run.folder / "events.jsonl", recipe.budget, recipe.prices, recipe.engines, recipe.workers)


def parts(run, step):
    return [path.read_bytes() for path in sorted((run.folder / step).glob("part-*.parquet"))]


def test_a_real_model_stops_at_its_tokens_and_goes_on_without_asking_twice(tmp_path):
    free = pipeline.load_run(sampling_recipe(tmp_path), {"name": "free"})
    pipeline.run_steps(free)
    whole = account_of(free).spent()
    assert whole.prompt_tokens > 0 and whole.completion_tokens > 0 and whole.hours > 0

    run = pipeline.load_run(sampling_recipe(tmp_path), {"budget": {"tokens": whole.tokens / 3}})
    with pytest.raises(BudgetReached, match="tokens is used up"):
        pipeline.run_steps(run)
    first = account_of(run).spent()
    per_request = whole.tokens / PROGRAMS
    # What the engine had begun is finished: two sequences at a time, and four times as many that it holds ready.
    assert whole.tokens / 3 <= first.tokens <= whole.tokens / 3 + 12 * 1.5 * per_request
    stored = verify(run.folder / "store")
    assert stored.records < PROGRAMS and stored.prompt_tokens + stored.completion_tokens == first.tokens
    assert [event["outcome"] for event in read_events(run.folder / "events.jsonl") if event["event"] == "run_end"] == [
        "budget"
    ]

    # The same budget is used up from the start; nothing is asked.
    with pytest.raises(BudgetReached):
        pipeline.run_steps(pipeline.load_run(sampling_recipe(tmp_path), {"budget": {"tokens": whole.tokens / 3}}))
    assert verify(run.folder / "store").records == stored.records

    pipeline.run_steps(pipeline.load_run(sampling_recipe(tmp_path), {"budget": {"tokens": whole.tokens + 1}}))
    done = account_of(run).spent()
    assert done.tokens == whole.tokens, "a request was paid for twice, or not counted"
    store = verify(run.folder / "store")
    assert store.records == PROGRAMS and store.superseded == 0
    assert parts(run, "sample") == parts(free, "sample")


def test_calls_that_wait_together_all_end_and_nothing_more_is_begun(tmp_path):
    import threading

    engine = open_engine(EngineConfig(engine="transformers", model=str(nano_model()), device="cpu", batch_size=2), "n")
    session = Session(engine, Store(tmp_path))
    answered = []
    session.on_answer = lambda prompt, new: answered.append(new)
    session.halt = lambda: "enough" if len(answered) >= 5 else ""
    sampling = SamplingParams(temperature=1.0, max_tokens=8)
    outcomes = []

    def ask(start):
        try:
            session.complete([Request(f"q {n}", sampling, stage="solve") for n in range(start, start + 40)])
            outcomes.append("answered")
        except BudgetReached as error:
            outcomes.append(str(error))

    threads = [threading.Thread(target=ask, args=(start,)) for start in (0, 20)]  # twenty requests are wanted by both
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert outcomes == ["enough", "enough"]
    session.close()
    assert 5 <= len(answered) <= 5 + 2 + 8 + 2 and len(Store(tmp_path)) == len(answered)


def test_the_recorded_loop_stops_at_its_hours_and_the_command_says_how_to_go_on(root, tmp_path):
    words = [
        sys.executable,
        "-m",
        "caco_recipes",
        "run",
        RECORDED,
        "--output_dir",
        str(tmp_path),
        "--shard_rows",
        "25",
    ]
    stopped = subprocess.run([*words, "--budget", "hours=0.0003"], cwd=root, capture_output=True, text=True)
    assert stopped.returncode == 3, stopped.stderr
    assert "stopped: the budget of 0.0003 hours is used up" in stopped.stdout
    assert "spent in all:" in stopped.stdout and "a larger --budget goes on from there" in stopped.stdout
    folder = tmp_path / "quickstart-recorded"
    kept = {path: path.stat().st_mtime_ns for path in folder.glob("*/part-*.parquet")}
    assert kept and not (folder / "publish").exists()
    done = subprocess.run([*words, "--budget", "hours=5"], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert all(path.stat().st_mtime_ns == time for path, time in kept.items()), "a finished part was done again"
    works = work_of(folder / "events.jsonl")
    assert len({session for session, _ in works}) == 2
    assert sum(work.seconds for work in works.values()) > 0.0003 * 3600


def test_money_is_tokens_and_machine_hours_of_all_sessions(tmp_path):
    events = Events(tmp_path / "events.jsonl")
    beat = {"event": "heartbeat", "engine": "teacher", "step": "solve"}
    for session, seconds, prompt in (("a", 1800, 500_000), ("a", 3600, 1_000_000), ("b", 3600, 3_000_000)):
        events.write(**beat, session=session, seconds=seconds, prompt_tokens=prompt, completion_tokens=prompt // 2)
    (tmp_path / "events.jsonl").open("a").write('{"event": "heartb')  # a killed run's last line
    prices = Prices(gpu_hour=2.0, cpu_hour=0.1, engines={"teacher": EnginePrice(prompt=0.5, completion=1.5)})
    engines = {"teacher": EngineConfig(engine="vllm", model="m", tensor_parallel_size=4)}
    account = Account(tmp_path / "events.jsonl", BudgetConfig(money=23.0), prices, engines, workers=10)
    spent = account.spent()
    assert (spent.prompt_tokens, spent.completion_tokens, spent.hours) == (4_000_000, 2_000_000, 2.0)
    assert spent.money == pytest.approx(4 * 0.5 + 2 * 1.5 + 2 * 4 * 2.0 + 2 * 10 * 0.1)
    assert "23 USD is used up: 23 spent" in account.reached()
    account.budget = BudgetConfig(money=23.1)
    assert not account.reached()
    account.update("c", "verify", Work(seconds=3600))  # no engine: cores only
    assert account.spent().money == pytest.approx(24.0)


def test_how_a_budget_is_written(tmp_path):
    assert parse_budget("tokens=2e6, hours=1.5,money=1_000") == {"tokens": 2e6, "hours": 1.5, "money": 1000.0}
    for text in ("2e6", "tokens=", "tokens=many", "gpus=3", "tokens=1,hours"):
        with pytest.raises(ValueError, match="write tokens=2e6"):
            parse_budget(text)
    with pytest.raises(RecipeError, match="budget: tokens is 0"):
        pipeline.load_run(sampling_recipe(tmp_path), {"budget": {"tokens": 0}})
    with pytest.raises(RecipeError, match="did you mean 'gpu_hour'"):
        pipeline.load_run(sampling_recipe(tmp_path), {"prices": {"gpu_hours": 1}})


def test_durations():
    assert [duration(s) for s in (3.21, 59, 61, 3600, 200_000, 900_000)] == [
        "3.2 s",
        "59 s",
        "1 min 1 s",
        "1 h 0 min",
        "2 d 8 h",
        "10 d 10 h",
    ]


def test_events_are_whole_lines_from_many_threads(tmp_path):
    import threading

    events = Events(tmp_path / "e.jsonl")
    threads = [threading.Thread(target=lambda: [events.write("part", n=n) for n in range(200)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    events.close()
    lines = (tmp_path / "e.jsonl").read_text().splitlines()
    assert len(lines) == 1600 and all(json.loads(line)["event"] == "part" for line in lines)
