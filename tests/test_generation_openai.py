"""The OpenAI engine against real HTTP servers that refuse, fail, hang, die and come back."""

import socket
import threading
import time

import pytest
from completion_server import CompletionServer
from nano_model import nano_model

from caco_recipes.generation import Request, SamplingParams
from caco_recipes.generation.config import EngineConfig
from caco_recipes.generation.engine import EngineError, open_engine
from caco_recipes.generation.engines.concurrency import Concurrency

SAMPLING = SamplingParams(temperature=1.0, max_tokens=12)


@pytest.fixture(scope="module")
def nano():
    return str(nano_model())


@pytest.fixture
def serve(nano):
    servers = []

    def start(**keywords):
        engine = open_engine(EngineConfig(engine="transformers", model=nano, batch_size=16))
        servers.append(CompletionServer(engine, **keywords))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


def client(nano, *servers, **keys):
    urls = [server if isinstance(server, str) else server.url for server in servers]
    keys = {"model": "nano", "tokenizer": nano, "server_wait": 5.0} | keys
    return open_engine(EngineConfig(engine="openai", base_url=urls, **keys), "teacher")


def requests(count, sampling=SAMPLING):
    return [
        (i, Request(f"<|im_start|>user\nquestion {i}<|im_end|>\n<|im_start|>assistant\n", sampling))
        for i in range(count)
    ]


def unused_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def test_answers_are_the_server_s_and_the_prompt_arrives_as_rendered(nano, serve):
    server = serve()
    engine = client(nano, server)
    assert engine.identity == "nano@served"
    prompt = engine.render([{"role": "user", "content": "Hi"}])
    assert prompt == "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    sampling = SamplingParams(
        temperature=0.5, top_p=0.9, top_k=7, min_p=0.1, max_tokens=9, stop=("zzz",), logprobs=True
    )
    request = Request(prompt, sampling, sample_index=3)
    [(key, completion)] = engine.generate([("key", request)])
    body = server.requests[0]
    assert body["prompt"] == prompt and body["seed"] == request.sampler_seed() < 2**53
    assert (body["temperature"], body["top_p"], body["top_k"], body["min_p"]) == (0.5, 0.9, 7, 0.1)
    assert (body["max_tokens"], body["stop"], body["logprobs"]) == (9, ["zzz"], 5)
    assert key == "key" and completion.finish_reason in ("stop", "length")
    assert completion.completion_tokens > 0 and completion.prompt_tokens > 0 and completion.first_token_logprobs
    greedy = Request(prompt, SamplingParams(max_tokens=9))
    [(_, completion)] = engine.generate([("key", greedy)])
    assert server.requests[1] == {"model": "nano", "prompt": prompt, "temperature": 0.0, "max_tokens": 9}
    assert completion.text == dict(server.engine.generate([("key", greedy)]))["key"].text


def test_the_chat_endpoint_leaves_the_template_to_the_server(nano, serve):
    server = serve()
    engine = client(nano, server, endpoint="chat", tokenizer=None, extra_body={"user": "tests"})
    prompt = engine.render([{"role": "user", "content": "Hi"}])
    [(_, completion)] = engine.generate([(0, Request(prompt, SamplingParams(max_tokens=9, logprobs=True)))])
    assert (
        server.requests[0]["messages"] == [{"role": "user", "content": "Hi"}] and server.requests[0]["user"] == "tests"
    )
    assert completion.first_token_logprobs and completion.completion_tokens > 0


def test_many_requests_are_under_way_at_once_but_not_more_than_allowed(nano, serve):
    server = serve(faults=lambda number: time.sleep(0.1))  # one whose answers take their time: more at once pays
    answers = dict(client(nano, server, max_in_flight=12).generate(requests(120)))
    assert len(answers) == 120 and not any(answer.error for answer in answers.values())
    assert 8 < server.most_at_once <= 12
    assert len(server.requests) == 120


def test_two_servers_share_the_work(nano, serve):
    first, second = serve(), serve()
    answers = dict(client(nano, first, second, max_in_flight=16).generate(requests(80)))
    assert len(answers) == 80
    assert first.answered + second.answered == 80 and min(first.answered, second.answered) > 15


