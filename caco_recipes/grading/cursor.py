"""A cursor over tokens, which both halves of the grammar share."""

from caco_recipes.grading.syntax import Unreadable

MAX_DEPTH = 40


class Cursor:
    """Tokens, the place in them, and what depends on the brackets around it."""

    def __init__(self, tokens: list[tuple], program: bool):
        self.tokens = tokens
        self.at = 0
        self.depth = 0
        self.program = program
        self.bars = 0
        self.colons = False  # whether a colon may be the "such that" of a set

    def peek(self, ahead: int = 0) -> tuple:
        i = self.at + ahead
        return self.tokens[i] if i < len(self.tokens) else ("end", "end", False, -1)

    def is_op(self, *values: str) -> bool:
        kind, value, _, _ = self.peek()
        return kind == "op" and value in values

    def take(self) -> tuple:
        token = self.peek()
        self.at += 1
        return token

    def expect(self, *values: str) -> str:
        kind, value, _, _ = self.take()
        if kind != "op" or value not in values:
            raise Unreadable(f"expected {values[0]}, got {value!r}")
        return value
