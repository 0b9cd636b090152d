"""Keys of programs: renaming, masked constants, behaviour on shared probes; and dedup by them."""

import json

import pytest

from caco_recipes.canonical import program_forms, program_hashes
from caco_recipes.duplicates.probes import PROBES, behaviour_key, probes, rounded, signature
from caco_recipes.program_keys import _behaviours
from caco_recipes.sandbox import Limits, Pool, Result
from tests.stage_runs import dropped, kept, run_stages, write_json_lines

ONE = '''
import math

def area(width, height):
    """Area of the field."""
    product = width * height  # metres
    return product + 1

input = {"width": 3, "height": 14}
output = area(**input)
print(output)
'''
RENAMED = ONE.replace("width", "a").replace("height", "b").replace("area", "f").replace("product", "p")
OTHER_DATA = RENAMED.replace("3", "8").replace("14", "2")
OTHER_CODE = ONE.replace("product = width * height  # metres\n    return product + 1", "return 1 + height * width")
DIFFERENT = ONE.replace("+ 1", "+ 2")
SWAPPED = RENAMED.replace("a * b", "b * a")


@pytest.fixture(scope="module")
def pool():
    with Pool(workers=1, limits=Limits(cpu_seconds=1.0)) as pool:
        yield pool


def test_forms_see_through_names_and_constants(pool) -> None:
    programs = [ONE, RENAMED, OTHER_DATA, OTHER_CODE, SWAPPED, "def broken(", "", "x = '\ud800'"]
    renamed, constants = zip(*program_forms(pool, programs), strict=True)
    assert len(set(program_hashes(pool, programs[:3]))) == 3
    assert renamed[0] == renamed[1] != renamed[2] and constants[0] == constants[1] == constants[2]
    assert len({constants[0], constants[3], constants[4]}) == 3
    assert renamed[5:] == ("", "", "") and constants[5:] == ("", "", "")


def test_a_renaming_that_joins_two_names_is_another_program(pool) -> None:
    joined = ONE.replace("width", "x").replace("height", "x").replace("def area(x, x)", "def area(x, y)")
    builtin = ONE.replace("width * height", "max(width, height)")
    other_builtin = ONE.replace("width * height", "min(width, height)")
    renamed = [form for form, _ in program_forms(pool, [ONE, joined, builtin, other_builtin])]
    assert len(set(renamed)) == 4


def test_behaviour_joins_other_code_and_other_values_only(pool) -> None:
    tagged = json.dumps({"width": 3, "height": 14})
    keys = _behaviours(pool, [ONE, OTHER_CODE, DIFFERENT, ONE], [tagged, '{"height": 1, "width": 7}', tagged, None])
    assert keys[0] == keys[1] and len(keys[0]) == 16
    assert keys[2] not in ("", keys[0]) and keys[3] == ""


def test_a_constant_answer_and_a_crash_on_everything_have_no_key(pool) -> None:
    tagged = json.dumps({"width": 3, "height": 14})
    constant = ONE.replace("return product + 1", "return 42")
    crash = ONE.replace("return product + 1", "return [][product]")
    half = ONE.replace("return product + 1", "return product if product % 2 else [][product]")
    keys = _behaviours(pool, [constant, crash, half], [tagged] * 3)
    assert keys[:2] == ["", ""] and keys[2]


def test_faults_and_load_give_no_key() -> None:
    of = signature('{"n": 1}')
    fine = [Result("ok", "", "accepted", output_text=str(number)) for number in range(PROBES)]
    assert behaviour_key(of, fine)
    for status, reason in (
        ("infrastructure", "infrastructure:lost"),
        ("timeout", "timeout:cpu"),
        ("memory", "memory"),
    ):
        assert behaviour_key(of, [*fine[1:], Result(status, reason, "undecided")]) == ""
    raised = Result("error", "exception:ZeroDivisionError", "rejected")
    assert behaviour_key(of, [*fine[1:], raised]) not in ("", behaviour_key(of, fine))
    assert behaviour_key(of, fine[1:]) == ""


@pytest.mark.parametrize(
    ("tagged", "same_as"),
    [
        ('{"a": 1, "b": [1, 2]}', '{"b": [5], "a": 9}'),
        ('{"a": {"$frac": "1/2"}, "t": {"$tuple": [1, "x"]}}', '{"a": {"$frac": "7/3"}, "t": {"$tuple": [4, "y"]}}'),
        ('{"a": {"x": 1.5}}', '{"a": {"x": 2.25}}'),
    ],
)
def test_probes_follow_from_names_and_types(tagged: str, same_as: str) -> None:
    from caco_recipes.sandbox.codec import check

    of = signature(tagged)
    assert of == signature(same_as)
    made = probes(of)
    assert len(set(made)) > PROBES // 2 and made == probes(of)
    for text in made:
        check(text)
        assert json.loads(text).keys() == json.loads(tagged).keys()


@pytest.mark.parametrize(
    "tagged", ["", "null", "[1]", "{}", '{"a": {"$sympy": {"str": "x"}}}', '{"$tuple": [1]}', "{"]
)
def test_inputs_without_probes_have_no_signature(tagged: str) -> None:
    assert signature(tagged) is None


def test_types_and_names_make_the_signature() -> None:
    assert len({signature(t) for t in ('{"a": 1}', '{"b": 1}', '{"a": 1.0}', '{"a": "1"}', '{"a": [1]}')}) == 5


def test_outputs_are_compared_to_ten_digits() -> None:
    assert rounded("0.30000000000000004") == rounded("0.3") and rounded("[1.0, 2.5e-3]") == "[1, 0.0025]"
    assert rounded("12345678901234567890") == "12345678901234567890"


def test_dedup_by_each_program_level(tmp_path) -> None:
    programs = [ONE, RENAMED, OTHER_DATA, OTHER_CODE, DIFFERENT]
    rows = [{"problem": f"Problem number {at}?", "program": code, "answer": ""} for at, code in enumerate(programs)]
    path = write_json_lines(tmp_path / "seeds.jsonl", rows)
    stages = {
        "seeds": {"sources": [{"path": str(path)}]},
        "unify": {"method": "mechanical"},
        "execute": {"rules": "none", "check_answer": False},
        "program_keys": {},
        "renamed": {"stage": "dedup", "levels": ["renamed", "behaviour"], "families": ["constants"]},
    }
    made = run_stages(tmp_path, stages)
    assert [row["reason"] for row in dropped(made, "renamed")] == ["duplicate:renamed", "duplicate:behaviour"]
    rows = kept(made, "renamed")
    assert len(rows) == 3
    families = [row["family_id"] for row in rows]
    assert families[0] == families[1] == families[2]  # one method on other data: constants are masked
