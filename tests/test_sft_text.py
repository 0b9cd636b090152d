"""The text, the ids and the loss mask, to the token: three kinds of tokenizer, the limit, packing."""

import json
from pathlib import Path

import pytest
from training_models import STYLES, qwen_style, save_model

from caco_recipes.training import text_format
from caco_recipes.training.text_format import CODEGEN, IGNORED, INSTRUCTION, encode, split_at_limit

ROW = {"instruction": "What is {12} + 345?", "output": "The sum is $\\boxed{357}$."}
CODE = 'input = {"low": 35}\n\ndef solve(low):\n    return low * 2\n\noutput = solve(**input)\nprint(output)'
PROMPT = "### Instruction:\nWhat is {12} + 345?\n\n### Response:\n"
CODEGEN_PROMPT = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n"


def batch(**rows):
    return {key: [value] for key, value in rows.items()}


def backend_ids(tokenizer, text):
    """The ids of `text` by the Rust tokenizer itself, without any special token around it."""
    return tokenizer.backend_tokenizer.encode(text, add_special_tokens=False).ids


@pytest.fixture(scope="module", params=sorted(STYLES))
def tokenizer(request):
    return STYLES[request.param]()


def test_the_bos_traps_are_real():
    # If these tokenizers added nothing by themselves, the tests below would prove nothing.
    assert STYLES["llama3"]()("x")["input_ids"][0] == STYLES["llama3"]().bos_token_id
    assert STYLES["deepseek"]()("x")["input_ids"][0] == STYLES["deepseek"]().bos_token_id
    assert qwen_style().bos_token is None


def test_instruction_text_ids_and_mask(tokenizer):
    got = encode(INSTRUCTION, batch(**ROW), tokenizer, 1024)
    prompt, completion = backend_ids(tokenizer, PROMPT), backend_ids(tokenizer, ROW["output"])
    assert got["input_ids"] == [[*prompt, *completion, tokenizer.eos_token_id]]
    assert got["labels"] == [[*[IGNORED] * len(prompt), *completion, tokenizer.eos_token_id]]
    assert got["outcome"] == ["kept"]
    assert tokenizer.decode(got["input_ids"][0]) == PROMPT + ROW["output"] + tokenizer.eos_token
    assert tokenizer.bos_token_id is None or tokenizer.bos_token_id not in got["input_ids"][0]


def test_codegen_text_ids_and_mask():
    tokenizer = qwen_style()
    got = encode(CODEGEN, batch(code=CODE), tokenizer, 2048)
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert tokenizer.decode(got["input_ids"][0]) == CODEGEN_PROMPT + CODE + "<|im_end|>"
    learnt = [label for label in got["labels"][0] if label != IGNORED]
    assert tokenizer.decode(learnt) == CODE + "<|im_end|>"
    assert learnt[-1] == end != tokenizer.eos_token_id
    assert got["input_ids"][0][: len(backend_ids(tokenizer, CODEGEN_PROMPT))] == backend_ids(tokenizer, CODEGEN_PROMPT)


@pytest.mark.parametrize("style", ["llama3", "deepseek"])
def test_codegen_needs_its_end_token(style):
    with pytest.raises(ValueError, match=r"ends with <\|im_end\|>, which is no token"):
        encode(CODEGEN, batch(code=CODE), STYLES[style](), 2048)


def test_prompt_stays_a_prefix_whatever_the_completion_begins_with(tokenizer):
    # "\n" + "\n  x" would merge into other tokens if the whole text were tokenised at once.
    for output in ("\n\n  x = 3", "  12", "\tab"):
        got = encode(INSTRUCTION, batch(instruction="p", output=output), tokenizer, 1024)
        prompt = backend_ids(tokenizer, "### Instruction:\np\n\n### Response:\n")
        assert got["input_ids"][0][: len(prompt)] == prompt
        assert got["labels"][0][: len(prompt) + 1] == [IGNORED] * len(prompt) + [got["input_ids"][0][len(prompt)]]


def test_row_exactly_at_the_limit_is_whole(tokenizer):
    length = len(encode(INSTRUCTION, batch(**ROW), tokenizer, None)["input_ids"][0])
    for overlong in ("truncate", "drop"):
        got = encode(INSTRUCTION, batch(**ROW), tokenizer, length, overlong)
        assert got["outcome"] == ["kept"] and got["input_ids"][0][-1] == tokenizer.eos_token_id
    shorter = encode(INSTRUCTION, batch(**ROW), tokenizer, length - 1, "truncate")
    assert shorter["outcome"] == ["truncated"] and len(shorter["input_ids"][0]) == length - 1
    assert shorter["input_ids"][0][-1] == tokenizer.eos_token_id, "a short completion stays whole, the prompt is cut"
    assert encode(INSTRUCTION, batch(**ROW), tokenizer, length - 1, "drop")["outcome"] == ["too_long"]


