"""Prompts: values are never looked into, empty paragraphs go, mistakes are named."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caco_recipes.identity import sha256_text
from caco_recipes.prompts import FOLDER, Prompt, lines, load


def prompt(text):
    return Prompt("test", text, sha256_text(text))


@given(st.text(min_size=1).filter(str.strip), st.text(min_size=1).filter(str.strip))
def test_values_come_out_as_they_went_in(problem, solution):
    text = prompt("Cost: $$5\n\nP: $problem|\n\nS: $solution|").render(problem=problem, solution=solution)
    assert text == f"Cost: $5\n\nP: {problem}|\n\nS: {solution}|"


def test_a_paragraph_with_an_empty_value_is_left_out():
    both = prompt("One\n\nA solution:\n$solution\n\nTwo $problem")
    assert both.render(solution="  ", problem="p") == "One\n\nTwo p"


def test_values_must_fit_the_prompt():
    with pytest.raises(ValueError, match="problem missing"):
        prompt("$problem").render()
    with pytest.raises(ValueError, match="extra"):
        prompt("$problem").render(problem="p", extra="x")
    with pytest.raises(ValueError, match=r"no prompt 'unfy_math'; there are .*unify_math"):
        load("unfy_math")


@pytest.mark.parametrize("name", sorted(file.stem for file in FOLDER.glob("*.md")))
def test_every_prompt_loads_and_its_hash_is_its_text(name):
    loaded = load(name)
    assert loaded.sha256 == sha256_text((FOLDER / f"{name}.md").read_text(encoding="utf-8"))
    assert loaded.text.strip()


def test_the_worked_examples_are_code_cots():
    from caco_recipes.code_cot import extract_program
    from caco_recipes.sandbox import Pool

    programs = [extract_program(load(name).text.split("for you:")[0]) for name in ("unify_math", "unify_code")]
    programs.append(extract_program(load("back_translate").text.split("for you:")[0]))
    with Pool(workers=1, rules="caco") as pool:
        results = list(pool.run(programs))
    assert [result.output_text for result in results] == ["15", "[1, 3]", "15.0"]
    # They keep the paper's own rules: six lines, every input used.
    assert [result.reason for result in results] == ["", "", ""]


def test_problem_styles_are_a_list():
    styles = lines("problem_styles")
    assert len(styles) >= 6 and len(set(styles)) == len(styles)
