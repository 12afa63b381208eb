"""Which bounds which release gets."""

from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from netpoint_remote.planning.constraints import CONSTRAINTS, constraints_file, constraints_for
from netpoint_remote.planning.inventory import NETPOINT, Product


def bounds(version: str, requirements: str = "") -> list[str]:
    return [str(row) for row in constraints_for(Version(version), NETPOINT, requirements=requirements)]


@pytest.mark.parametrize(
    ("release", "expected"),
    [
        ("2.8.0", ["rq<1.4", "setuptools<81"]),
        ("2.11.12", ["rq<1.14", "redis<6", "setuptools<81"]),
        ("3.4.10", ["rq<1.14", "redis<6", "mkdocs-autorefs<1.2", "setuptools<81"]),
        ("3.5.0", ["rq<1.14", "redis<6", "mkdocs-autorefs<1.2", "setuptools<81"]),
        ("3.5.9", ["rq<2", "redis<6", "mkdocs-autorefs<1.2"]),
        ("3.7.3.dev0", ["rq<2", "redis<6", "mkdocs-autorefs<1.2"]),
        ("4.1.0", ["rq<2", "redis<6", "mkdocs-autorefs<1.4"]),
        ("4.1.4", ["rq<2", "redis<6"]),
        ("4.6.8", []),
    ],
)
def test_a_release_gets_the_bounds_it_needs(release: str, expected: list[str]) -> None:
    assert bounds(release) == expected


def test_a_release_has_one_bound_for_a_package() -> None:
    for minor in range(10):
        for patch in range(12):
            for major in (2, 3, 4):
                packages = [row.package for row in constraints_for(Version(f"{major}.{minor}.{patch}"))]
                assert len(packages) == len(set(packages))


def test_what_the_release_itself_bounds_is_left_to_it() -> None:
    assert bounds("3.5.0", "Django==4.1\nRQ>=2.1 # own\nmkdocs_autorefs[x]~=1.3\n") == ["redis<6", "setuptools<81"]


def test_a_package_that_the_release_only_names_is_still_bounded() -> None:
    assert "rq<1.14" in bounds("3.5.0", "django-rq==2.7.0\nrq\n")


def test_netbox_needs_the_same_bounds() -> None:
    release = Version("3.5.9")

    assert constraints_for(release, Product(name="netbox")) == constraints_for(release, NETPOINT)


def test_the_file_gives_each_bound_with_its_reason() -> None:
    lines = constraints_file(constraints_for(Version("3.5.0"))).splitlines()

    assert [line for line in lines if not line.startswith("#")] == bounds("3.5.0")
    assert "use_connection" in lines[0]
    assert "#12415" in lines[0]


def test_no_bounds_make_an_empty_file() -> None:
    assert constraints_file(()) == ""


@pytest.mark.parametrize("row", CONSTRAINTS, ids=lambda row: f"{row}-{row.releases}")
def test_every_row_is_an_upper_bound_that_pip_can_read(row: object) -> None:
    (specifier,) = Requirement(str(row)).specifier

    assert specifier.operator == "<"


def test_the_documentation_has_every_bound_with_its_thread() -> None:
    text = (Path(__file__).parents[2] / "docs" / "releases.md").read_text()

    assert [str(row) for row in CONSTRAINTS if f"| `{row}` |" not in text or row.thread not in text] == []
