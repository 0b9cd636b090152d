"""A Code CoT as an environment: mutated inputs, filled problems, executed truths, pairs, band, curriculum."""

import json
import random

import pytest

from caco_recipes import environment
from caco_recipes.environment import complexity, curriculum, in_band, mutations, template_of, variants
from caco_recipes.sandbox import Pool

CODE = """input = {"boxes": 12, "weight": 2.5, "extra": -3}
def total(boxes, weight, extra):
    return boxes * weight + extra
output = total(**input)
print(output)
"""
INPUT = '{"boxes":12,"weight":2.5,"extra":-3}'
PROBLEM = "A van carries 12 boxes of 2.5 kg each; -3 kg is the correction. What is the total?"


@pytest.fixture(scope="module")
def pool():
    with Pool(workers=1) as running:
        yield running


def test_mutations_keep_types_signs_and_the_domain():
    made = mutations(INPUT, 20, random.Random(0))
    assert len(made) == len(set(made)) == 20 and INPUT not in made
    for text in made:
        value = json.loads(text)
        assert type(value["boxes"]) is int and 6 <= value["boxes"] <= 24
        assert type(value["weight"]) is float and 1.2 <= value["weight"] <= 5
        assert type(value["extra"]) is int and -6 <= value["extra"] <= -1
    assert made == mutations(INPUT, 20, random.Random(0))


def test_what_cannot_be_changed_safely_stays():
    assert mutations('{"name":"abc","flag":true,"zero":0}', 5, random.Random(0)) == []
    assert mutations('{"$repr":{"class":"Foo","text":"Foo()"}}', 5, random.Random(0)) == []
    only = [json.loads(text) for text in mutations(INPUT, 5, random.Random(0), only="boxes")]
    assert all((value["weight"], value["extra"]) == (2.5, -3) for value in only) and len(only) == 5
    nested = json.loads(mutations('{"a":{"$tuple":[1,[7,8]]},"b":true}', 1, random.Random(0))[0])
    assert nested["b"] is True and len(nested["a"]["$tuple"][1]) == 2


@pytest.mark.parametrize(
    ("problem", "tagged"),
    [
        ("no number here", '{"a":5}'),
        ("5 and again 5", '{"a":5}'),
        ("5 and 6", '{"a":5,"b":5}'),
        ("it is 15", '{"a":5}'),  # part of another number
        ("it is 5.5", '{"a":5}'),
        ("nothing to fill", "{}"),
    ],
)
def test_problems_that_are_no_template(problem, tagged):
    assert template_of(problem, json.loads(tagged), every=True) is None


def test_template_fills_in_the_problems_own_order():
    template = template_of("First 8,000 then 3 apples.", {"apples": 3, "first": 8000})
    assert template.fill({"apples": 4, "first": 9500}) == "First 9,500 then 4 apples."
    assert template.fill({"apples": 5, "first": 2}) == "First 2 then 5 apples."


def test_variants_have_the_programs_truth(pool):
    made = variants(PROBLEM, CODE, INPUT, 5, 7, pool)
    assert [one.number for one in made] == list(range(len(made))) and len(made) == 6
    assert made[0].problem == PROBLEM and made[0].answer == "27.0"
    for one in made:
        value = json.loads(one.input)
        assert float(one.answer) == pytest.approx(value["boxes"] * value["weight"] + value["extra"])
        assert f"carries {value['boxes']} boxes of {value['weight']} kg" in one.problem
    assert made == variants(PROBLEM, CODE, INPUT, 5, 7, pool)
    assert made[1:] != variants(PROBLEM, CODE, INPUT, 5, 8, pool)[1:]


def test_inputs_outside_the_domain_are_left_out(pool):
    code = CODE.replace("return", "assert boxes % 2 == 0\n    return")
    made = variants(PROBLEM, code, INPUT, 12, 1, pool)
    assert 1 < len(made) < 13
    assert all(json.loads(one.input)["boxes"] % 2 == 0 for one in made)


def test_what_has_no_place_in_the_problem_stays(pool):
    made = variants("A van carries 12 boxes of a weight that you know.", CODE, INPUT, 5, 7, pool)
    assert len(made) == 6
    for one in made[1:]:
        value = json.loads(one.input)
        assert (value["weight"], value["extra"]) == (2.5, -3) and f"carries {value['boxes']} boxes" in one.problem


def test_a_family_without_a_template_gives_its_original(pool):
    made = variants("How many in total?", CODE, INPUT, 5, 1, pool)
    assert [(one.problem, one.answer) for one in made] == [("How many in total?", "27.0")]


def test_pairs(pool):
    family = {"problem": PROBLEM, "code": CODE, "input": INPUT, "id": "abc"}
    made = list(environment.rows([family], pool, count=5, paired=True))
    assert len(made) == 3
    assert "Problem 2" in made[0]["prompt"] and len(made[0]["answer"]) == 2 == len(made[0]["output"])
    assert {row["family_id"] for row in made} == {"abc"}


def test_band():
    assert in_band(0.5, 0.1, 0.9) and not in_band(0.0, 0.1, 0.9) and not in_band(1.0, 0.1, 0.9)
    assert in_band(None, 0.1, 0.9)


def test_curriculum_goes_from_straight_lines_to_control_flow():
    simple = "x = 1\nprint(x)\n"
    loop = "for i in range(3):\n    if i:\n        print(i)\n"
    words = 'x = "for while if"  # for if\nprint(x)\n'
    assert complexity(simple)[0] == 0 == complexity(words)[0]
    assert complexity(loop)[:2] == (2, 2)
    made = [{"code": code} for code in (loop, simple, loop, words)]
    ordered = curriculum(made, seed=1, stages=2)
    assert {row["code"] for row in ordered[:2]} == {simple, words} and [row["code"] for row in ordered[2:]] == [
        loop,
        loop,
    ]
    assert curriculum([], seed=1) == []
