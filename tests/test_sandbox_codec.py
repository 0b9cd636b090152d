"""Tagged JSON: exact round trips, strict reading of hostile bytes, and the record framing around it."""

import json
import math
import re
from collections import namedtuple
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caco_recipes.sandbox import Limits, Pool
from caco_recipes.sandbox.codec import (
    Bounds,
    Encoder,
    NotTagged,
    NumpyValue,
    ReprValue,
    SympyValue,
    TooLarge,
    check,
    decode,
    long_int,
)
from caco_recipes.sandbox.outcome import Reader, split_records
from caco_recipes.sandbox.worker import Reply

ENCODER = Encoder()

scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.integers(-(10**60), 10**60), st.floats(), st.text(), st.binary(),
    st.fractions(), st.decimals(), st.complex_numbers(), st.builds(range, st.integers(-9, 9), st.integers(-9, 9)),
)  # fmt: skip
hashable = st.one_of(st.integers(), st.text(), st.fractions(), st.tuples(st.integers(), st.text()))
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=5), st.tuples(inner, inner), st.dictionaries(st.text(), inner, max_size=5),
        st.dictionaries(hashable, inner, max_size=5), st.sets(hashable, max_size=5), st.frozensets(hashable, max_size=5),
    ),
    max_leaves=20,
)  # fmt: skip


def same(a, b) -> bool:
    """Equal, of the same type all the way down, nan equal to nan."""
    if type(a) is not type(b):
        return False
    if isinstance(a, float):
        return (math.copysign(1, a) == math.copysign(1, b) and (a == b or (a != a and b != b))) or (a != a and b != b)
    if isinstance(a, complex):
        return same(a.real, b.real) and same(a.imag, b.imag)
    if isinstance(a, Decimal):
        return str(a) == str(b)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a.items(), b.items()))
    return a == b


@settings(max_examples=400, deadline=None)
@given(values)
def test_values_come_back_exactly(value):
    text = ENCODER.encode(value)
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not strict JSON"))
    assert text.isascii()
    assert same(decode(check(text)), value)
    assert ENCODER.encode(decode(text)) == text


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(), st.binary().map(lambda b: b.decode("latin-1"))))
def test_hostile_text_is_refused_or_read(text):
    try:
        decode(text)
    except NotTagged:
        pass


tag_names = st.sampled_from(
    "$int $float $tuple $set $frozenset $dict $frac $dec $complex $bytes $range $np $sympy $repr $x".split()
)
json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.sampled_from(["1/2", "1/0", "nan", "-0", "0x1"])),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=3), inner, max_size=3),
        st.builds(lambda tag, body: {tag: body}, tag_names, inner),
        st.builds(lambda d, s, b: {"$np": {"dtype": d, "shape": s, "data": b}}, st.text(max_size=4), inner, inner),
    ),
    max_leaves=15,
)  # fmt: skip


@settings(max_examples=600, deadline=None)
@given(json_values)
def test_forged_tags_are_refused_or_read(value):
    text = json.dumps(value)
    try:
        decode(text)
    except NotTagged:
        pass


# ended by a signal, or with an exit code
ends = st.one_of(st.integers(1, 64), st.integers(0, 255).map(lambda code: code << 8))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400), st.binary(max_size=200), st.binary(max_size=200), ends)
def test_hostile_bytes_make_a_row_never_an_error(results, facts, stdout, status):
    reader = Reader(Limits(), "caco", "strict", "x")
    reply = Reply("R", 1, status, 0, 0.1, 0.1, 10, len(stdout), facts, results, stdout)
    result = reader.single(reply)
    assert result.status in ("ok", "error", "timeout", "memory", "output_limit", "denied", "infrastructure")


@given(st.binary(max_size=300), st.integers(1, 5))
@settings(deadline=None)
def test_records_are_cut_off_at_the_first_bad_one(data, most):
    assert len(split_records(data, Limits(), most)) <= most


@pytest.mark.parametrize(
    "text",
    [
        "NaN", "[Infinity]", "1e999", "9007199254740993", '{"a":1,"a":2}', '{"$x":1}', '{"$int":"0x1"}', '{"$int":1}',
        '{"$int":"01"}', '{"$frac":"1/0"}', '{"$frac":"1/-2"}', '{"$frac":"1"}', '{"$dec":"1;2"}', '{"$bytes":"0g"}',
        '{"$range":[1,2,0]}', '{"$np":{"dtype":"int64","shape":[2],"data":[1]}}', '{"$sympy":{"str":"x"}}',
        '{"$int":"1","b":2}', "[" * 60 + "]" * 60, "[" * 100_000, "", "[1,]", "'a'", "1 2", '"' + "x" * 70_000 + '"',
        '{"$int":"' + "1" * 20_002 + '"}', '{"$complex":[1,2]}', '{"$np":{"dtype":"d","shape":[-1],"data":[]}}',
    ],
)  # fmt: skip
def test_what_is_refused(text):
    with pytest.raises(NotTagged):
        check(text)


def test_what_is_too_large():
    cases = [
        (10**20_001, "digits"), ([[]] * 5_001, "items"), ("x" * 70_000, "characters"), (b"x" * 70_000, "characters"),
        (["x" * 60_000] * 5, "characters"), (Fraction(1, 10**20_001), "digits"),
    ]  # fmt: skip
    for value, bound in cases:
        with pytest.raises(TooLarge, match=bound):
            Encoder().encode(value)
    deep: list = []
    for _ in range(25):
        deep = [deep]
    with pytest.raises(TooLarge, match="depth"):
        Encoder().encode(deep)
    deep.append(deep)
    with pytest.raises(TooLarge):
        Encoder().encode(deep)
    assert Encoder(Bounds(depth=100)).encode([1]) == "[1]"


def test_ints_beyond_the_interpreters_limit():
    for number in (10**15_000 + 7, -(10**9_999), 0):
        text = "-" * (number < 0) + re.sub("^-", "", _digits(number))
        assert long_int(text) == number


def _digits(number: int) -> str:
    parts, number = [], abs(number)
    while True:
        number, rest = divmod(number, 10**4000)
        parts.append(str(rest).zfill(4000) if number else str(rest))
        if not number:
            return "".join(reversed(parts))


def test_other_classes_by_text():
    point = namedtuple("point", "x y")(1, 2)
    found = decode(Encoder().encode([point, object(), ValueError("x")]))
    assert all(type(item) is ReprValue for item in found)
    assert "0x…" in found[1].text and found[2].text == "ValueError('x')"


def test_numpy_and_sympy_inside_the_sandbox():
    code = (
        "import numpy as np, sympy as sp\nx = sp.symbols('x')\n"
        "output = [np.int64(5), np.float64('nan'), np.array([[1, 2], [3, 4]]), np.array(['a']), np.bool_(True),\n"
        "  sp.Integer(5), sp.Rational(1, 3), x**2 + 1, sp.Matrix([[1, x]]), sp.true, sp.oo, 5]\n"
    )
    with Pool(1) as pool:
        result = pool.run_one(code)
    found = decode(result.output)
    assert found[0] == NumpyValue("int64", (), (5,))
    assert found[2] == NumpyValue("int64", (2, 2), (1, 2, 3, 4))
    assert found[3].data == ("a",) and found[4] == NumpyValue("bool", (), (True,))
    assert found[5] == SympyValue("5", "Integer(5)") and found[6] == SympyValue("1/3", "Rational(1, 3)")
    assert found[7].text == "x**2 + 1" and all(type(item) is SympyValue for item in found[5:11])
    assert found[11] == 5 and type(found[11]) is int
