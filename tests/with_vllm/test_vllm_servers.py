"""The OpenAI engine against real vLLM servers that are killed and started again in the middle."""

import threading
import time

from caco_recipes.generation import Request, SamplingParams
from caco_recipes.generation.config import EngineConfig
from caco_recipes.generation.engine import open_engine
from caco_recipes.generation.session import Session
from caco_recipes.generation.store import Store


def client(nano, *servers, **keys):
    keys = {"server_wait": 240.0, "max_in_flight": 32} | keys
    urls = [server.url for server in servers]
    return open_engine(EngineConfig(engine="openai", model="nano", tokenizer=nano, base_url=urls, **keys), "teacher")


def requests(count, **sampling):
    sampling = SamplingParams(**({"temperature": 1.0, "max_tokens": 40} | sampling))
    return [
        Request(f"<|im_start|>user\nquestion {n}<|im_end|>\n<|im_start|>assistant\n", sampling) for n in range(count)
    ]


def test_a_server_that_is_killed_and_started_again_costs_no_answer(nano, serve, tmp_path):
    server = serve().wait()
    session = Session(client(nano, server), Store(tmp_path))

    # The prompt arrives as it was rendered, and greedy answers are those of the same model in this process.
    greedy = requests(8, temperature=0.0, max_tokens=12)
    local = open_engine(EngineConfig(engine="transformers", model=nano, dtype="float32"))
    expected = dict(local.generate(list(enumerate(greedy))))
    assert session.complete(greedy) == [expected[n] for n in range(8)]

    restarted = threading.Event()

    def progress(tokens, done, total):
        if done >= 100 and not restarted.is_set():
            restarted.set()
            server.kill()
            server.start()

    answers = session.complete(requests(400), progress=progress)
    assert restarted.is_set() and not any(answer.error for answer in answers)
    # Its own count starts with it: what had been answered before the kill was not asked again.
    assert server.wait().answered() <= 300
    assert session.usage.requests_paid == 408

    # The chat endpoint, where the server owns the template.
    chat = client(nano, server, endpoint="chat")
    prompt = chat.render([{"role": "user", "content": "question 0"}])
    [(_, answer)] = chat.generate([(0, Request(prompt, greedy[0].sampling))])
    assert answer.text == expected[0].text and answer.prompt_tokens == expected[0].prompt_tokens
    [(_, judged)] = chat.generate([(0, Request(prompt, SamplingParams(max_tokens=1, logprobs=True)))])
    assert len(judged.first_token_logprobs) == 5

    # More than the server's context is an error that is not for good.
    [(_, long)] = client(nano, server).generate([(0, Request("word " * 2000, SamplingParams(max_tokens=8)))])
    assert long.transient and "400" in long.error
    session.close()


def warmed(nano, server):
    """The server, after its first answers: a fresh one takes seconds for them, and would count as a slow one."""
    list(client(nano, server.wait()).generate(enumerate(requests(8, max_tokens=4))))
    return server


def test_two_servers_share_the_work_and_one_takes_over_when_the_other_dies(nano, serve, tmp_path):
    first, second = serve(), serve()
    before = [warmed(nano, server).answered() for server in (first, second)]
    session = Session(client(nano, first, second), Store(tmp_path))
    counts = []

    def progress(tokens, done, total):
        if done >= 200 and not counts:
            # The one that is killed first: the other goes on answering while it is asked.
            counts.append(second.answered() - before[1])
            second.kill()
            counts.append(first.answered() - before[0])

    started = time.monotonic()
    answers = session.complete(requests(500), progress=progress)
    assert not any(answer.error for answer in answers)
    assert min(counts) > 20, counts
    assert time.monotonic() - started < 200  # it was not waited for the dead one
    session.close()
