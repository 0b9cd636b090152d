"""Cleaned text to the syntax tree, cached. The grammar is in `grammar.py` and `atoms.py`; nothing is ever evaluated as code."""

import re
from functools import lru_cache

from caco_recipes.grading.grammar import Grammar
from caco_recipes.grading.lexer import lex
from caco_recipes.grading.syntax import App, Num, Quantity, Rel, Seq, Sym, Unreadable


def parse_tokens(tokens: list[tuple], program: bool):
    """The tree of a token list. Raises `Unreadable`."""
    if not tokens:
        raise Unreadable("empty")
    return _plain_brackets(Grammar(tokens, program).answer())


def _plain_brackets(node, inside: bool = False):
    """Square brackets and braces around one expression within a larger one are only brackets."""
    if isinstance(node, App):
        node.args = [_plain_brackets(arg, True) for arg in node.args]
    elif isinstance(node, Seq):
        node.items = [_plain_brackets(item) for item in node.items]
        if inside and len(node.items) == 1 and node.open in ("[", "(") and isinstance(node.items[0], App | Num | Sym):
            return node.items[0]
    elif isinstance(node, Rel):
        node.sides = [_plain_brackets(side) for side in node.sides]
    elif isinstance(node, Quantity):
        node.value = _plain_brackets(node.value, True)
    return node


_FRENCH = re.compile(r"([\[\]])([^\[\]()]*[,;][^\[\]()]*)([\[\]])")  # ]a, b[
_PYTHON = re.compile(
    r"\*\*|\*|\b(?:sqrt|Matrix|Fraction|Rational|exp|log|Eq|Interval|FiniteSet|Union|pi)\b(?<!\\pi)|\A\[.*, .*\]\Z|'"
)


@lru_cache(maxsize=65536)
def parse(text: str, program: bool = False, thousands: bool = True, latex: bool = False):
    """The tree of one answer, `text` cleaned before. `program` reads it as Python prints values; `latex` says that the text
    had LaTeX in it before it was cleaned, so that a bracket isn't a Python list.

    Raises `Unreadable` when the text isn't in the language of answers.
    """
    if len(text) > 4000:
        raise Unreadable("too long")
    french = _FRENCH.fullmatch(text)
    if french and (french[1] == "]" or french[3] == "["):
        text = ("(" if french[1] == "]" else "[") + french[2] + (")" if french[3] == "[" else "]")
    python = program or (not latex and "\\" not in text and _PYTHON.search(text) is not None)
    if ") | (" in text:  # sympy's Or
        text = text.replace(") | (", ") or (")
    try:
        return parse_tokens(lex(text, thousands), python)
    except RecursionError:
        raise Unreadable("nested too deeply") from None
