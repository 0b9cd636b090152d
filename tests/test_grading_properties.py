"""Properties of the grader on generated answers: reflexive, symmetric, blind to notation, and never fooled by a near miss."""

from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from caco_recipes.grading import grade

FAST = settings(max_examples=150, deadline=None)
integers = st.integers(-(10**12), 10**12)
small = st.integers(-40, 40)
nonzero = small.filter(bool)
letters = st.sampled_from("abcxyzkn")


def latex_fraction(top: int, bottom: int) -> str:
    return rf"\frac{{{top}}}{{{bottom}}}"


@st.composite
def decimals(draw) -> str:
    whole, places = draw(integers), draw(st.integers(1, 6))
    return f"{whole}.{draw(st.integers(0, 10**places - 1)):0{places}d}"


@st.composite
def expressions(draw, depth: int = 3) -> str:
    if depth == 0 or draw(st.integers(0, 3)) == 0:
        return draw(
            st.one_of(
                small.map(lambda n: str(n) if n >= 0 else f"({n})"), letters, st.just(r"\pi"), st.just(r"\sqrt{2}")
            )
        )
    a, b = draw(expressions(depth=depth - 1)), draw(expressions(depth=depth - 1))
    form = draw(
        st.sampled_from(
            [
                "{a}+{b}",
                "({a})({b})",
                "({a})-({b})",
                r"\frac{{{a}}}{{{b}}}",
                "({a})^{{2}}",
                r"\sqrt{{{a}}}",
                r"\sin({a})",
            ]
        )
    )
    return form.format(a=a, b=b)


@st.composite
def answers(draw) -> str:
    """An answer of any kind that the grader reads."""
    values = st.one_of(integers.map(str), decimals(), st.builds(latex_fraction, small, nonzero.map(abs)))
    kind = draw(st.integers(0, 5))
    if kind == 0:
        return draw(values)
    if kind == 1:
        return draw(expressions())
    if kind == 2:
        return "(" + ", ".join(draw(st.lists(values, min_size=2, max_size=4))) + ")"
    if kind == 3:
        return r"\{" + ", ".join(draw(st.lists(values, min_size=1, max_size=4))) + r"\}"
    if kind == 4:
        low, high = sorted(draw(st.tuples(small, small)))
        return f"{draw(st.sampled_from('[('))}{low}, {high + 1}{draw(st.sampled_from('])'))}"
    row = st.lists(small.map(str), min_size=2, max_size=2).map(" & ".join)
    return r"\begin{pmatrix}" + r" \\ ".join(draw(st.lists(row, min_size=1, max_size=3))) + r"\end{pmatrix}"


@FAST
@given(answers())
def test_reflexive(text):
    assert grade(text, text).accepted


@FAST
@given(answers(), answers())
def test_symmetric(a, b):
    assert (
        grade(a, b).accepted == grade(b, a).accepted or "[" in a + b
    )  # a printed list is a pair as a prediction only


@FAST
@given(
    answers(), st.sampled_from(["left", "dfrac", "space", "dollar", "boxed", "display", "stop", "text_space", "quad"])
)
def test_blind_to_notation(text, change):
    other = {
        "left": text.replace("(", r"\left(").replace(")", r"\right)").replace("[", r"\left[").replace("]", r"\right]"),
        "dfrac": text.replace(r"\frac", r"\dfrac"),
        "space": text.replace(", ", ",").replace("+", " + "),
        "dollar": f"${text}$",
        "boxed": rf"\boxed{{{text}}}",
        "display": rf"\[ {text} \]",
        "stop": f"  {text}.",
        "text_space": text.replace(", ", r",\ "),
        "quad": text.replace(", ", r", \quad "),
    }[change]
    if change == "left" and text.count("(") + text.count("[") != text.count(")") + text.count("]"):
        return
    assert grade(text, other).accepted, (text, other)


@FAST
@given(st.integers(0, 10**15))
def test_blind_to_currency_and_grouping(number):
    for other in (
        f"${number}",
        rf"\${number}",
        f"{number:,}",
        f"{number:,}".replace(",", "{,}"),
        f"{number:,}".replace(",", r",\!"),
        f"{number} dollars",
    ):
        assert grade(str(number), other).accepted, other


@FAST
@given(small, nonzero.map(abs), st.integers(1, 9))
def test_blind_to_the_form_of_a_fraction(top, bottom, factor):
    gold = latex_fraction(top, bottom)
    value = Fraction(top, bottom)
    for other in (
        f"{top}/{bottom}",
        latex_fraction(top * factor, bottom * factor),
        f"Fraction({top}, {bottom})",
        repr(top / bottom),
    ):
        assert grade(gold, other).accepted, other
    assert grade(gold, str(value)).accepted