def test_overload_and_faults_are_tried_again_with_back_off(nano, serve):
    def faults(number):
        if number % 3 == 0 and number < 60:
            return [
                (429, {"error": {"message": "slow down"}}),
                (503, b"<html>busy</html>"),
                (200, b"not json"),
                "drop",
            ][number // 3 % 4]
        return None

    server = serve(faults=faults)
    answers = dict(client(nano, server, max_in_flight=8).generate(requests(60)))
    assert len(answers) == 60 and not any(answer.error for answer in answers.values())
    assert len(server.requests) == 60 + 20


def test_retry_after_is_honoured(nano, serve):
    times = []

    def faults(number):
        times.append(time.monotonic())
        return (429, {"error": {"message": "wait"}}, {"Retry-After": "2"}) if number == 0 else None

    server = serve(faults=faults)
    answers = dict(client(nano, server).generate(requests(1)))
    assert not answers[0].error and times[1] - times[0] >= 2.0


def test_what_stays_broken_is_an_error_that_is_not_for_good(nano, serve):
    server = serve(faults=lambda number: (500, {"error": {"message": "broken"}}))
    answers = dict(client(nano, server, retries=1).generate(requests(1)))
    assert answers[0].transient and answers[0].error == f"given up after 2 tries: {server.url}: 500 broken"


def test_a_refused_request_is_an_answer_and_is_not_tried_again(nano, serve):
    server = serve(faults=lambda number: (400, {"error": {"message": "bad words"}}))
    answers = dict(client(nano, server).generate(requests(1)))
    assert answers[0].error == "refused with 400: bad words" and not answers[0].transient
    assert len(server.requests) == 1
    server.faults = lambda number: (400, {"error": {"message": "maximum context length is 512 tokens"}})
    answers = dict(client(nano, server).generate(requests(1)))
    assert answers[0].transient  # a server with a longer context takes it


def test_a_refusal_and_a_cut_off_are_told_apart(nano, serve):
    def choice(**keys):
        return (200, {"choices": [{"text": "no", **keys}], "usage": {"completion_tokens": 1}})

    outcomes = [choice(finish_reason="content_filter"), choice(finish_reason="length"), choice(finish_reason="stop")]
    server = serve(faults=lambda number: outcomes[number])
    engine = client(nano, server, max_in_flight=1)
    assert [dict(engine.generate(requests(1)))[0].finish_reason for _ in range(3)] == ["refusal", "length", "stop"]


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (401, r"engines\.teacher\.api_key_env: .* answered 401: no key; put the key into the variable MY_KEY"),
        (404, r"engines\.teacher\.model: .* answered 404: no key; is 'nano' what this server serves\?"),
    ],
)
def test_a_wrong_key_or_model_ends_the_engine_with_the_recipe_key(nano, serve, status, message):
    server = serve(faults=lambda number: (status, {"error": {"message": "no key"}}))
    with pytest.raises(EngineError, match=message):
        dict(client(nano, server, api_key_env="MY_KEY").generate(requests(1)))


def test_a_hanging_server_is_a_timeout_and_not_the_end(nano, serve):
    released = threading.Event()

    def faults(number):
        if number == 0:
            released.wait(20)
            return "drop"
        return None

    server = serve(faults=faults)
    started = time.monotonic()
    answers = dict(client(nano, server, timeout=1.0).generate(requests(3)))
    released.set()
    assert not any(answer.error for answer in answers.values()) and time.monotonic() - started < 15


def test_a_dead_server_is_a_clear_error_after_what_was_answered(nano, serve):
    server = serve()
    answers = {}
    with pytest.raises(EngineError, match=rf"engines\.teacher\.base_url: no server answered for 3 s: {server.url}"):
        for key, completion in client(nano, server, server_wait=3.0, max_in_flight=4).generate(requests(200)):
            answers[key] = completion
            if len(answers) == 20:
                server.stop()
    assert len(answers) >= 20 and not any(answer.error for answer in answers.values())


def test_a_server_that_never_was_there_is_a_clear_error(nano):
    url = f"http://127.0.0.1:{unused_port()}/v1"
    with pytest.raises(EngineError, match="no server answered"):
        dict(client(nano, url, server_wait=1.0).generate(requests(1)))