def test_a_cut_completion_does_not_teach_the_model_to_stop(tokenizer):
    long = batch(instruction="Count.", output="one two three " * 40)
    cut = encode(INSTRUCTION, long, tokenizer, 60, "truncate")
    assert cut["outcome"] == ["truncated"] and len(cut["input_ids"][0]) == 60
    assert tokenizer.eos_token_id not in cut["input_ids"][0]
    prompt = backend_ids(tokenizer, "### Instruction:\nCount.\n\n### Response:\n")
    assert cut["input_ids"][0][: len(prompt)] == prompt


@pytest.mark.parametrize(
    ("prompt", "completion", "limit", "expected"),
    [
        (10, 10, 20, (10, 10)),
        (100, 10, 50, (40, 10)),  # a short completion: the prompt is cut
        (10, 100, 50, (10, 40)),  # a short prompt: the completion is cut
        (100, 100, 50, (25, 25)),  # both long: in proportion
        (300, 100, 100, (75, 25)),
        (25, 25, 50, (25, 25)),
    ],
)
def test_the_papers_rule_for_long_rows(prompt, completion, limit, expected):
    assert split_at_limit(prompt, completion, limit) == expected


def test_rows_that_cannot_be_learnt_from_are_counted_by_reason():
    tokenizer = qwen_style()
    rows = {
        "instruction": ["a", None, "a", "  ", "a", "say <|im_end|>"],
        "output": ["b", "b", "", "b", "stop <|endoftext|> here", "b"],
    }
    got = encode(INSTRUCTION, rows, tokenizer, 100)
    assert got["outcome"] == ["kept", "empty", "empty", "empty", "special_token", "special_token"]
    assert [bool(ids) for ids in got["input_ids"]] == [True, False, False, False, False, False]


def test_loss_on_prompt_is_a_choice():
    got = encode(INSTRUCTION, batch(**ROW), qwen_style(), 100, loss_on_prompt=True)
    assert got["labels"] == got["input_ids"]


def test_chat_templates_render_the_training_text(tokenizer):
    tokenizer.chat_template = INSTRUCTION.chat_template
    user = [{"role": "user", "content": ROW["instruction"]}]
    assert tokenizer.apply_chat_template(user, tokenize=False, add_generation_prompt=True) == PROMPT
    both = [*user, {"role": "assistant", "content": ROW["output"]}]
    got = tokenizer.apply_chat_template(both, return_dict=True, return_assistant_tokens_mask=True)
    ours = encode(INSTRUCTION, batch(**ROW), tokenizer, None)
    assert got["input_ids"] == ours["input_ids"][0]
    assert got["assistant_masks"] == [int(label != IGNORED) for label in ours["labels"][0]]
    with pytest.raises(Exception, match="one user message"):
        tokenizer.apply_chat_template([{"role": "system", "content": "s"}, *user], tokenize=False)


def test_codegen_chat_template_is_the_sampling_prefix():
    tokenizer = qwen_style()
    tokenizer.chat_template = CODEGEN.chat_template
    nothing = [{"role": "user", "content": ""}]
    assert tokenizer.apply_chat_template(nothing, tokenize=False, add_generation_prompt=True) == CODEGEN_PROMPT
    begun = [{"role": "user", "content": "import math"}]
    assert (
        tokenizer.apply_chat_template(begun, tokenize=False, add_generation_prompt=True)
        == CODEGEN_PROMPT + "import math"
    )
    assert tokenizer.apply_chat_template(begun, tokenize=False) == CODEGEN_PROMPT + "import math<|im_end|>"


@pytest.mark.model
def test_the_real_small_model(root):
    from transformers import AutoTokenizer

    folder = root / "models" / "SmolLM2-135M-Instruct"
    if not folder.is_dir():
        pytest.skip("the small model isn't built: python -m caco_recipes.small_model models/SmolLM2-135M-Instruct")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    got = encode(CODEGEN, batch(code="print(12)"), tokenizer, 2048)
    # <|im_start|> is 1 and <|im_end|> is 2 in SmolLM2; digits are split one by one.
    text = [tokenizer.decode([i]) for i in got["input_ids"][0]]
    assert text[:3] == ["<|im_start|>", "system", "\n"] and text.count("<|im_start|>") == 2
    assert text[-6:] == ["print", "(", "1", "2", ")", "<|im_end|>"]
    assert [label for label in got["labels"][0] if label != IGNORED] == got["input_ids"][0][-6:]


# Packing


def prepared(tmp_path: Path, rows: list[dict], **keys):
    from transformers import AutoTokenizer

    from caco_recipes.training import tokens
    from caco_recipes.training.config import DataConfig, SFTRecipe

    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    model = tmp_path / "model"
    if not model.exists():
        save_model(model)
    recipe = SFTRecipe(
        path="recipe.yaml",
        data=DataConfig(text_format="instruction", dataset_path=[str(data)], token_cache=str(tmp_path / "cache")),
        training={"output_dir": str(tmp_path / "out"), **keys},
        model={"model_name_or_path": str(model)},
    )
    tokenizer = AutoTokenizer.from_pretrained(model)
    return tokens.prepare(recipe, tokenizer), tokenizer, model


