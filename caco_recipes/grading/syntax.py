"""The small syntax tree that answers are parsed into. Nodes are plain data; nothing here computes."""

from dataclasses import dataclass
from fractions import Fraction


@dataclass(slots=True)
class Num:
    """A literal number, exact. `digits` counts the significant digits and `places` the decimal places that were written
    (both 0 for an integer without a point)."""

    value: Fraction
    digits: int = 0
    places: int = 0


@dataclass(slots=True)
class Sym:
    name: str


@dataclass(slots=True)
class App:
    """An operator or function applied: `+ * / ^ neg pm mp ! abs sqrt root sin … deg pct` and opaque function names."""

    op: str
    args: list


@dataclass(slots=True)
class Seq:
    """Items between brackets: `( [ { <` and `]` for a French open interval; `""` is a bare list."""

    open: str
    close: str
    items: list
    source: str = ""  # "printed" as Python prints it, or "typed": decoded from tagged JSON


@dataclass(slots=True)
class Rel:
    """`sides[0] ops[0] sides[1] ops[1] …` with ops from `= < > <= >= != ~ in`."""

    ops: list
    sides: list


@dataclass(slots=True)
class SetOp:
    """`union`, `inter` or `minus` of sets."""

    op: str
    args: list


@dataclass(slots=True)
class Mat:
    rows: list


@dataclass(slots=True)
class Text:
    """Words: a name, a weekday, an option letter, a Boolean."""

    text: str


@dataclass(slots=True)
class Quantity:
    """A value with a unit or the name of what was counted."""

    value: object
    unit: str


@dataclass(slots=True)
class Ratio:
    parts: list


@dataclass(slots=True)
class Based:
    """A number written in a base: `204_5`."""

    digits: str
    base: int


class Unreadable(Exception):
    """The text is outside of what the parser reads (or larger than its bounds)."""