def test_requests_of_a_server_that_dies_go_to_the_other_and_it_is_used_when_back(nano, serve):
    first, second = serve(), serve()
    answers = {}
    back = None
    for key, completion in client(nano, first, second, max_in_flight=8).generate(requests(600)):
        answers[key] = completion
        if len(answers) == 60:
            first.stop()
        if len(answers) == 200:
            back = serve(port=first.port)
            deadline = time.monotonic() + 20
        if back is not None and not back.answered and time.monotonic() < deadline:
            time.sleep(0.02)  # let the probe find it while there is work left
    assert sorted(answers) == list(range(600)) and not any(answer.error for answer in answers.values())
    assert back.answered > 0


def test_a_server_that_starts_late_is_waited_for(nano, serve):
    port = unused_port()
    threading.Timer(1.5, lambda: serve(port=port)).start()
    answers = dict(client(nano, f"http://127.0.0.1:{port}/v1", server_wait=60.0).generate(requests(3)))
    assert len(answers) == 3 and not any(answer.error for answer in answers.values())


def test_texts_do_not_depend_on_how_many_servers_answer(nano, serve):
    one = dict(client(nano, serve()).generate(requests(20)))
    two = dict(client(nano, serve(), serve()).generate(requests(20)))
    assert one == two


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"base_url": []}, r"engines\.teacher\.base_url: name at least one server"),
        ({"base_url": ["localhost:8000"]}, r"engines\.teacher\.base_url: 'localhost:8000' does not start with"),
        ({"base_url": ["http://x/v1"], "model": ""}, r"engines\.teacher\.model: name the model"),
    ],
)
def test_missing_keys_are_named(keys, message):
    with pytest.raises(EngineError, match=message):
        open_engine(EngineConfig(engine="openai", **({"model": "nano"} | keys)), "teacher")


def simulated(concurrency, pace, windows):
    """Feeds windows of answers whose seconds per token are `pace(limit)`; gives the limits met."""
    limits = []
    for _ in range(windows):
        limit = concurrency.limit
        for _ in range(limit):
            concurrency.answered(pace(limit) * 100, 100, limit)
        limits.append(concurrency.limit)
    return limits


def test_concurrency_grows_while_that_pays_and_stays_where_it_does_not():
    # A server that works on 64 requests at the speed of one, and on more only in turn.
    limits = simulated(Concurrency(1000), lambda limit: 0.02 * max(1, limit / 64), 60)
    assert max(limits[:4]) >= 64 and max(limits) <= 200 and min(limits[4:]) >= 64
    # One that has room for everything gets everything.
    assert simulated(Concurrency(256), lambda limit: 0.02, 8)[-1] == 256
    # One whose time per token grows a little with each request, as on a GPU.
    assert simulated(Concurrency(256), lambda limit: 0.01 * (1 + limit / 200), 8)[-1] == 256


def test_concurrency_halves_once_per_round_trip_and_grows_again():
    concurrency = Concurrency(256)
    simulated(concurrency, lambda limit: 0.02, 8)
    for _ in range(50):
        concurrency.overloaded(clock=100.0, round_trip=3.0)
    assert concurrency.limit == 128
    concurrency.overloaded(clock=104.0, round_trip=3.0)
    assert concurrency.limit == 64
    assert simulated(concurrency, lambda limit: 0.02, 40)[-1] == 256
    for clock in range(1000, 1200, 10):
        concurrency.overloaded(clock, 1.0)
    assert concurrency.limit == 1


def test_an_idle_server_teaches_nothing():
    concurrency = Concurrency(256)
    for _ in range(100):
        concurrency.answered(1.0, 10, in_flight=1)
    assert concurrency.limit == 8


def test_a_schema_goes_to_the_server(nano, serve):
    server = serve()
    schema = '{"type": "object"}'
    list(client(nano, server).generate([(0, Request("p", SamplingParams(max_tokens=4, json_schema=schema)))]))
    wanted = {"type": "json_schema", "json_schema": {"name": "answer", "schema": {"type": "object"}, "strict": True}}
    assert server.requests[0]["response_format"] == wanted
