"""Recipes: YAML in, typed dataclasses out. An unknown key or a wrong value is an error that names the key.

`load_yaml` reads a file (duplicate keys are errors), `apply_overrides` lays `--dotted.key value` pairs over it, and
`load_dataclass` turns the mapping into a dataclass, checking every type and choice on the way.
"""

import dataclasses
import difflib
import types
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml

T = TypeVar("T")


class RecipeError(ValueError):
    """A recipe, or an override of one, that can't be used. The message names file, key and what would be valid."""


class CommandLineText(str):
    """An override's value as typed: converted by the type of the field it lands in."""


class _StrictLoader(yaml.SafeLoader):
    """YAML 1.1 without its silent traps: a duplicate key is an error, and 5e-6 is a number."""

    def construct_mapping(self, node, deep=False):
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=deep)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"duplicate key {key!r}", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep=deep)


def load_yaml(path: str | Path) -> dict[str, Any]:
    """The mapping in a YAML file. Raises `RecipeError` if the file is missing, not YAML, or not a mapping."""
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise RecipeError(f"{path}: no such recipe") from None
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: can't be read: {error}") from None
    try:
        mapping = yaml.load(text, _StrictLoader)  # a SafeLoader: builds plain values only
    except yaml.YAMLError as error:
        raise RecipeError(f"{path}: not valid YAML: {error}") from None
    if not isinstance(mapping, dict):
        raise RecipeError(f"{path}: a recipe is a mapping of keys to values, not {type(mapping).__name__}")
    return mapping


def nearest(name: str, candidates: Iterable[str]) -> str:
    """A hint naming the nearest valid name, or all of them when none is near."""
    candidates = sorted(candidates)
    close = difflib.get_close_matches(name, candidates, n=1, cutoff=0.6)
    return f"did you mean {close[0]!r}?" if close else f"valid: {', '.join(candidates)}"


def parse_overrides(arguments: list[str]) -> dict[str, CommandLineText]:
    """`["--a.b", "3", "--flag"]` -> `{"a.b": "3", "flag": "true"}`. Raises `RecipeError` for a stray word."""
    overrides: dict[str, CommandLineText] = {}
    position = 0
    while position < len(arguments):
        word = arguments[position]
        if not word.startswith("--") or len(word) == 2:
            raise RecipeError(f"unexpected argument {word!r}: overrides are written --key value")
        key, equals, value = word[2:].partition("=")
        position += 1
        if not equals:
            if position < len(arguments) and not arguments[position].startswith("--"):
                value = arguments[position]
                position += 1
            else:
                value = "true"
        overrides[key] = CommandLineText(value)
    return overrides


