"""What stands behind a value and names what it measures or counts: units, degrees, the ending of an ordinal."""

from caco_recipes.grading.atoms import Atoms
from caco_recipes.grading.syntax import App, Num, Quantity, Sym, Unreadable
from caco_recipes.grading.words import is_unit, says_only_what


class Units(Atoms):
    """The level of units, between single values and their products."""

    def unit_tail(self, unit: str) -> str:
        """What may follow a unit's name: a power, or `/` and another unit."""
        while True:
            if self.is_op("^"):
                if self.peek(1)[0] == "num":
                    self.take()
                    unit += "^" + self.take()[1]
                elif self.peek(1)[1] == "{" and self.peek(2)[0] == "num" and self.peek(3)[1] == "}":
                    unit += "^" + self.peek(2)[1]
                    self.at += 4
                elif (
                    self.peek(1)[1] == "{"
                    and self.peek(2)[1] == "-"
                    and self.peek(3)[0] == "num"
                    and self.peek(4)[1] == "}"
                ):
                    unit += "^-" + self.peek(3)[1]
                    self.at += 5
                elif self.peek(1)[1] == "deg" or (self.peek(1)[1] == "{" and self.peek(2)[1] == "deg"):
                    return unit
                else:
                    raise Unreadable("power of a unit")
            elif self.is_op("/") and self.peek(1)[0] in ("text", "word", "sym"):
                self.take()
                unit += "/" + self.take()[1]
            elif self.is_op("*") and self.peek(1)[0] in ("text",):
                self.take()
                unit += " " + self.take()[1]
            elif self.peek()[0] in ("text", "word"):
                unit += " " + self.take()[1]
            elif self.is_op("'") and self.at == len(self.tokens) - 1:
                self.take()
            else:
                return unit

    def text_unit(self, node):
        unit = self.take()[1]
        if not says_only_what(unit):
            raise Unreadable("prose")
        if unit.strip().lower() in ("st", "nd", "rd", "th") and isinstance(node, Num):
            return node
        if unit.strip().lower() in ("i", "e", "x", "y", "n", "z", "pi") and len(unit.strip()) <= 2:
            return App("*", [node, Sym(unit.strip())])
        return Quantity(node, self.unit_tail(unit))

    def word_unit(self, node):
        _kind, value, space, _ = self.peek()
        numeric = _numeric(node)
        if value in ("st", "nd", "rd", "th") and not space and isinstance(node, Num):
            self.take()
            return node
        if not says_only_what(value):
            raise Unreadable("prose")
        if self.program and not space:
            raise Unreadable("name after a value")
        if numeric and (is_unit(value) or (len(value) >= 3 and (space or len(value) >= 4))):
            self.take()
            return Quantity(node, self.unit_tail(value))
        if len(value) > 3 or (len(value) == 3 and value.lower() in ("the", "for", "are", "not", "all")):
            raise Unreadable("prose")
        return self.implicit(node)

    def letter_degree(self) -> bool:
        """`45^o`, `45^{o}`"""
        for width, names in ((1, ["o"]), (3, ["{", "o", "}"])):
            if [self.peek(i)[1] for i in range(width)] == names:
                self.at += width
                return True
        return False

    def degree_sign(self) -> bool:
        if self.is_op("deg"):
            self.take()
            return True
        if self.is_op("{") and self.peek(1)[1] == "deg" and self.peek(2)[1] == "}":
            self.at += 3
            return True
        if self.is_op("{") and self.peek(1)[1] == "deg" and self.peek(2)[0] == "text":
            self.at += 4
            return True
        return False

    def ordinal(self) -> bool:
        """`12^{\\text{th}}`: the ending says nothing."""
        width = 3 if self.is_op("{") else 1
        kind, value, _, _ = self.peek(1 if width == 3 else 0)
        if kind in ("text", "word") and value in ("th", "st", "nd", "rd"):
            self.at += width
            return True
        return False


def _numeric(node) -> bool:
    if isinstance(node, Num):
        return True
    if isinstance(node, Quantity):
        return True
    if isinstance(node, Sym):
        return node.name in ("pi",)
    return isinstance(node, App) and node.op in "+*/^neg!rootpctdeg" and all(_numeric(arg) for arg in node.args)