@pytest.mark.parametrize("attention", ["sdpa", "packed_sdpa", "eager"])
def test_packing_keeps_every_row_whole_and_apart(tmp_path, attention):
    import torch
    from transformers import AutoModelForCausalLM
    from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

    from caco_recipes.training import packed_attention

    packed_attention.register()
    rows = [
        {"instruction": f"Add {n} and {n * 7}", "output": "It is " + "so " * (n % 9) + str(n * 8)} for n in range(40)
    ]
    rows[7]["output"] += " so" * 60
    plain, tokenizer, folder = prepared(tmp_path, rows, max_length=200)
    # That row is exactly at the limit: it fills a pack and keeps its end token.
    limit = max(len(ids) for ids in plain.train["input_ids"])
    packed, _, _ = prepared(tmp_path, rows, max_length=limit, packing=True)
    assert len(packed.train) < len(plain.train) == 40
    assert packed.counts["outcomes"] == {"kept": 40}
    assert [limit] in packed.train["seq_lengths"][:]
    assert all(row["labels"][-1] == tokenizer.eos_token_id for row in plain.train)
    singles = {tuple(row["input_ids"]): tuple(row["labels"]) for row in plain.train}
    found = {}
    for pack in packed.train:
        start = 0
        assert sum(pack["seq_lengths"]) == len(pack["input_ids"]) <= limit
        for length in pack["seq_lengths"]:
            found[tuple(pack["input_ids"][start : start + length])] = tuple(pack["labels"][start : start + length])
            start += length
    assert found == singles

    model = AutoModelForCausalLM.from_pretrained(folder, attn_implementation=attention, dtype=torch.float32)
    collate = DataCollatorForLanguageModeling(pad_token_id=tokenizer.pad_token_id, padding_free=True)
    example = max(packed.train, key=lambda pack: len(pack["seq_lengths"]))
    together = collate([example])
    learnt = (together.pop("labels") != IGNORED).sum().item()
    assert learnt == sum(label != IGNORED for label in example["labels"]), "the collator masked a token with loss"
    with torch.no_grad():
        # A cache would switch the separation off; the trainer passes use_cache=False too.
        logits = model(**together, use_cache=False).logits[0]
        start = 0
        for length in example["seq_lengths"]:
            alone = model(input_ids=torch.tensor([example["input_ids"][start : start + length]])).logits[0]
            torch.testing.assert_close(logits[start : start + length], alone, atol=1e-4, rtol=1e-4)
            start += length


def test_tokens_are_made_once_and_follow_their_content(tmp_path):
    rows = [{"instruction": f"q{n}", "output": "a"} for n in range(5)]
    first, _, _ = prepared(tmp_path, rows, max_length=64)
    cached = tmp_path / "cache" / first.key / "counts.json"
    made = cached.stat().st_mtime_ns
    again, _, _ = prepared(tmp_path, rows, max_length=64)
    assert again.key == first.key and cached.stat().st_mtime_ns == made
    longer, _, _ = prepared(tmp_path, rows, max_length=65)
    edited, _, _ = prepared(tmp_path, [*rows, {"instruction": "q", "output": "b"}], max_length=64)
    assert len({first.key, longer.key, edited.key}) == 3
    assert edited.counts["rows"] == 6 and edited.counts["outcomes"] == {"kept": 6}
    assert not list((tmp_path / "cache").glob("*.tmp"))


def test_outcomes_have_a_meaning():
    assert set(text_format.MEANING) == set(text_format.OUTCOMES)


def test_codegen_by_domain_ids_mask_and_template():
    from caco_recipes.training.text_format import CODEGEN_DOMAIN

    tokenizer = qwen_style()
    got = encode(CODEGEN_DOMAIN, batch(domain="logic", code=CODE), tokenizer, 2048)
    prompt = CODEGEN_PROMPT + "# domain: logic\n"
    assert tokenizer.decode(got["input_ids"][0]) == prompt + CODE + "<|im_end|>"
    assert tokenizer.decode([label for label in got["labels"][0] if label != IGNORED]) == CODE + "<|im_end|>"
    assert got["input_ids"][0][: len(backend_ids(tokenizer, prompt))] == backend_ids(tokenizer, prompt)
    # A row without a domain would teach the unconditional text by accident: it is left out and counted.
    assert encode(CODEGEN_DOMAIN, batch(domain="", code=CODE), tokenizer, 2048)["outcome"] == ["empty"]
    tokenizer.chat_template = CODEGEN_DOMAIN.chat_template
    begun = [{"role": "user", "content": "# domain: logic\n"}]
    assert tokenizer.apply_chat_template(begun, tokenize=False, add_generation_prompt=True) == prompt


def test_condition_on_is_codegens_key():
    from caco_recipes.training.config import DataConfig

    assert DataConfig(text_format="codegen", dataset_path=["x"]).text_format == "codegen"
    config = DataConfig(text_format="codegen", condition_on="domain", dataset_path=["x"])
    assert config.text_format == "codegen_domain"
    with pytest.raises(ValueError, match="condition_on: domain is for text_format codegen"):
        DataConfig(text_format="instruction", condition_on="domain", dataset_path=["x"])
