"""How a text input may change: dates, clock times, digits, numbers inside expressions; anything else only far away."""

import random
import re
from datetime import date, timedelta

DATE = re.compile(r"\b(\d{4})-(\d{2})-(\d{2})\b")
CLOCK = re.compile(r"\b([01]?\d|2[0-3]):([0-5]\d)\b")
BINARY = re.compile(r"\A[01]{2,}\Z")
DIGITS = re.compile(r"\A\d+\Z")
NUMBER = re.compile(r"(?<![\w.])\d+(?![\w.])")


def near(text: str, rng: random.Random) -> str:
    """The same kind of text: another date, time, or string of as many digits. Words and expressions stay."""
    if found := DATE.search(text):
        try:
            moved = date(*map(int, found.groups())) + timedelta(days=rng.choice([-1, 1]) * rng.randint(1, 200))
        except (ValueError, OverflowError):
            return text
        return text[: found.start()] + moved.isoformat() + text[found.end() :]
    if found := CLOCK.fullmatch(text):
        hour = f"{rng.randint(0, 23):0{len(found[1])}d}" if len(found[1]) == 2 else str(rng.randint(1, 9))
        return f"{hour}:{rng.randint(0, 59):02d}"
    if BINARY.match(text):
        return text[0] + "".join(rng.choice("01") for _ in text[1:])
    if DIGITS.match(text):
        alphabet = "123456789" if max(text) > "7" else "1234567"[: max(int(max(text)), 1)]
        return "".join(rng.choice(alphabet if letter != "0" else "0") for letter in text)
    return text


def wide(text: str, rng: random.Random) -> list[str]:
    """Texts that differ: for finding out whether a program looks at the text at all."""
    made = [near(text, rng) for _ in range(3)]
    numbers = list(NUMBER.finditer(text))
    for found in numbers[:4]:
        for number in (int(found[0]) + 1, 2 * int(found[0]) + 3) if len(found[0]) < 16 else ():
            made.append(text[: found.start()] + str(number) + text[found.end() :])
    if text:
        made += [text[1:], text[:-1], text + text[-1], text[::-1], "".join(rng.sample(text, len(text)))]
        letters = [index for index, letter in enumerate(text) if letter.isalpha()]
        for index in letters[:3]:
            other = "b" if text[index] == "a" else "a"
            made.append(text[:index] + other + text[index + 1 :])
    made += [text + "a", "", "1"]
    return made
