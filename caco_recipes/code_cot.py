"""The Code CoT: what the format is, and how a program is found in a model's answer.

A Code CoT is a standalone Python script (paper, section 3.1): one or more functions, a dict named `input`,
`output = function(**input)` and `print(output)`. Everything here is text work: what a model wrote is never parsed or
compiled in this process. `mechanical.py` makes Code CoTs of seed programs; the sandbox runs them.
"""

import re
import textwrap

FENCE = re.compile(r"^(?P<indent>[ \t]*)(?P<mark>`{3,}|~{3,})[ \t]*(?P<language>[\w+#.-]*)[^\n]*$", re.MULTILINE)
PYTHON = ("python", "python3", "py", "py3", "")
CODE_START = re.compile(r"^(?:import |from \w[\w.]* import |def |class |async def |@\w|#|[A-Za-z_]\w*(?:, ?\w+)* ?= )")
FUNCTION_LINE = re.compile(r"^(?:async )?def |^\w+ ?= ?lambda\b", re.MULTILINE)
INPUT_LINE = re.compile(r"^input\s*(?::[^=\n]+)?=", re.MULTILINE)
OUTPUT_LINE = re.compile(r"^output\s*(?::[^=\n]+)?=", re.MULTILINE)
LAST_LINE = re.compile(r"^print\(\s*output\s*\)[ \t]*(?:#[^\n]*)?$", re.MULTILINE)
ANSWER_TAG = re.compile(r"<answer>(.*?)</answer>", re.DOTALL | re.IGNORECASE)
THINKING = re.compile(r"^.*</think>", re.DOTALL)


def extract_program(text: str) -> str:
    """The program in a model's answer, without fence and surrounding prose; empty if there is none.

    Of several fences the last complete Code CoT counts; where the parts lie in several fences (the function in one,
    the input in the next) they are joined. Without a fence, the program goes from the first line that looks like code
    to `print(output)`; an opened fence that is never closed goes to the end or to `print(output)`, so that a
    completion that runs on into the next task is cut there.
    """
    text = THINKING.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    blocks = _fenced(text)
    if not blocks:
        return _unfenced(text)
    complete = [block for block in blocks if _is_code_cot(block)]
    if complete:
        return complete[-1]
    if len(blocks) > 1 and _is_code_cot(joined := "\n\n".join(blocks)):
        return joined
    with_function = [block for block in blocks if FUNCTION_LINE.search(block)]
    return (with_function or blocks)[-1]


def extract_expected(text: str) -> str:
    """The answer that a completion states in its last `<answer>…</answer>` tag; empty without one."""
    found = ANSWER_TAG.findall(THINKING.sub("", text))
    return found[-1].strip() if found else ""


def input_lines(arguments: dict[str, str]) -> list[str]:
    """`input = {...}` as source lines; `arguments` maps parameter names to the source text of their values."""
    items = [f'"{name}": {value}' for name, value in arguments.items()]
    one_line = "input = {" + ", ".join(items) + "}"
    if len(one_line) <= 100 and "\n" not in one_line:
        return [one_line]
    return ["input = {", *(f"    {item}," for item in items), "}"]


def _fenced(text: str) -> list[str]:
    """The contents of the Python fences in `text`, in order; languages other than Python are left out."""
    blocks = []
    position = 0
    while opening := FENCE.search(text, position):
        mark = opening["mark"]
        closing = re.compile(rf"^[ \t]*{re.escape(mark[0])}{{{len(mark)},}}[ \t]*$", re.MULTILINE).search(
            text, opening.end()
        )
        end = closing.start() if closing else len(text)
        position = closing.end() if closing else len(text)
        block = text[opening.end() : end].strip("\n")
        if not closing:
            block = _up_to_last_line(block)
        if opening["language"].lower() in PYTHON and block.strip():
            blocks.append(textwrap.dedent(block).rstrip() + "\n")
    return blocks


def _unfenced(text: str) -> str:
    lines = text.split("\n")
    for number, line in enumerate(lines):
        if CODE_START.match(line):
            program = "\n".join(lines[number:])
            break
    else:
        return ""
    if not LAST_LINE.search(program) and not re.search(r"^(?:def |import |from )", program, re.MULTILINE):
        return ""  # a heading or an equation in prose looks like code for one line
    return _up_to_last_line(program).rstrip() + "\n"


def _up_to_last_line(program: str) -> str:
    last = LAST_LINE.search(program)
    return program[: last.end()] if last else program


def _is_code_cot(program: str) -> bool:
    return bool(FUNCTION_LINE.search(program) and INPUT_LINE.search(program) and OUTPUT_LINE.search(program))
