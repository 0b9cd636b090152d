"""Sessions: every request paid once, whatever happens to the call, the engine or the process."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest
from nano_model import nano_model

from caco_recipes.generation import Completion, Request, SamplingParams
from caco_recipes.generation.config import EngineConfig
from caco_recipes.generation.engine import EngineError, model_identity, open_engine
from caco_recipes.generation.inbox import Inbox
from caco_recipes.generation.session import Session
from caco_recipes.generation.store import Store, StoreError

SAMPLING = SamplingParams(temperature=1.0, max_tokens=8)


@pytest.fixture(scope="module")
def nano():
    return str(nano_model())


class Counted:
    """A real engine, with a note of what it was asked; `break_after` answers it fails."""

    def __init__(self, engine, break_after=None):
        self.engine = engine
        self.identity = engine.identity
        self.render = engine.render
        self.close = engine.close
        self.asked = []
        self.break_after = break_after
        self.generations = 0

    def generate(self, requests):
        self.generations += 1
        answered = 0
        for key, completion in self.engine.generate(Inbox.of(requests)):
            self.asked.append(key)
            yield key, completion
            answered += 1
            if answered == self.break_after:
                self.break_after = None
                raise EngineError("the engine broke")


def counted(nano, **keywords):
    return Counted(open_engine(EngineConfig(engine="transformers", model=nano, batch_size=8)), **keywords)


def requests(count, start=0, **sampling):
    sampling = SamplingParams(**({"temperature": 1.0, "max_tokens": 8} | sampling))
    return [Request(f"question {n}", sampling, stage="solve") for n in range(start, start + count)]


def test_answers_come_in_order_and_the_second_time_from_the_store(nano, tmp_path):
    engine = counted(nano)
    session = Session(engine, Store(tmp_path))
    wanted = requests(12)
    first = session.complete(wanted)
    assert session.usage.requests_paid == 12 and session.usage.requests_reused == 0
    assert session.usage.completion_tokens_paid == sum(answer.completion_tokens for answer in first)
    assert session.complete(wanted[::-1]) == first[::-1]
    assert session.usage.requests_paid == 12 and session.usage.requests_reused == 12
    session.close()
    again = counted(nano)
    session = Session(again, Store(tmp_path))
    assert session.complete(wanted) == first and again.asked == []
    session.close()


def test_only_what_changed_is_asked_again(nano, tmp_path):
    engine = counted(nano)
    session = Session(engine, Store(tmp_path))
    session.complete(requests(10))
    session.complete(requests(10, start=5))  # rows were added and taken away
    assert len(engine.asked) == 15
    session.complete(requests(10, temperature=0.5))
    assert len(engine.asked) == 25
    asked_elsewhere = [Request(r.prompt, r.sampling, stage="verify", subject="other") for r in requests(10)]
    session.complete(asked_elsewhere)  # stage and subject are no part of what is asked
    assert len(engine.asked) == 25
    session.close()


def test_duplicates_in_one_call_are_asked_once(nano, tmp_path):
    engine = counted(nano)
    session = Session(engine, Store(tmp_path))
    answers = session.complete(requests(3) * 4)
    assert len(engine.asked) == 3 and answers == answers[:3] * 4
    session.close()


def test_an_empty_call_starts_nothing(nano, tmp_path):
    engine = counted(nano)
    session = Session(engine, Store(tmp_path))
    assert session.complete([]) == [] and engine.generations == 0
    session.close()


def test_shards_in_several_threads_feed_one_engine_and_share_answers(nano, tmp_path):
    engine = counted(nano)
    session = Session(engine, Store(tmp_path))
    shards = [requests(30, start=10 * n) for n in range(4)]
    answers = [None] * 4

    def work(n):
        answers[n] = session.complete(shards[n])

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert engine.generations == 1 and len(engine.asked) == len(set(engine.asked)) == 60
    assert [answers[n] for n in range(4)] == [session.complete(shard) for shard in shards]
    session.close()


def test_progress_and_tokens_are_told(nano, tmp_path):
    class Events(list):
        def write(self, event, **facts):
            self.append((event, facts))

    events = Events()
    session = Session(counted(nano), Store(tmp_path), events=events)
    told, tokens = [], []
    session.on_answer = lambda prompt, new: tokens.append(new)
    answers = session.complete(requests(10), progress=lambda *now: told.append(now))
    assert sum(tokens) == sum(answer.completion_tokens for answer in answers)
    assert told[-1] == (sum(tokens), 10, 10) and [done for _, done, _ in told] == sorted(done for _, done, _ in told)
    session.complete(requests(12))
    new = session.usage.completion_tokens_paid - sum(tokens[:10])
    assert events == [
        ("generation", {"requests": 10, "reused": 0, "asked": 10, "new_tokens": sum(tokens[:10])}),
        ("generation", {"requests": 12, "reused": 10, "asked": 2, "new_tokens": new}),
    ]
    session.close()


def test_an_engine_that_breaks_is_an_error_and_what_was_answered_is_kept(nano, tmp_path):
    engine = counted(nano, break_after=7)
    session = Session(engine, Store(tmp_path))
    with pytest.raises(EngineError, match="the engine broke"):
        session.complete(requests(20))
    answers = session.complete(requests(20))  # the engine is tried anew
    assert len(answers) == 20 and session.usage.requests_reused == 7
    assert len(engine.asked) == len(set(engine.asked)) == 20
    session.close()


def test_ctrl_c_keeps_what_was_answered_and_takes_back_the_rest(nano, tmp_path):
    engine = counted(nano)
    session = Session(engine, Store(tmp_path))

    def press(tokens, done, total):
        if done >= 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        session.complete(requests(500), progress=press)
    session.close()
    assert 5 <= len(engine.asked) < 450
    again = counted(nano)
    session = Session(again, Store(tmp_path))
    session.complete(requests(500))
    assert set(again.asked).isdisjoint(engine.asked) and len(again.asked) == 500 - len(engine.asked)
    session.close()


def test_errors_are_stored_unless_another_try_may_mend_them(nano, tmp_path):
    class Refusing(Counted):
        def generate(self, items):
            for key, request in items if not isinstance(items, Inbox) else iter(lambda: self._next(items), None):
                self.asked.append(key)
                transient = request.prompt.endswith("1")
                yield key, Completion("", "error", error="no", transient=transient)

        def _next(self, inbox):
            taken = inbox.take(1, wait=True)
            return taken[0] if taken else None

    engine = Refusing(open_engine(EngineConfig(engine="transformers", model=nano)))
    session = Session(engine, Store(tmp_path))
    first = session.complete(requests(2))
    assert [answer.transient for answer in first] == [False, True]
    session.complete(requests(2))
    assert len(engine.asked) == 3 and session.usage.errors == 3
    session.close()


def test_a_store_that_can_t_be_written_costs_nothing(nano, tmp_path):
    engine = counted(nano)
    session = Session(engine, Store(tmp_path, reserve_bytes=1 << 60))
    with pytest.raises(StoreError, match="almost full"):
        session.complete(requests(3))
    assert engine.asked == []
    session.close()


def test_a_disk_that_fills_up_stops_the_call_and_keeps_what_was_stored(nano, tmp_path, monkeypatch):
    engine = counted(nano)
    store = Store(tmp_path)
    session = Session(engine, store)
    put = store.put

    def full(key, *arguments):
        if len(store) == 6:
            raise StoreError("the disk is full")
        put(key, *arguments)

    monkeypatch.setattr(store, "put", full)
    with pytest.raises(StoreError, match="full"):
        session.complete(requests(20))
    session.close()
    assert len(Store(tmp_path)) == 6


def test_a_killed_process_repeats_no_request_that_was_answered(nano, tmp_path):
    """SIGKILL in the middle of `complete`, several times; each answer the engine gave is paid for once."""
    program = textwrap.dedent("""
        import sys
        from test_generation_session import Session, Store, counted, requests
        engine = counted(sys.argv[1])
        session = Session(engine, Store(sys.argv[2]))
        store_put = session._store.put
        def put(key, *arguments):
            store_put(key, *arguments)
            print(key, flush=True)  # stored: from here on a repetition would be a second payment
        session._store.put = put
        answers = session.complete(requests(150, max_tokens=30))
        session.close()
        print("done", len(answers), flush=True)
    """)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([os.path.dirname(__file__), *sys.path])}
    stored: list[str] = []
    kills = 0
    while True:
        command = [sys.executable, "-c", program, nano, str(tmp_path)]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
        )
        finished = False
        for number, line in enumerate(process.stdout):
            finished |= line.startswith("done")
            if not finished:
                stored.append(line.strip())
            if number == 30 + 7 * kills and kills < 3:
                process.send_signal(signal.SIGKILL)
        process.wait()
        if finished:
            break
        kills += 1
    assert kills == 3
    assert len(stored) == len(set(stored)) == 150
    undisturbed = Session(counted(nano), Store(tmp_path / "other"))
    resumed = Session(counted(nano), Store(tmp_path))
    assert resumed.complete(requests(150, max_tokens=30)) == undisturbed.complete(requests(150, max_tokens=30))
    assert resumed.usage.requests_paid == 0
    undisturbed.close()
    resumed.close()


def recordings(tmp_path, *rows):
    path = tmp_path / "recorded.jsonl"
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return EngineConfig(engine="recorded", path=str(path))


ROW = {"stage": "solve", "subject": "1 + 1\n = ?", "text": "It is 2.", "source": "me", "licence": "CC0-1.0"}


def test_recorded_texts_are_found_by_stage_and_folded_subject_and_called_recorded(tmp_path):
    config = recordings(tmp_path, ROW, ROW | {"text": "Two."}, ROW | {"stage": "unify", "text": "print(2)"})
    engine = open_engine(config)
    assert engine.identity.startswith("recorded:recorded.jsonl@sha256:") and engine.identity == model_identity(config)
    session = Session(engine, Store(tmp_path / "store"))
    prompt = session.render([{"role": "user", "content": "1 + 1 = ?"}])

    def request(stage, index=0, subject=" 1 + 1 = ? "):
        return Request(prompt, SAMPLING, index, stage=stage, subject=subject)

    answers = session.complete([request("solve"), request("solve", 1), request("solve", 2)])
    assert [answer.text for answer in answers] == ["It is 2.", "Two.", ""]
    assert (answers[2].finish_reason, answers[2].error) == ("error", "no recording")
    session.close()
    direct = dict(open_engine(config).generate([("a", request("unify")), ("b", request("solve", subject="2 + 2"))]))
    assert direct["a"].text == "print(2)" and direct["b"].error == "no recording"
    changed = recordings(tmp_path, ROW)
    assert model_identity(changed) != engine.identity


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "has no recordings"),
        (["{not json"], "line 1: not JSON"),
        ([ROW, {"stage": "solve", "subject": 3}], "line 2: no text under subject, text, source, licence"),
        ([[1]], "line 1: no text under stage"),
    ],
)
def test_a_file_that_is_no_recording_is_a_clear_error(tmp_path, rows, message):
    with pytest.raises(EngineError, match=message):
        open_engine(recordings(tmp_path, *rows))


def test_a_missing_recording_file_is_a_clear_error(tmp_path):
    with pytest.raises(EngineError, match=r"engines\.teacher\.path: the recordings can't be read"):
        open_engine(EngineConfig(engine="recorded", path=str(tmp_path / "none.jsonl")), "teacher")


def test_importing_sessions_and_stores_does_not_import_torch(root):
    program = (
        "import sys; import caco_recipes.generation.session, caco_recipes.generation.store_care, "
        "caco_recipes.generation.engines.recorded_engine, caco_recipes.generation.engines.openai_engine;"
        "print([name for name in ('torch', 'transformers', 'aiohttp', 'huggingface_hub') if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=Path(root))
    assert ran.stdout.strip() == "[]", ran.stderr


def test_a_request_s_key_is_its_content():
    request = Request("p", SAMPLING)
    assert request.key("m@1") == Request("p", SAMPLING, stage="x", subject="y").key("m@1")
    others = [
        Request("q", SAMPLING),
        Request("p", SAMPLING, sample_index=1),
        Request("p", SamplingParams(temperature=1.0, max_tokens=9)),
    ]
    assert len({request.key("m@1"), request.key("m@2"), *(other.key("m@1") for other in others)}) == 5
    assert len({request.sampler_seed(), *(other.sampler_seed() for other in others[:2])}) == 3
    assert Request("\ud800", SAMPLING).key("m")


def test_a_schema_belongs_to_a_request_s_key_and_its_absence_does_not():
    plain = Request("p", SAMPLING)
    # As stores hold it that were begun before there were schemas.
    assert plain.key("model") == "6b7074d52d0febef1bf52dbcfc135c241b96e326bbfdb2b72dbc97c71dbaee7f"
    assert Request("p", SamplingParams(temperature=1.0, max_tokens=8, json_schema="{}")).key("model") != plain.key(
        "model"
    )


def test_what_a_recipe_changes_of_a_model_belongs_to_its_identity(nano):
    def identity(**keys):
        return model_identity(EngineConfig(engine="vllm", model=nano, **keys))

    own = identity()
    # The checkpoint's own dtype by its name, memory and parallelism are the same model.
    assert own == identity(dtype="float32") == identity(tensor_parallel_size=2, engine_args={"enforce_eager": True})
    assert identity(dtype="bfloat16") == own + "+dtype=bfloat16" == identity(engine_args={"dtype": "bfloat16"})
    changed = identity(engine_args={"quantization": "fp8", "hf_overrides": {"rope_parameters": {"rope_theta": 1e6}}})
    assert changed.startswith(own + "+hf_overrides=") and changed.endswith("+quantization=fp8")


def test_the_transformers_engine_says_that_it_knows_no_schemas(nano, tmp_path):
    config = EngineConfig(engine="transformers", model=nano)
    session = Session(open_engine(config, "small"), Store(tmp_path))
    with pytest.raises(EngineError, match=r"engines\.small\.engine: transformers can't hold answers to a JSON schema"):
        session.complete([Request("p", SamplingParams(json_schema="{}"))])
    session.close()
