"""The transformers engine: texts that depend on their own request only, on a real (tiny, random) model."""

import math
import time

import pytest
from nano_model import nano_model

from caco_recipes.generation import Completion, Request, SamplingParams
from caco_recipes.generation.config import EngineConfig
from caco_recipes.generation.engine import EngineError, model_identity, open_engine
from caco_recipes.generation.inbox import Inbox

QUESTIONS = [
    "What is 3 + 4?",
    "def f(x):\n    return",
    "Name a prime above " + "one hundred and " * 40 + "two.",
    "Hi",
    "é😀?",
]


@pytest.fixture(scope="module")
def nano():
    return str(nano_model())


def opened(nano, batch_size=4, **keys):
    return open_engine(EngineConfig(engine="transformers", model=nano, batch_size=batch_size, **keys), "small")


def asked(engine, sampling=None, samples=3):
    sampling = sampling or SamplingParams(temperature=1.0, max_tokens=24)
    return [
        ((question, sample), Request(engine.render([{"role": "user", "content": question}]), sampling, sample))
        for question in QUESTIONS
        for sample in range(samples)
    ]


def test_a_text_does_not_depend_on_its_neighbours_nor_on_the_batch_size(nano):
    engine = opened(nano)
    requests = asked(engine)
    together = dict(engine.generate(requests))
    assert len(together) == len(requests)
    for key, request in requests:
        assert dict(engine.generate([(key, request)])) == {key: together[key]}
    for batch_size in (1, 3, 16):
        assert dict(opened(nano, batch_size).generate(reversed(requests))) == together
    samples = {together["Hi", sample].text for sample in range(3)}
    assert len(samples) == 3  # samples of one prompt differ


def test_greedy_text_is_the_one_that_transformers_generate_gives(nano):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    engine = opened(nano, dtype="float32")
    requests = asked(engine, SamplingParams(max_tokens=20), samples=1)
    answers = dict(engine.generate(requests))
    tokenizer = AutoTokenizer.from_pretrained(nano)
    model = AutoModelForCausalLM.from_pretrained(nano, dtype=torch.float32)
    for key, request in requests:
        inputs = tokenizer(request.prompt, add_special_tokens=False, return_tensors="pt")
        output = model.generate(**inputs, do_sample=False, max_new_tokens=20)[0, inputs.input_ids.shape[1] :]
        assert answers[key].text == tokenizer.decode(output, skip_special_tokens=True)
        assert answers[key].prompt_tokens == inputs.input_ids.shape[1]
        assert answers[key].completion_tokens == len(output)


