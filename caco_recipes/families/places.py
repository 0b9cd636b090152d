"""What a problem says around a number: how near each of its words is to each of its quantities, and of which kind they are.

Near means: right behind the number ("5 red apples"), or before it ("a radius of 5", "x = 5"), in the same clause, with no
other number between. Distances count words that carry meaning. In a table it means: in the same row, or the column's head.
"""

import re
from dataclasses import dataclass

from caco_recipes.families.naming import LENGTH, MASS, MONEY, PERCENT, PLAIN, RATES, SPEED, TIME, concept
from caco_recipes.families.quantities import Quantity

TOKEN = re.compile(r"[A-Za-z]+|[.?!\n]|[,;:|()&]")
FILLING = frozenset(
    "the a an of to at in on by for from with is are was were be been has have had it its his her their he she they that this "
    "there".split()
)
JOINING = frozenset("and but while if when then who which where whereas or".split())
RATING = frozenset("per each every a an".split())
# Nearness of the 1st, 2nd, … word behind and before a number, and what lessens it.
BEHIND = (1.0, 0.9, 0.75, 0.6, 0.45, 0.35, 0.3, 0.25)
BEFORE = (0.9, 0.75, 0.6, 0.5, 0.4, 0.3, 0.25, 0.2)
NUMBER_BETWEEN, CLAUSE_BETWEEN, SENTENCE_BETWEEN = 0.45, 0.65, 0.4
UNIT_KINDS = {
    **dict.fromkeys("dollar cent buck usd euro rupee rs".split(), MONEY),
    **dict.fromkeys("% percent".split(), PERCENT),
    **dict.fromkeys("second minute hour day week month year fortnight decade".split(), TIME),
    **dict.fromkeys("mile meter kilometer inch centimeter foot yard mm m millimeter".split(), LENGTH),
    **dict.fromkeys("pound ounce kg gram kilogram ton g mg oz".split(), MASS),
    **dict.fromkeys("mph kmph kmh knot".split(), SPEED),
}  # fmt: skip
SIGN = re.compile(r"(?:\\\$|£|€|¥|Rs\.?)\s*$", re.IGNORECASE)
LATEX = re.compile(r"\\\$|\\[a-z]{2,}|\$\d+\$|\$[A-Za-z]\$")  # then a bare $ opens a formula
PER_TIME = re.compile(r"\s*[a-z]+\s*(?:per|an|a|/|each)\s*(?:hour|h|hr|minute|min|second|s|sec)\b")
LINK = re.compile(r"(?<![A-Za-z])([A-Za-z]{1,3})\s*\$?\s*(?:=|\b(?:is|are|be|equals)\b)\s*\$?\s*$")
ROW = re.compile(r"^.*\|.*$", re.MULTILINE)


@dataclass(frozen=True)
class Spot:
    """A token's place: how many content words, clauses, sentences and numbers come before it."""

    words: int
    clauses: int
    sentences: int
    numbers: int


