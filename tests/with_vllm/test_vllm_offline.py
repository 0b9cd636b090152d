"""The vLLM engine end to end: real vLLM (CPU build), tiny model, through sessions and stores."""

import json

import pytest

from caco_recipes.generation import Request, SamplingParams
from caco_recipes.generation.config import EngineConfig
from caco_recipes.generation.engine import EngineError, model_identity, open_engine
from caco_recipes.generation.inbox import Inbox
from caco_recipes.generation.session import Session
from caco_recipes.generation.store import Store

FREE = SamplingParams(temperature=1.0, max_tokens=16)


@pytest.fixture(scope="module")
def engine(nano):
    config = EngineConfig(
        engine="vllm", model=nano, dtype="float32", max_model_len=512, engine_args={"enforce_eager": True}
    )
    engine = open_engine(config, "big")
    assert engine.identity == model_identity(config)
    yield engine
    engine.close()


def requests(count, sampling=FREE):
    return [Request(f"question {n}", sampling, stage="solve") for n in range(count)]


def test_a_session_pays_each_request_once(engine, tmp_path):
    session = Session(engine, Store(tmp_path))
    answers = session.complete(requests(40) + requests(5))
    assert session.usage.requests_paid == 40 and answers[:5] == answers[40:]
    assert all(answer.finish_reason in ("stop", "length") and answer.completion_tokens > 0 for answer in answers)
    assert session.complete(requests(40)) == answers[:40]
    assert session.usage.requests_paid == 40 and session.usage.requests_reused == 45 - 5


def test_samples_of_one_prompt_differ_and_each_comes_again_by_its_seed(engine):
    samples = [(i, Request("One prompt", FREE, i)) for i in range(12)]
    first = dict(engine.generate(samples))
    assert len({answer.text for answer in first.values()}) == 12
    assert dict(engine.generate(samples[3:7])) == {i: first[i] for i in range(3, 7)}


def test_greedy_texts_are_those_of_the_transformers_engine(engine, nano):
    greedy = [(i, request) for i, request in enumerate(requests(12, SamplingParams(max_tokens=12)))]
    other = open_engine(EngineConfig(engine="transformers", model=nano, dtype="float32"))
    assert other.identity == engine.identity  # so one may go on where the other stopped
    assert dict(engine.generate(greedy)) == dict(other.generate(greedy))
    messages = [{"role": "user", "content": "Hi"}]
    assert engine.render(messages) == other.render(messages)


def test_requests_that_come_while_others_are_decoded_join_them(engine):
    inbox = Inbox()
    inbox.put(
        [("long", Request("One", SamplingParams(temperature=1.0, max_tokens=300))), ("first", Request("Two", FREE))]
    )
    order = []
    for key, _ in engine.generate(inbox):
        order.append(key)
        if key == "first":
            inbox.put([("second", Request("Three", FREE))])
            inbox.close()
    assert order == ["first", "second", "long"]


def test_more_prompt_tokens_at_once_than_vllm_reads_in_one_step(engine):
    """With seeds: vLLM's CPU build dies of them when it reads a prompt in parts, which the engine keeps it from."""
    sampling = SamplingParams(temperature=1.0, max_tokens=2)
    prompts = [(n, Request(f"{n} " + "word " * 150, sampling)) for n in range(120)]
    answers = dict(engine.generate(prompts))
    assert sum(answer.prompt_tokens for answer in answers.values()) > 3 * 8192
    assert not any(answer.error for answer in answers.values())


def test_a_caller_that_goes_away_leaves_the_engine_free(engine):
    long = SamplingParams(temperature=1.0, max_tokens=400)
    generation = engine.generate([(0, Request("a", FREE)), *((i, Request("b", long, i)) for i in range(1, 8))])
    assert next(generation)[0] == 0
    generation.close()
    assert len(dict(engine.generate(list(enumerate(requests(3)))))) == 3


def test_stop_strings_lengths_and_first_logprobs(engine):
    [(_, free)] = engine.generate([(0, Request("Hi", SamplingParams(temperature=1.0, max_tokens=40)))])
    stop = free.text[10:13]
    [(_, cut)] = engine.generate([(0, Request("Hi", SamplingParams(temperature=1.0, max_tokens=40, stop=(stop,))))])
    assert cut.finish_reason == "stop" and cut.text == free.text[: free.text.index(stop)]
    [(_, tight)] = engine.generate([(0, Request("Hi", SamplingParams(max_tokens=10_000)))])
    assert tight.prompt_tokens + tight.completion_tokens <= 512
    [(_, judged)] = engine.generate([(0, Request("Hi", SamplingParams(max_tokens=1, logprobs=True)))])
    assert len(judged.first_token_logprobs) >= 5 and max(judged.first_token_logprobs.values()) <= 0
    [(_, long)] = engine.generate([(0, Request("word " * 2000, FREE))])
    assert long.transient and "max_model_len is 512" in long.error


def test_a_model_that_vllm_does_not_take_is_named_by_its_recipe_key(tmp_path, nano):
    import shutil

    folder = tmp_path / "broken"
    shutil.copytree(nano, folder)
    (folder / "config.json").write_text('{"model_type": "llama", "architectures": ["NoSuchModel"]}')
    with pytest.raises(EngineError, match=r"engines\.big: vLLM does not start"):
        open_engine(EngineConfig(engine="vllm", model=str(folder), engine_args={"enforce_eager": True}), "big")


def test_answers_are_held_to_a_schema_and_what_it_can_not_hold_to_is_an_answer(engine):
    schema = '{"type": "object", "properties": {"kept": {"enum": ["yes", "no"]}}, "required": ["kept"], "additionalProperties": false}'
    held = SamplingParams(temperature=1.0, max_tokens=60, json_schema=schema)
    answers = [answer for _, answer in engine.generate(enumerate(requests(6, held)))]
    # A random model writes white space where the grammar lets it: what came to its end is what counts.
    whole = [json.loads(answer.text) for answer in answers if answer.finish_reason == "stop"]
    assert whole and all(answer in ({"kept": "yes"}, {"kept": "no"}) for answer in whole)
    broken = SamplingParams(max_tokens=8, json_schema='{"type": "no such type"}')
    [(_, answer)] = engine.generate([(0, Request("x", broken))])
    assert answer.finish_reason == "error" and not answer.text