def test_a_prompt_longer_than_one_chunk_is_read_as_a_whole(nano):
    """With and without remembered chunks, and compared with one forward pass."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    long = "count " * 300
    tokenizer = AutoTokenizer.from_pretrained(nano)
    tokens = tokenizer(long, return_tensors="pt").input_ids
    assert tokens.shape[1] > 256
    engine = opened(nano, dtype="float32")
    request = Request(long, SamplingParams(max_tokens=1, logprobs=True))
    first = dict(engine.generate([(0, request)]))[0]
    assert dict(engine.generate([(0, request)]))[0] == first
    logits = AutoModelForCausalLM.from_pretrained(nano, dtype=torch.float32)(tokens).logits[0, -1]
    logprobs, ids = logits.log_softmax(-1).topk(20)
    for token, logprob in first.first_token_logprobs.items():
        assert any(
            tokenizer.decode([i]) == token and math.isclose(lp, logprob, abs_tol=1e-3)
            for i, lp in zip(ids.tolist(), logprobs.tolist())
        )


def test_draws_follow_the_model_s_distribution_after_top_k_and_top_p(nano):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    prompt = "The answer is"
    tokenizer = AutoTokenizer.from_pretrained(nano)
    model = AutoModelForCausalLM.from_pretrained(nano, dtype=torch.float32)
    logits = model(tokenizer(prompt, return_tensors="pt").input_ids).logits[0, -1] / 0.7
    kept, ids = logits.softmax(-1).topk(8)
    kept = kept / kept.sum()
    inside = kept.cumsum(-1) - kept < 0.9
    expected: dict[str, float] = {}
    for i, probability in zip(ids[inside].tolist(), (kept[inside] / kept[inside].sum()).tolist()):
        text = tokenizer.decode([i])  # halves of characters look alike
        expected[text] = expected.get(text, 0) + probability
    sampling = SamplingParams(temperature=0.7, top_k=8, top_p=0.9, max_tokens=1)
    draws = 4000
    engine = opened(nano, batch_size=64, dtype="float32")
    counts: dict[str, int] = {}
    for _, completion in engine.generate((i, Request(prompt, sampling, i)) for i in range(draws)):
        counts[completion.text] = counts.get(completion.text, 0) + 1
    assert set(counts) <= set(expected)
    for text, probability in expected.items():
        deviation = math.sqrt(draws * probability * (1 - probability))
        assert abs(counts.get(text, 0) - draws * probability) < 5 * deviation + 1


def test_a_stop_string_cuts_the_text_and_an_end_token_ends_it(nano):
    engine = opened(nano)
    free = dict(engine.generate([(0, Request("Hi", SamplingParams(temperature=1.0, max_tokens=40)))]))[0]
    assert free.finish_reason == "length" and free.completion_tokens == 40
    stop = free.text[10:13]
    request = Request("Hi", SamplingParams(temperature=1.0, max_tokens=40, stop=("never there", stop)))
    cut = dict(engine.generate([(0, request)]))[0]
    assert cut.finish_reason == "stop" and cut.text == free.text[: free.text.index(stop)]
    assert cut.completion_tokens < 40
    # A special token as a stop string ends the row as a token.
    sampling = SamplingParams(temperature=3.0, max_tokens=400, stop=("<|endoftext|>",))
    ended = [
        c for _, c in engine.generate((i, Request("Hi", sampling, i)) for i in range(8)) if c.finish_reason == "stop"
    ]
    assert ended and all("<|" not in completion.text for completion in ended)


def test_too_long_and_empty_prompts_are_errors_that_another_setting_may_mend(nano):
    engine = opened(nano, max_model_len=32)
    answers = dict(
        engine.generate(
            [
                ("long", Request("word " * 100, SamplingParams())),
                ("empty", Request("", SamplingParams())),
                ("tight", Request("Hi there", SamplingParams(max_tokens=1000))),
            ]
        )
    )
    assert answers["long"].finish_reason == "error" and "max_model_len is 32" in answers["long"].error
    assert answers["long"].transient and answers["empty"].transient
    assert answers["tight"].finish_reason in ("length", "stop")
    assert answers["tight"].prompt_tokens + answers["tight"].completion_tokens <= 32


def test_requests_that_come_while_others_are_decoded_join_them(nano):
    engine = opened(nano, batch_size=4)
    long = SamplingParams(temperature=1.0, max_tokens=200)
    short = SamplingParams(temperature=1.0, max_tokens=3)
    inbox = Inbox()
    inbox.put([("long", Request("One", long)), ("first", Request("Two", short))])
    order = []
    for key, _ in engine.generate(inbox):
        order.append(key)
        if key == "first":
            inbox.put([("second", Request("Three", short))])
            inbox.close()
    assert order == ["first", "second", "long"]


def test_close_stops_in_the_middle(nano):
    engine = opened(nano)
    started = time.monotonic()
    endless = ((i, Request("One", SamplingParams(temperature=1.0, max_tokens=400), i)) for i in range(10**9))
    for number, _ in enumerate(engine.generate(endless)):
        if number == 1:
            engine.close()
    assert time.monotonic() - started < 60


def test_the_identity_is_the_files_content_not_the_path(nano, tmp_path):
    import shutil

    config = EngineConfig(engine="transformers", model=nano)
    identity = model_identity(config)
    assert identity == opened(nano).identity and nano not in identity
    copy = tmp_path / "elsewhere"
    shutil.copytree(nano, copy)
    assert model_identity(EngineConfig(engine="vllm", model=str(copy))) == identity
    (copy / "README.md").write_text("about")
    assert model_identity(EngineConfig(engine="vllm", model=str(copy))) == identity
    (copy / "chat_template.jinja").write_text("{{ messages }}")
    assert model_identity(EngineConfig(engine="vllm", model=str(copy))) != identity


def test_a_recipe_s_chat_template_replaces_the_model_s(nano, tmp_path):
    template = tmp_path / "plain.jinja"
    template.write_text("Q: {{ messages[0]['content'] }}\nA:{{ 'think' if enable_thinking else '' }}")
    assert opened(nano, chat_template=str(template)).render([{"role": "user", "content": "1+1?"}]) == "Q: 1+1?\nA:"
    assert (
        opened(nano, chat_template="default")
        .render([{"role": "user", "content": "1+1?"}])
        .startswith("<|im_start|>user")
    )


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"model": "no such model!"}, r"engines\.small\.model: 'no such model!' is not a folder here"),
        ({"model": "nobody/no-such-model"}, r"engines\.small\.model: 'nobody/no-such-model' is not a folder here"),
        ({"model": ""}, r"engines\.small\.model: name"),
        ({"model": "tests"}, r"engines\.small\.model: tests has no config\.json"),
        ({"chat_template": "no_such"}, r"engines\.small\.chat_template: no file 'no_such'; shipped ones: "),
        ({"device": "cuda:99"}, r"engines\.small\.(device: cuda:99 is not here|model: .* can't be loaded on cuda:99)"),
    ],
)
def test_a_recipe_that_names_what_is_not_there_is_told_which_key(nano, root, monkeypatch, keys, message):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.chdir(root)
    with pytest.raises(EngineError, match=message):
        open_engine(EngineConfig(engine="transformers", **({"model": nano} | keys)), "small")


@pytest.mark.model
def test_the_small_model_answers(root):
    from caco_recipes.small_model import SmallModelError, build

    try:
        folder = build(root / "models" / "SmolLM2-135M-Instruct")
    except SmallModelError as error:
        pytest.skip(str(error))
    engine = open_engine(EngineConfig(engine="transformers", model=str(folder), batch_size=4))
    prompt = engine.render([{"role": "user", "content": "What is the capital of France?"}])
    requests = [("greedy", Request(prompt, SamplingParams(max_tokens=16)))]
    requests += [(i, Request(prompt, SamplingParams(temperature=0.8, max_tokens=16), i)) for i in range(5)]
    together = dict(engine.generate(requests))
    assert together["greedy"] == Completion("The capital of France is Paris.", "stop", 37, 8)
    assert dict(engine.generate(requests[2:3])) == {1: together[1]}  # in bfloat16, too
