"""Prompts are text files in this folder; this is how one is loaded and filled.

`$name` stands for a value, `$$` for a dollar sign. Values are never looked into, so braces, backslashes and dollar
signs in a problem stay as they are. A paragraph whose value is empty is left out with everything else in it.
"""

import string
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from caco_recipes.identity import sha256_text

FOLDER = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Prompt:
    """A prompt's text with its placeholders, and the sha256 that receipts name it by."""

    name: str
    text: str
    sha256: str

    def render(self, **values: str) -> str:
        """The text with every placeholder filled. Raises `ValueError` for a value that is missing or not used."""
        wanted = set(string.Template(self.text).get_identifiers())
        if wanted != set(values):
            odd = sorted(wanted ^ set(values))
            raise ValueError(f"prompt {self.name}: {', '.join(odd)} missing from the values or from the prompt")
        paragraphs = []
        for paragraph in self.text.strip().split("\n\n"):
            template = string.Template(paragraph)
            names = template.get_identifiers()
            if not any(not values[name].strip() for name in names):
                paragraphs.append(template.substitute({name: values[name] for name in names}))
        return "\n\n".join(paragraphs)


@cache
def load(name: str) -> Prompt:
    """The prompt in `NAME.md`. Raises `ValueError` when there is none."""
    try:
        text = (FOLDER / f"{name}.md").read_text(encoding="utf-8")
    except FileNotFoundError:
        names = ", ".join(sorted(file.stem for file in FOLDER.glob("*.md")))
        raise ValueError(f"no prompt {name!r}; there are {names}") from None
    return Prompt(name, text, sha256_text(text))


def lines(name: str) -> list[str]:
    """The lines of a list in this folder (`problem_styles.md`): one entry per line that starts with `- `."""
    return [line[2:].strip() for line in load(name).text.splitlines() if line.startswith("- ")]
