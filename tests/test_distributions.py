"""The distributions of this repository agree with each other: docs/decisions/0001-distributions.md."""

from pathlib import Path
from typing import Any

import pytest
import tomli
from bench_deploy.image import bench_packages
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[1]
FOLDERS = [*sorted(path.parent for path in ROOT.glob("packages/*/pyproject.toml")), ROOT / "protos"]


def configuration(folder: Path) -> dict[str, Any]:
    return tomli.loads((folder / "pyproject.toml").read_text("utf-8"))


def project(folder: Path) -> dict[str, Any]:
    fields: dict[str, Any] = configuration(folder)["project"]
    return fields


VERSIONS = {project(folder)["name"]: project(folder)["version"] for folder in FOLDERS}


def requirements(folder: Path) -> list[Requirement]:
    return [Requirement(text) for text in project(folder)["dependencies"]]


def modules(folder: Path) -> list[Path]:
    return sorted(path.parent for path in folder.glob("src/*/__init__.py"))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_package_has_one_name(folder: Path) -> None:
    name = "bench-protos" if folder.name == "protos" else folder.name
    assert project(folder)["name"] == name
    assert modules(folder) == [folder / "src" / name.replace("-", "_")]


@pytest.mark.parametrize("folder", [ROOT, *FOLDERS], ids=lambda folder: folder.name)
def test_no_public_index_can_hold_our_versions(folder: Path) -> None:
    assert Version(project(folder)["version"]).local == "bench"


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_ours_are_pinned_to_the_versions_beside_them(folder: Path) -> None:
    ours = [requirement for requirement in requirements(folder) if requirement.name in VERSIONS]
    assert [str(pin) for pin in ours] == [f"{pin.name}=={VERSIONS[pin.name]}" for pin in ours]


def test_bench_kit_requires_what_its_packages_require_of_others() -> None:
    of_others = {
        str(requirement)
        for folder in FOLDERS
        for requirement in requirements(folder)
        if requirement.name not in VERSIONS
    }
    assert [str(requirement) for requirement in requirements(ROOT)] == sorted(of_others)


@pytest.mark.parametrize("table", ["scripts", "optional-dependencies"])
def test_bench_kit_has_their_commands_and_extras(table: str) -> None:
    theirs: dict[str, Any] = {}
    for folder in FOLDERS:
        theirs.update(project(folder).get(table, {}))
    for extra in ("cloud", "data", "deploy", "server", "track"):  # of ours only, which bench-kit holds itself
        theirs.pop(extra, None)
    assert project(ROOT).get(table, {}) == theirs


def test_bench_kit_is_built_with_what_its_packages_are_built_with() -> None:
    needed = {text for folder in FOLDERS for text in configuration(folder)["build-system"]["requires"]}
    assert set(configuration(ROOT)["build-system"]["requires"]) == needed


def test_bench_kit_holds_every_module() -> None:
    held = configuration(ROOT)["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    present = [module for folder in FOLDERS for module in modules(folder)]
    assert held == [str(module.relative_to(ROOT)) for module in present]


def test_images_know_what_the_packages_in_them_require() -> None:
    assert set(VERSIONS.values()) == {bench_packages.VERSION}
    for folder in FOLDERS:
        name = project(folder)["name"]
        if name in bench_packages.REQUIRES:
            of_others = [text for text in project(folder)["dependencies"] if not text.startswith("bench-")]
            ours = [pin.name for pin in requirements(folder) if pin.name in VERSIONS]
            assert sorted(bench_packages.REQUIRES[name]) == sorted([*of_others, *ours])
    assert {*bench_packages.OF_AGENT, *bench_packages.OF_TRAINING} == set(bench_packages.REQUIRES)