class Places:
    """A text, cut into words and quantities with their places."""

    def __init__(self, text: str, found: list[Quantity]) -> None:
        self.text = text
        self.latex = bool(LATEX.search(text))
        self.words: dict[str, list[Spot]] = {}
        self.spots: dict[int, Spot] = {}
        self.called: dict[str, set[int]] = {}
        self.cells: dict[int, dict[str, float]] = _cells(text, found) if text.count("|") > 1 else {}
        words = clauses = sentences = numbers = end = 0
        last = ""
        for quantity in [*found, None]:
            for token in TOKEN.finditer(text, end, quantity.start if quantity else len(text)):
                word = token[0].lower()
                if word in ".?!\n":
                    sentences += 1
                elif word in ",;:|()&" or word in JOINING:
                    clauses += 2 if word == ")" else 1
                elif word not in FILLING:
                    words += 1
                    one, spot = concept(token[0]), Spot(words, clauses, sentences, numbers)
                    self._seen(one, spot)
                    if last in RATING:
                        self._seen("per:" + one, spot)
                    elif word in RATES:
                        self._seen("per:" + RATES[word], spot)
                last = word
            if quantity is None:
                break
            words += 1
            spot = self.spots[quantity.start] = Spot(words, clauses, sentences, numbers)
            if link := LINK.search(text[max(quantity.start - 20, 0) : quantity.start]):
                self.called.setdefault(link[1].lower(), set()).add(quantity.start)
            if quantity.kind in ("special", "ordinal", "words", "fraction"):  # half, twice, third are words, too
                self._seen(concept(quantity.text), spot)
            self._seen(f"#{quantity.plain}", spot)
            numbers += quantity.kind != "ordinal"
            end, last = max(quantity.end, end), ""

    def _seen(self, word: str, spot: Spot) -> None:
        self.words.setdefault(word, []).append(spot)

    def near(self, word: str, quantity: Quantity) -> float:
        """How near a word is to a quantity, from 0 (it isn't there) to 1 (right behind it)."""
        if len(word) == 1:
            return float(quantity.start in self.called.get(word.lower(), ()))
        if quantity.start in self.cells:
            cell = self.cells[quantity.start]
            return max((cell[one] for one in _alike(word, cell)), default=0.0)
        spot = self.spots[quantity.start]
        found = [_near(one, spot) for other in self._alike(word) for one in self.words[other]]
        return max(found, default=0.0)

    def _alike(self, word: str) -> list[str]:
        return _alike(word, self.words)

    def kind(self, quantity: Quantity) -> str:
        """The kind of a quantity by its unit and the sign before it."""
        ahead = self.text[max(quantity.start - 4, 0) : quantity.start]
        if SIGN.search(ahead) or (not self.latex and ahead.rstrip().endswith("$")):
            return MONEY
        if PER_TIME.match(self.text, quantity.end):
            return SPEED
        return UNIT_KINDS.get(concept(quantity.unit) if quantity.unit else "", PLAIN)


def _alike(word: str, words: dict) -> list[str]:
    """The word itself, or where it is missing longer ones that begin with it (`thu`: thursday) and shorter ones."""
    if word in words or len(word) < 3 or word[0] == "#" or word.startswith("per:"):
        return [word] if word in words else []
    return [one for one in words if one.startswith(word) or (len(one) > 3 and word.startswith(one))]


def _near(word: Spot, number: Spot) -> float:
    apart = word.words - number.words
    if apart == 0:
        return 0.0  # the number itself
    table = BEHIND if apart > 0 else BEFORE
    numbers = word.numbers - number.numbers - 1 if apart > 0 else number.numbers - word.numbers
    clauses, sentences = abs(word.clauses - number.clauses), abs(word.sentences - number.sentences)
    near = table[min(abs(apart), len(table)) - 1] * NUMBER_BETWEEN ** max(numbers, 0)
    return near * CLAUSE_BETWEEN ** min(clauses, 4) * SENTENCE_BETWEEN ** min(sentences, 4)


def _cells(text: str, found: list[Quantity]) -> dict[int, dict[str, float]]:
    """For each number in a table the words that tell it: those of its row's first cell, its column's head, its own cell."""
    rows = list(ROW.finditer(text))
    if len(rows) < 2:
        return {}
    split = [[_words(cell) for cell in row[0].split("|")] for row in rows]
    headed = len({len(cells) for cells in split}) == 1 and not any(
        rows[0].start() <= q.start < rows[0].end() for q in found
    )
    told = {}
    for quantity in found:
        place = next((i for i, row in enumerate(rows) if row.start() <= quantity.start < row.end()), None)
        if place is None or (headed and place == 0):
            continue
        column = text.count("|", rows[place].start(), quantity.start)
        words = dict.fromkeys(split[0][column], 0.9) if headed else {}
        words |= dict.fromkeys(split[place][column], 0.9)
        told[quantity.start] = words | (dict.fromkeys(split[place][0], 1.0) if column else {})
    return told


def _words(cell: str) -> list[str]:
    numbers = ["#" + number.replace(",", "") for number in re.findall(r"\d[\d,]*", cell)]
    return [concept(word) for word in re.findall(r"[A-Za-z]+", cell)] + numbers
