"""The typed loader: right values pass, wrong ones are named together with what would be valid."""

from dataclasses import dataclass, field
from typing import Literal

import pytest

from caco_recipes.recipe import RecipeError, apply_overrides, load_dataclass, load_yaml, parse_overrides


@dataclass(kw_only=True)
class Inner:
    temperature: float = 0.0
    stop: list[str] = field(default_factory=list)


@dataclass(kw_only=True)
class Outer:
    name: str
    rows: int = 10
    mode: Literal["exact", "rounding", "no"] = "exact"
    flag: bool = False
    limit: int | None = None
    inner: Inner = field(default_factory=Inner)
    by_name: dict[str, Inner] = field(default_factory=dict)

    def __post_init__(self):
        if self.rows < 1:
            raise ValueError("rows must be at least 1")


def test_a_full_mapping_becomes_a_dataclass():
    loaded = load_dataclass(
        Outer,
        {
            "name": "a",
            "rows": 3,
            "inner": {"temperature": 1, "stop": ["x"]},
            "by_name": {"b": {"temperature": "5e-6"}},
        },
        "r.yaml",
    )
    assert loaded.inner == Inner(temperature=1.0, stop=["x"])
    assert isinstance(loaded.inner.temperature, float)
    assert loaded.by_name["b"].temperature == 5e-6


@pytest.mark.parametrize(
    ("mapping", "words"),
    [
        ({"name": "a", "rovs": 3}, ["r.yaml", "'rovs'", "did you mean 'rows'"]),
        ({"rows": 3}, ["'name' is missing"]),
        ({"name": "a", "rows": 2.5}, ["rows", "a whole number", "2.5"]),
        ({"name": "a", "rows": True}, ["rows", "a whole number"]),
        ({"name": "a", "rows": 0}, ["rows must be at least 1"]),
        ({"name": 7}, ["name", "expected text", "quotes"]),
        ({"name": "a", "mode": "exakt"}, ["mode", "'exakt'", "exact, rounding"]),
        ({"name": "a", "mode": False}, ["mode", "write 'no' in quotes"]),
        ({"name": "a", "flag": "yes"}, ["flag", "true or false"]),
        ({"name": "a", "limit": "many"}, ["limit", "a number"]),
        ({"name": "a", "inner": {"temprature": 1}}, ["r.yaml: inner", "did you mean 'temperature'"]),
        ({"name": "a", "inner": 3}, ["inner", "expected keys and values"]),
        ({"name": "a", "by_name": {"b": {"stop": "x"}}}, ["by_name.b", "stop", "expected a list"]),
    ],
)
def test_a_wrong_recipe_names_the_key(mapping, words):
    with pytest.raises(RecipeError) as error:
        load_dataclass(Outer, mapping, "r.yaml")
    for word in words:
        assert word in str(error.value)


def test_overrides_are_typed_by_the_field_they_land_in():
    overrides = parse_overrides(
        ["--name", "5", "--rows=7", "--flag", "--limit", "null", "--inner.stop", "a,b", "--inner.temperature", "1e-3"]
    )
    loaded = load_dataclass(Outer, apply_overrides({"name": "a", "inner": {"temperature": 1}}, overrides), "r.yaml")
    assert loaded == Outer(name="5", rows=7, flag=True, inner=Inner(temperature=1e-3, stop=["a", "b"]))


def test_negative_numbers_and_stray_words():
    assert parse_overrides(["--a", "-1"]) == {"a": "-1"}
    with pytest.raises(RecipeError, match="unexpected argument 'b'"):
        parse_overrides(["--a", "1", "b"])
    with pytest.raises(RecipeError, match="plain value"):
        apply_overrides({"rows": 3}, {"rows.x": "1"})


@pytest.mark.parametrize(
    ("text", "words"),
    [("a: 1\na: 2\n", "duplicate key 'a'"), ("- 1\n", "mapping"), ("a: [1\n", "not valid YAML")],
)
def test_bad_yaml_is_named(tmp_path, text, words):
    (tmp_path / "r.yaml").write_text(text)
    with pytest.raises(RecipeError, match=words):
        load_yaml(tmp_path / "r.yaml")
    with pytest.raises(RecipeError, match="no such recipe"):
        load_yaml(tmp_path / "absent.yaml")
