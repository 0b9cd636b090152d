"""The files that people and services read: workflow, container, citation. They parse, and they agree with the package."""

import configparser
import re

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

from caco_recipes import __version__

INSTRUCTIONS = {"FROM", "ENV", "RUN", "WORKDIR", "COPY", "USER", "CMD", "ARG", "LABEL", "EXPOSE", "ENTRYPOINT"}


def dockerfile(root) -> list[tuple[str, str]]:
    """(instruction, arguments) of the Dockerfile, continued lines joined, comments dropped."""
    lines = (root / "docs" / "docker" / "Dockerfile").read_text().splitlines()
    text = "\n".join(line for line in lines if not line.lstrip().startswith("#"))
    joined = re.sub(r"\\\n\s*", " ", text)
    return [tuple(line.split(None, 1)) for line in joined.splitlines() if line.strip()]


def lock(root) -> dict[str, Version]:
    lines = (root / "docs" / "docker" / "requirements-gpu.txt").read_text().splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    assert all(len(pin.specifier) == 1 and str(pin.specifier).startswith("==") for pin in pins), (
        "a package is not pinned"
    )
    return {_name(pin.name): Version(str(pin.specifier)[2:]) for pin in pins}


def _name(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_the_dockerfile_is_well_formed(root):
    instructions = dockerfile(root)
    assert instructions[0][0] == "FROM" and {name for name, _ in instructions} <= INSTRUCTIONS
    base = instructions[0][1]
    assert ":" in base and not base.endswith(":latest"), "the base image is not pinned"
    names = [name for name, _ in instructions]
    assert names.count("CMD") == 1 and names.index("USER") < names.index("CMD"), "it must not run as root"
    for name, arguments in instructions:
        if name == "COPY":
            for source in arguments.split()[:-1]:
                assert (root / source).exists(), f"COPY {source}: no such file"
        if name == "RUN":
            assert "curl" not in arguments and "sudo" not in arguments
            if "apt-get install" in arguments:
                assert "--no-install-recommends" in arguments and "rm -rf /var/lib/apt/lists" in arguments
    assert "NOT BUILT HERE" in (root / "docs" / "docker" / "Dockerfile").read_text()


def test_the_lock_satisfies_the_package(root):
    setup = configparser.ConfigParser()
    setup.read(root / "setup.cfg")
    pins = lock(root)
    wanted = setup["options"]["install_requires"].splitlines()
    wanted += setup["options.extras_require"]["gpu"].splitlines()
    requirements = [Requirement(line) for line in wanted if line.strip() and not line.startswith("#")]
    assert len(requirements) > 10
    for requirement in requirements:
        assert _name(requirement.name) in pins, f"{requirement.name} is not in the lock"
        assert requirement.specifier.contains(pins[_name(requirement.name)]), requirement


def test_the_workflow_runs_what_contributors_run(root):
    workflow = yaml.safe_load((root / ".github" / "workflows" / "ci.yml").read_text())
    assert set(workflow) == {"name", True, "permissions", "concurrency", "jobs"}  # YAML 1.1 reads `on` as true
    commands = [step.get("run", "") for job in workflow["jobs"].values() for step in job["steps"]]
    makefile = (root / "Makefile").read_text()
    tests = next(command for command in commands if "pytest" in command)
    assert tests.removeprefix("python -m ") in makefile
    assert "ruff check ." in commands and "ruff format --check ." in commands
    torch = re.search(r"torch==([\d.]+)", (root / "setup.cfg").read_text())[0]
    assert any(torch in command for command in commands)
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"] <= 60
        for step in job["steps"]:
            assert "uses" not in step or re.fullmatch(r"[\w-]+/[\w-]+@v\d+", step["uses"])


def test_citation_and_changelog_name_this_version(root):
    citation = yaml.safe_load((root / "docs" / "CITATION.cff").read_text())
    assert citation["version"] == __version__ and citation["cff-version"] == "1.2.0"
    assert "2510.04081" in citation["preferred-citation"]["url"]
    assert f"## [{__version__}]" in (root / "docs" / "CHANGELOG.md").read_text()


@pytest.mark.parametrize("name", [".github/CONTRIBUTING.md", "docs/CHANGELOG.md"])
def test_pages_name_files_that_exist(root, name):
    for path in re.findall(r"`((?:caco_recipes|docs|recipes|tests)/[\w./-]+)`", (root / name).read_text()):
        assert path == "recipes/README.md" or (root / path).exists(), path
