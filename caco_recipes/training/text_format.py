"""The two texts that the paper trains on, as token ids and a loss mask.

    codegen      <|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n<|im_start|>user\\n{code}<|im_end|>
    instruction  ### Instruction:\\n{instruction}\\n\\n### Response:\\n{output}<eos>

The prompt is everything before the first brace that carries loss: before `{code}`, before `{output}`. No beginning-of-
sequence token, the end token is there and in the loss, nothing of the prompt is (paper, section 3 and appendix A;
reference configuration, templates `codegen` and `alpaca1`).

Prompt and completion are tokenised separately and then joined. That is what the paper's trainer does, and it makes the
prompt of a training row the exact token prefix that sampling starts from, whatever the completion begins with.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

IGNORED = -100  # the label of a token without loss
CHAT_TEMPLATES = Path(__file__).resolve().parent.parent / "chat_templates"


@dataclass(frozen=True)
class TextFormat:
    """One text: which fields of a row it needs and how they become prompt and completion.

    Attributes:
        name: the recipe's word for it.
        prompt: template of the part without loss; the fields in braces come from the row.
        completion: the one field that carries loss; the end token follows it.
        end_token: the literal end token, or None for the tokenizer's own end-of-sequence token.
        fields: every field that a row must have, as the column mapping names them.
    """

    name: str
    prompt: str
    completion: str
    end_token: str | None
    fields: tuple[str, ...]

    def render_prompt(self, row: dict[str, str]) -> str:
        # str.replace and not str.format: problems are full of braces.
        text = self.prompt
        for field in self.fields:
            if field != self.completion:
                text = text.replace("{" + field + "}", row[field])
        return text

    def end_token_of(self, tokenizer: Any) -> str:
        """The end token's text. Raises `ValueError` if `tokenizer` has no such single token."""
        token = self.end_token or tokenizer.eos_token
        if token is None:
            raise ValueError(f"text_format {self.name!r} needs an end-of-sequence token and the tokenizer has none")
        if token not in tokenizer.get_vocab():
            raise ValueError(f"text_format {self.name!r} ends with {token}, which is no token of this tokenizer")
        return token

    @property
    def chat_template(self) -> str:
        """The Jinja template that renders the same prompt from messages; it is saved with the trained model."""
        return (CHAT_TEMPLATES / f"{self.name}.jinja").read_text(encoding="utf-8")


CODEGEN = TextFormat(
    name="codegen",
    # The program stands in the *user* turn: the released Caco-CodeGen expects exactly this prefix.
    prompt="<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n",
    completion="code",
    end_token="<|im_end|>",
    fields=("code",),
)
# The authors' future work: the same text with the program's domain as a comment before it. `condition_on: domain`.
CODEGEN_DOMAIN = TextFormat(
    name="codegen_domain",
    prompt=CODEGEN.prompt + "# domain: {domain}\n",
    completion="code",
    end_token=CODEGEN.end_token,
    fields=("domain", "code"),
)
INSTRUCTION = TextFormat(
    name="instruction",
    prompt="### Instruction:\n{instruction}\n\n### Response:\n",
    completion="output",
    end_token=None,
    fields=("instruction", "output"),
)
FORMATS = {form.name: form for form in (CODEGEN, CODEGEN_DOMAIN, INSTRUCTION)}

# What became of a row when it was tokenised.
KEPT, TRUNCATED, TOO_LONG, EMPTY, SPECIAL_TOKEN = "kept", "truncated", "too_long", "empty", "special_token"
OUTCOMES = (KEPT, TRUNCATED, TOO_LONG, EMPTY, SPECIAL_TOKEN)
MEANING = {
    KEPT: "whole",
    TRUNCATED: "cut to max_length",
    TOO_LONG: "dropped: longer than max_length",
    EMPTY: "dropped: a field is missing or blank",
    SPECIAL_TOKEN: "dropped: the row's own text contains a special token such as the end token",
}


