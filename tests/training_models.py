"""Small tokenizers of the three kinds that the paper's bases use, and a model of 0.1M parameters, made from a seed.

The vocabularies are trained here on fixed text; what decides ids, boundaries and special tokens is taken from the real
ones: the pre-tokeniser's patterns, the normaliser, the post-processor that adds BOS, the special tokens' names.
"""

from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

CORPUS = [
    "### Instruction:\nWhat is 12 + 345?\n\n### Response:\nThe sum is \\boxed{357}.",
    "You are a helpful assistant.\nsystem user assistant",
    'input = {"low": 35, "high": 6003}\n\ndef solve(low, high):\n    return sum(range(low, high))\n\noutput = solve(**input)\nprint(output)',
    "from sympy import symbols, Eq, solve\nx, y = symbols('x y')\nfor n in range(10):\n    total += n\n",
    "Let's find the number of ways to choose 3 of 10 students; naïve counting gives 720, divide by 3! = 6.",
]
QWEN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
LLAMA3 = QWEN.replace(r"|\p{N}|", r"|\p{N}{1,3}|")


def _train(tokenizer: Tokenizer, special: list[str], size: int = 600) -> Tokenizer:
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        CORPUS * 3, trainers.BpeTrainer(vocab_size=size, special_tokens=special, initial_alphabet=alphabet)
    )
    return tokenizer


def _bytes(pattern: str) -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )


def qwen_style() -> PreTrainedTokenizerFast:
    """Qwen2.5 base: NFC, single digits, no BOS, <|endoftext|> ends; the ChatML tokens exist."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = _bytes(QWEN)
    tokenizer = _train(tokenizer, ["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|endoftext|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=["<|im_start|>", "<|im_end|>"],
        model_max_length=2048,
    )


def llama3_style() -> PreTrainedTokenizerFast:
    """Llama 3 base: digits in threes, a post-processor that adds <|begin_of_text|>, no pad token."""
    tokenizer = Tokenizer(models.BPE(ignore_merges=True))
    tokenizer.pre_tokenizer = _bytes(LLAMA3)
    tokenizer = _train(tokenizer, ["<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"])
    tokenizer.post_processor = processors.Sequence(
        [
            processors.ByteLevel(trim_offsets=False),
            processors.TemplateProcessing(
                single="<|begin_of_text|> $A",
                pair="<|begin_of_text|> $A <|begin_of_text|> $B",
                special_tokens=[("<|begin_of_text|>", tokenizer.token_to_id("<|begin_of_text|>"))],
            ),
        ]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<|begin_of_text|>", eos_token="<|end_of_text|>", model_max_length=2048
    )


def deepseek_style() -> PreTrainedTokenizerFast:
    """DeepSeekMath base: several splits, single digits, BOS added, full-width special tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex("[\r\n]"), behavior="isolated"),
            pre_tokenizers.Split(Regex(r"\s?\p{L}+"), behavior="isolated"),
            pre_tokenizers.Split(Regex(r"\s?\p{P}+"), behavior="isolated"),
            pre_tokenizers.Split(Regex("[一-龥ࠀ-一가-퟿]+"), behavior="isolated"),
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    begin, end = "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"
    tokenizer = _train(tokenizer, [begin, end])
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{begin} $A", pair=f"{begin} $A {begin} $B", special_tokens=[(begin, tokenizer.token_to_id(begin))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=begin, eos_token=end, pad_token=end, model_max_length=2048
    )


STYLES = {"qwen": qwen_style, "llama3": llama3_style, "deepseek": deepseek_style}


def save_model(folder: Path, style: str = "qwen", seed: int = 0) -> Path:
    """A Llama of 0.1M parameters with the tokenizer of `style`, ready for `from_pretrained`."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = STYLES[style]()
    torch.manual_seed(seed)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            max_position_embeddings=2048,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