@FAST
@given(expressions(), letters)
def test_near_misses_of_expressions(text, letter):
    for other in (f"({text})+1", f"({text})+0.0005", f"-({text})-1", f"({text})+{letter}"):
        assert not grade(text, other).accepted, other


@FAST
@given(integers, st.sampled_from([1, -1, 10, 7]))
def test_near_misses_of_integers(number, step):
    assert not grade(str(number), str(number + step)).accepted
    assert not grade(str(number), f"{number}.5").accepted
    assert not grade(str(number), f"{number}, {number + 1}").accepted
    assert not grade(f"x = {number}", f"y = {number}").accepted
    if number:
        assert not grade(str(number), str(-number)).accepted
        assert not grade(str(number), str(number * 100)).accepted
        assert not grade(str(number), f"{number}x").accepted


@FAST
@given(decimals(), st.integers(1, 9))
def test_near_misses_of_decimals(text, step):
    places = len(text.partition(".")[2])
    near = Fraction(text) + Fraction(step, 10**places)
    sign, digits = ("-", -near) if near < 0 else ("", near)
    whole, rest = divmod(digits * 10**places, 10**places)
    assert not grade(text, f"{sign}{whole}.{int(rest):0{places}d}").accepted


@FAST
@given(st.lists(small, min_size=2, max_size=5, unique=True))
def test_order_and_members(numbers):
    text = ", ".join(map(str, numbers))
    turned = ", ".join(map(str, reversed(numbers)))
    assert grade(text, turned).accepted
    assert grade(rf"\{{{text}\}}", turned).accepted
    assert not grade(f"({text})", f"({turned})").accepted
    assert not grade(text, ", ".join(map(str, numbers[1:]))).accepted
    assert not grade(text, text + ", 99").accepted


@FAST
@given(small, st.integers(1, 50), st.sampled_from(["()", "[]", "(]", "[)"]), st.sampled_from(["()", "[]", "(]", "[)"]))
def test_brackets_of_intervals(low, width, first, second):
    one = rf"\left{first[0]}{low}, {low + width}\right{first[1]}"
    two = rf"\left{second[0]}{low}, {low + width}\right{second[1]}"
    assert grade(one, two).accepted == (first == second)


@FAST
@given(st.text(max_size=60), st.text(max_size=60))
def test_any_text_gets_a_verdict(a, b):
    grade(a, b), grade(a, b, kind="program", policy="rounding")
    if a.strip():
        assert grade(a, a).accepted


@FAST
@given(st.text(alphabet="\\{}()[]$^_&,;:|0123456789xyfrac+-*/=<>.!'\" \n", max_size=80))
def test_any_notation_gets_a_verdict(text):
    grade("5", text), grade(text, "5"), grade(text, text + "1")


@FAST
@given(answers(), st.integers(0, 40), st.sampled_from([" ", "  ", r"\,", r"\ ", r"\;", "~"]))
def test_blind_to_spacing_around_signs(text, place, blank):
    spots = [i for i, char in enumerate(text) if char in "+,=&"]
    if spots:
        at = spots[place % len(spots)]
        assert grade(text, text[: at + 1] + blank + text[at + 1 :]).accepted, (text, at)


@FAST
@given(st.sampled_from("xyzab"), small, small, st.sampled_from(["=", "<", ">", r"\le", r"\ge"]))
def test_relations_with_their_sides_swapped(name, a, b, sign):
    turned = {"=": "=", "<": ">", ">": "<", r"\le": r"\ge", r"\ge": r"\le"}[sign]
    assert grade(f"{name} {sign} {a}", f"{a} {turned} {name}").accepted
    if sign != "=":
        assert not grade(f"{name} {sign} {a}", f"{a} {sign} {name}").accepted
    if a != b:
        assert not grade(f"{name} {sign} {a}", f"{name} {sign} {b}").accepted


@FAST
@given(nonzero, nonzero, small, st.integers(1, 9).filter(lambda k: k != 1), st.integers(1, 5))
def test_equations_up_to_a_factor_only(a, b, c, factor, step):
    gold = f"{a}x + ({b})y = {c}"
    assert grade(gold, f"{a * factor}x + ({b * factor})y = {c * factor}").accepted
    assert grade(gold, f"{c} = {a}x + ({b})y").accepted
    assert not grade(gold, f"{a}x + ({b})y = {c + step}").accepted
    assert not grade(gold, f"{a}x + ({b + step or 1})y = {c}").accepted or b == (b + step or 1)
    if abs(a) != abs(b) or c:
        assert grade(gold, f"{b}x + ({a})y = {c}").accepted == (a == b)