def split_at_limit(prompt_length: int, completion_length: int, limit: int) -> tuple[int, int]:
    """How many tokens of prompt and completion (end token included) stay when both must fit into `limit`.

    The rule of the paper's trainer (LLaMA-Factory, `cutoff_len`): cut the prompt if the completion takes less than half
    of the limit, cut the completion if the prompt does, else cut both in proportion. A cut completion loses its end
    token, so a truncated row never teaches the model to stop in the middle of a sentence.
    """
    if completion_length * 2 < limit:
        most = limit
    elif prompt_length * 2 < limit:
        most = limit - prompt_length
    else:
        most = int(limit * (completion_length / (prompt_length + completion_length)))
    completion_kept = min(most, completion_length)
    return min(max(limit - completion_kept, 0), prompt_length), completion_kept


def encode(
    text_format: TextFormat,
    rows: dict[str, Sequence[str | None]],
    tokenizer: Any,
    max_length: int | None,
    overlong: str = "truncate",
    loss_on_prompt: bool = False,
) -> dict[str, list]:
    """A batch of rows as token ids, labels and outcomes.

    Args:
        text_format: one of `FORMATS`.
        rows: a column per field of the format, equally long.
        tokenizer: a `transformers` tokenizer.
        max_length: most tokens per row; a row of exactly this length stays whole. None for no limit.
        overlong: `truncate` (the paper) or `drop` a longer row; either is visible in `outcome`.
        loss_on_prompt: put the prompt into the loss too (not the paper's way).

    Returns:
        `input_ids`, `labels` (-100 where there is no loss) and `outcome` (one of `OUTCOMES`), as long as the batch;
        a dropped row has empty lists.
    """
    columns = [rows[field] for field in text_format.fields]
    count = len(columns[0])
    usable = [all(isinstance(value, str) and value.strip() for value in values) for values in zip(*columns)]
    filled = [
        {field: column[i] if usable[i] else "" for field, column in zip(text_format.fields, columns)}
        for i in range(count)
    ]
    end_id = tokenizer.convert_tokens_to_ids(text_format.end_token_of(tokenizer))
    prompts = _ids([text_format.render_prompt(row) for row in filled], tokenizer)
    completions = _ids([row[text_format.completion] for row in filled], tokenizer)
    special = set(tokenizer.all_special_ids) | {end_id}
    expected = sum(
        token in special
        for token in _ids([text_format.render_prompt(dict.fromkeys(text_format.fields, ""))], tokenizer)[0]
    )

    result: dict[str, list] = {"input_ids": [], "labels": [], "outcome": []}
    for i in range(count):
        prompt, completion = prompts[i], [*completions[i], end_id]
        outcome = KEPT
        if not usable[i]:
            outcome = EMPTY
        elif sum(token in special for token in prompt) != expected or not special.isdisjoint(completions[i]):
            # An end token inside a solution would train the model to stop there, and the dataset's author decided
            # that, not the recipe's.
            outcome = SPECIAL_TOKEN
        elif max_length is not None and len(prompt) + len(completion) > max_length:
            outcome = TOO_LONG if overlong == "drop" else TRUNCATED
        if outcome == TRUNCATED:
            prompt_kept, completion_kept = split_at_limit(len(prompt), len(completion), max_length)
            prompt, completion = prompt[:prompt_kept], completion[:completion_kept]
            if not completion:  # nothing left to learn from
                outcome = TOO_LONG
        if outcome in (KEPT, TRUNCATED):
            result["input_ids"].append(prompt + completion)
            result["labels"].append((prompt if loss_on_prompt else [IGNORED] * len(prompt)) + completion)
        else:
            result["input_ids"].append([])
            result["labels"].append([])
        result["outcome"].append(outcome)
    return result


def _ids(texts: list[str], tokenizer: Any) -> list[list[int]]:
    return tokenizer(texts, add_special_tokens=False, return_attention_mask=False, verbose=False)["input_ids"]
