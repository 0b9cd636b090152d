"""Problems that ask for several answers: their order does not count."""


def as_set(answer: str) -> str:
    """`$1$, $2$` -> `\\{1, 2\\}`, which the grader compares in any order. Brackets that are the whole answer's own go."""
    text = answer.replace("$", "").strip()
    text = text.removeprefix("\\boxed{").removesuffix("}") if text.startswith("\\boxed{") else text
    if text.startswith("\\{") and text.endswith("\\}"):
        text = text[2:-2]
    return "\\{" + text + "\\}"
