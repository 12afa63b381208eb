"""What the papers promise is there: steps and their files, the example, the pages."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from netpoint_remote.planning import plan
from netpoint_remote.planning.checks import CHECKS
from netpoint_remote.planning.hosts_file import parse_hosts_file
from netpoint_remote.running.bundle import BUNDLED

ROOT = Path(__file__).parents[1]
REMOTE = ROOT / "netpoint_remote/remote"
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
PLANS = (plan.ARCHIVE_STEPS, plan.GIT_STEPS, plan.REPAIR_STEPS, plan.BACKUP_STEPS, plan.ROLLBACK_STEPS)
STEPS = {step.name: step for steps in PLANS for step in steps}
LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)")


def used_in_python(name: str) -> bool:
    return any(f'"{name}"' in path.read_text() for path in (ROOT / "netpoint_remote/running").glob("*.py"))


# ---- the server's side


def test_every_step_has_a_file_and_every_file_is_a_step() -> None:
    assert sorted(STEPS) == sorted(path.stem for path in (REMOTE / "steps").glob("*.sh"))


def test_every_file_of_the_servers_side_is_used() -> None:
    unused = [path.name for path in REMOTE.iterdir() if path.is_file() and not used_in_python(path.name)]

    assert [name for name in unused if name not in {*BUNDLED, "become.sh"}] == []


@pytest.mark.parametrize("path", sorted((REMOTE / "steps").glob("*.sh")), ids=lambda path: path.stem)
def test_a_step_file_is_in_the_form_of_all(path: Path) -> None:
    """The style guide, "Shell": the directive, one sentence, the variables, and the three verbs."""
    lines = path.read_text().splitlines()

    assert lines[0] == "# shellcheck shell=sh"
    assert re.fullmatch(r"# [A-Z].*[.:]", lines[1]), lines[1]
    assert [
        verb for verb in ("check", "apply", "undo") if f"{verb}() {{" not in lines and f"{verb}() (" not in lines
    ] == []
    assert [line for line in lines if re.search(r"\bsudo\b|\becho\b", line)] == []


@pytest.mark.parametrize("path", sorted(REMOTE.glob("*.sh")), ids=lambda path: path.stem)
def test_a_script_says_what_it_is_for(path: Path) -> None:
    lines = path.read_text().splitlines()

    assert (lines[0], lines[1].startswith("# ")) == ("# shellcheck shell=sh", True)


# ---- the papers


def test_the_example_of_a_hosts_file_is_one() -> None:
    inventory = parse_hosts_file((ROOT / "hosts.example.yaml").read_text(), "hosts.example.yaml", folder=ROOT)

    assert len(inventory.hosts) > 3


def links() -> Iterator[tuple[Path, str]]:
    return ((page, link) for page in PAGES for link in LINK.findall(page.read_text()))


def test_the_pages_point_to_what_is_there() -> None:
    assert [f"{page.name}: {link}" for page, link in links() if not (page.parent / link).exists()] == []


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, new = set(), {ROOT / "README.md"}
    while new:
        reached |= new
        new = {(page.parent / link).resolve() for page, link in links() if page in reached} - reached
        new = {page for page in new if page.suffix == ".md" and page.exists()}

    assert [page.name for page in PAGES if page not in reached] == []


def test_every_target_of_make_is_described_and_those_that_install_packages_are_named() -> None:
    page = (ROOT / "docs/developing.md").read_text()
    targets = re.findall(r"^([a-z]+):(.*) ## ", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    callers = next(line for line in page.splitlines() if "installs Debian packages" in line)

    assert sorted(re.findall(r"^\| `make ([a-z]+)` \|", page, flags=re.MULTILINE)) == sorted(dict(targets))
    assert [name for name, needs in targets if "packages" in needs and f"`{name}`" not in callers] == []


def test_the_readme_tells_what_each_step_does_to_a_server() -> None:
    page = (ROOT / "README.md").read_text()

    assert [name for name in STEPS if f"`{name}`" not in page] == []


def test_every_check_has_its_page() -> None:
    """A problem's code is what operators look for in the troubleshooting."""
    page = (ROOT / "docs/troubleshooting.md").read_text()
    sources = "".join(path.read_text() for path in (ROOT / "netpoint_remote/planning/checks").glob("*.py"))
    codes = set(re.findall(r"""(?:error|warning|make)\(\s*"([a-z_-]+)",""", sources))

    assert len(codes) > len(CHECKS) / 2
    assert sorted(code for code in codes if f"`{code}`" not in page) == []
