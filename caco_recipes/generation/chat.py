"""Chat messages to prompt text, with the model's own template or the recipe's."""

from pathlib import Path
from typing import Any

from caco_recipes.generation.config import EngineConfig

_TEMPLATES = Path(__file__).resolve().parent.parent / "chat_templates"


def load_tokenizer(name: str, revision: str | None, config: EngineConfig, key: str) -> Any:
    """A tokenizer with the recipe's chat template in place. Raises `EngineError` naming the recipe key."""
    from transformers import AutoTokenizer

    from caco_recipes.generation.engine import EngineError

    try:
        tokenizer = AutoTokenizer.from_pretrained(name, revision=revision, trust_remote_code=config.trust_remote_code)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise EngineError(f"{key}: the tokenizer of {name} can't be loaded: {error}") from None
    if template := chat_template(config, key):
        tokenizer.chat_template = template
    return tokenizer


def chat_template(config: EngineConfig, key: str) -> str | None:
    """The template that replaces the model's own, or None: a file, or the name of one in caco_recipes/chat_templates."""
    from caco_recipes.generation.engine import EngineError

    if config.chat_template in (None, "", "default"):
        return None
    for file in (Path(config.chat_template), _TEMPLATES / f"{config.chat_template}.jinja"):
        if file.is_file():
            return file.read_text(encoding="utf-8")
    shipped = ", ".join(sorted(file.stem for file in _TEMPLATES.glob("*.jinja")))
    raise EngineError(f"{key}.chat_template: no file {config.chat_template!r}; shipped ones: {shipped}")


def render(tokenizer: Any, messages: list[dict[str, str]], key: str, **template_arguments: Any) -> str:
    """The prompt text that asks for the assistant's turn. Thinking is off where a template knows the switch."""
    from caco_recipes.generation.engine import EngineError

    if not tokenizer.chat_template:
        raise EngineError(f"{key}.model has no chat template: name a Jinja file under {key}.chat_template")
    # Templates that don't know a variable ignore it, so the switch can always be given.
    arguments = {"enable_thinking": False} | template_arguments
    return tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True, **arguments)