def apply_overrides(mapping: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of `mapping` with dotted keys replaced. Raises `RecipeError` where a dotted key runs into a plain value."""
    result = _copy(mapping)
    for dotted, value in overrides.items():
        target = result
        *parents, last = dotted.split(".")
        for name in parents:
            inner = target.get(name)
            if inner is None:
                inner = target[name] = {}
            if not isinstance(inner, dict):
                raise RecipeError(f"--{dotted}: {name!r} is a plain value, it has no keys below it")
            target = inner
        target[last] = value
    return result


def load_dataclass(cls: type[T], mapping: Mapping[str, Any], where: str) -> T:
    """An instance of dataclass `cls` from `mapping`; `where` names the recipe (and key) in messages.

    Raises:
        RecipeError: unknown key (with the nearest valid one), missing key, wrong type, value outside the choices, or a
            `ValueError` of the dataclass's own `__post_init__`.
    """
    if not isinstance(mapping, Mapping):
        raise RecipeError(f"{where}: expected keys and values, got {_shown(mapping)}")
    hints = typing.get_type_hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cls) if field.init}
    for key in mapping:
        if key not in fields:
            raise RecipeError(f"{where}: unknown key {key!r}; {nearest(str(key), fields)}")
    values = {}
    for name, field in fields.items():
        if name in mapping:
            values[name] = convert(mapping[name], hints[name], f"{where}: {name}")
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise RecipeError(f"{where}: the key {name!r} is missing")
    try:
        return cls(**values)
    except RecipeError:
        raise
    except ValueError as error:
        raise RecipeError(f"{where}: {error}") from None


def convert(value: Any, hint: Any, where: str) -> Any:
    """`value` as the annotated type `hint`, or `RecipeError`. Text is turned into numbers only where one is wanted."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return yaml.safe_load(value) if isinstance(value, CommandLineText) else value
    if origin in (typing.Union, types.UnionType):
        return _convert_union(value, arguments, where)
    if origin is Literal:
        for choice in arguments:
            if value == choice and type(value) in (type(choice), CommandLineText):
                return choice
        if value is False and "no" in arguments:  # YAML reads an unquoted no as False
            raise RecipeError(f"{where}: write 'no' in quotes (YAML reads it as false)")
        raise RecipeError(f"{where}: {_shown(value)} is not one of {', '.join(map(str, arguments))}")
    if dataclasses.is_dataclass(hint):
        return load_dataclass(hint, value, where)
    if origin in (list, tuple) or hint in (list, tuple):
        return _convert_sequence(value, origin or hint, arguments, where)
    if origin is dict or hint is dict:
        if isinstance(value, CommandLineText):
            value = _yaml_of(value, where)
        if not isinstance(value, Mapping):
            raise RecipeError(f"{where}: expected keys and values, got {_shown(value)}")
        inner = arguments[1] if arguments else Any
        return {str(key): convert(item, inner, f"{where}.{key}") for key, item in value.items()}
    return _convert_scalar(value, hint, where)


def _convert_union(value: Any, arguments: tuple, where: str) -> Any:
    if type(None) in arguments:
        if value is None or (isinstance(value, CommandLineText) and value.lower() in ("none", "null")):
            return None
        arguments = tuple(argument for argument in arguments if argument is not type(None))
    errors = []
    # A value that already has one of the types keeps it: "3" stays text in `int | str` unless it was typed as a number.
    for argument in sorted(arguments, key=lambda argument: not _is_plain_instance(value, argument)):
        try:
            return convert(value, argument, where)
        except RecipeError as error:
            errors.append(str(error))
    raise RecipeError(errors[0])


def _is_plain_instance(value: Any, hint: Any) -> bool:
    kind = typing.get_origin(hint) or hint
    return isinstance(kind, type) and type(value) is kind


def _convert_sequence(value: Any, kind: type, arguments: tuple, where: str) -> Any:
    if isinstance(value, CommandLineText):
        value = _yaml_of(value, where) if value.startswith("[") else value.split(",") if value else []
        value = [CommandLineText(item) if isinstance(item, str) else item for item in value]
    if not isinstance(value, list | tuple):
        raise RecipeError(f"{where}: expected a list, got {_shown(value)}")
    inner = arguments[0] if arguments else Any
    return kind(convert(item, inner, f"{where}[{index}]") for index, item in enumerate(value))


def _convert_scalar(value: Any, hint: Any, where: str) -> Any:
    if hint is bool:
        if isinstance(value, CommandLineText) and value.lower() in ("true", "false"):
            return value.lower() == "true"
        if isinstance(value, bool):
            return value
        raise RecipeError(f"{where}: expected true or false, got {_shown(value)}")
    if hint in (int, float):
        if isinstance(value, str):
            try:
                value = int(value) if hint is int else float(value)
            except ValueError:
                raise RecipeError(f"{where}: expected a number, got {_shown(value)}") from None
        if isinstance(value, bool) or not isinstance(value, int | float) or (hint is int and value != int(value)):
            expected = "a whole number" if hint is int else "a number"
            raise RecipeError(f"{where}: expected {expected}, got {_shown(value)}")
        return hint(value)
    if hint is str:
        if isinstance(value, str):
            return str(value)
        raise RecipeError(f"{where}: expected text, got {_shown(value)}; put it in quotes if it is meant as text")
    if hint is Path:
        return Path(convert(value, str, where))
    raise TypeError(f"{where}: the annotation {hint!r} is not supported in a recipe")


def _yaml_of(text: str, where: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise RecipeError(f"{where}: {text!r} is not valid YAML: {error}") from None


def _shown(value: Any) -> str:
    return f"{value!r} ({type(value).__name__})"


def _copy(mapping: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _copy(value) if isinstance(value, Mapping) else value for key, value in mapping.items()}
