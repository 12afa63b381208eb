"""What travels to a server arrives as it was, private, and without secrets where none belong."""

import io
import subprocess
import tarfile
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netpoint_remote.planning.case import Case
from netpoint_remote.planning.constraints import constraints_for
from netpoint_remote.planning.inventory import ReleaseSource
from netpoint_remote.planning.plan import make_plan
from netpoint_remote.running.bundle import (
    BUNDLED,
    END,
    assignments,
    bundle_files,
    plan_lines,
    probe_script,
    shown_shell,
    text_of,
    to_tar,
    visit_script,
)
from tests.builders import case, facts, host, target

SHELLS = pytest.mark.parametrize("shell", [["dash"], ["bash", "--posix"]], ids=["dash", "bash"])
SECRET = "hunter2"
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])) | st.sampled_from(
    ["$(id)", "`id`", "a\nb\n", "'", "''\"", "\\", "-n", "*", "~", "x\n\n", END, "é€", "\r\n", "!!"]
)
SECRETIVE = case(
    on=host(
        environment=(("PIP_INDEX_URL", f"https://u:{SECRET}@pip.example.org"), ("PIP_CONSTRAINT", "/etc/ours.txt")),
        health_headers=(("Authorization", f"Token {SECRET}"),),
        release=ReleaseSource(url=f"https://u:{SECRET}@example.org/{{version}}"),
    ),
    to=target(url=f"https://u:{SECRET}@example.org/v3.5.0.tar.gz"),
)


def run(shell: list[str], script: str) -> str:
    done = subprocess.run([*shell, "-c", script], capture_output=True, env={"PATH": "/usr/bin:/bin"}, check=True)
    return done.stdout.decode()


def bundled(of: Case = SECRETIVE, *, constraints: bool = True) -> dict[str, str]:
    return dict(
        bundle_files(
            of, make_plan(of), run_id="r1", operator="ann@desk", about="ann@desk upgrade", constraints=constraints
        )
    )


# ---- variables


@SHELLS
@given(text=texts)
def test_any_text_arrives_unchanged_as_a_variable(shell: list[str], text: str) -> None:
    assert run(shell, f'{assignments([("GIVEN", text)])}printf "%s|" "$GIVEN"') == f"{text}|"


@SHELLS
@given(text=texts)
def test_any_text_arrives_unchanged_in_the_environment(shell: list[str], text: str) -> None:
    assert run(shell, f'{assignments([("GIVEN", text)], export=True)}sh -c \'printf "%s|" "$GIVEN"\'') == f"{text}|"


def test_a_nul_is_refused() -> None:
    with pytest.raises(ValueError, match="GIVEN holds a NUL"):
        assignments([("GIVEN", "a\0b")])


@SHELLS
@pytest.mark.parametrize("name", ["ask.py", "facts.sql"])
def test_a_file_that_a_script_carries_arrives_unchanged(shell: list[str], name: str) -> None:
    script = visit_script(
        "fetch_log.sh", [("STATE_DIR", "/nowhere"), ("RUN_ID", "r1")], bundled=("ask.py", "facts.sql")
    )
    script = script.replace(text_of("fetch_log.sh"), f"bundled {name}\n")

    assert run(shell, script) == text_of(name)


@pytest.mark.parametrize("name", BUNDLED)
def test_every_file_can_be_carried(name: str) -> None:
    assert (text_of(name).endswith("\n"), END in text_of(name)) == (True, False)


# ---- the bundle


def test_a_bundle_has_all_that_a_run_needs() -> None:
    named = bundled()
    steps = [step.name for step in make_plan(SECRETIVE).steps]

    assert sorted(named) == sorted([
        "about", "bundle/constraints.txt", "bundle/environment.sh", "bundle/netrc", "bundle/plan", "bundle/vars.sh",
        *(f"bundle/{name}" for name in BUNDLED), *(f"bundle/steps/{name}.sh" for name in steps),
    ])  # fmt: skip
    assert [line.split()[0] for line in named["bundle/plan"].splitlines()] == steps


def test_the_plan_is_name_phase_limit_and_tries() -> None:
    lines = plan_lines(make_plan(case())).splitlines()

    assert lines[1:3] == ["prove_running stage 900 1", "fetch_release stage 3600 5"]


def test_a_bundle_is_for_nobody_elses_eyes() -> None:
    with tarfile.open(fileobj=io.BytesIO(to_tar({"about": "ä\n", "bundle/plan": ""}))) as tar:
        members = tar.getmembers()
        texts = [tar.extractfile(member).read() for member in members]

    assert ([member.mode for member in members], [member.uid for member in members]) == ([0o600] * 2, [0] * 2)
    assert ([member.name for member in members], texts) == (["about", "bundle/plan"], ["ä\n".encode(), b""])


@pytest.mark.promise(7)
def test_secrets_are_only_in_files_that_do_not_outlive_the_run() -> None:
    assert [name for name, text in bundled().items() if SECRET in text] == ["bundle/netrc", "bundle/environment.sh"]


def test_what_the_operator_is_shown_has_no_secret() -> None:
    shown = shown_shell(make_plan(SECRETIVE))

    assert (SECRET in shown, "record_before" in shown, "VERSION=3.5.0" in shown) == (False, True, True)


def test_who_and_what_is_told_of_a_run() -> None:
    assert bundled()["about"] == "ann@desk upgrade\n"


def test_constraints_join_the_operators_own() -> None:
    release = target(constraints=constraints_for(target().version))
    named = bundled(replace(SECRETIVE, target=release))
    environment = run(["sh"], f'{named["bundle/environment.sh"]}printf "%s" "$PIP_CONSTRAINT"')

    assert environment == "file:///var/lib/netpoint-remote/runs/r1/bundle/constraints.txt /etc/ours.txt"
    assert "\nrq<1.14\n" in named["bundle/constraints.txt"]


def test_without_constraints_the_operators_own_stand_alone() -> None:
    named = bundled(constraints=False)
    environment = run(["sh"], f'{named["bundle/environment.sh"]}printf "%s" "$PIP_CONSTRAINT"')

    assert (environment, "bundle/constraints.txt" in named) == ("/etc/ours.txt", False)


@pytest.mark.parametrize(
    ("git", "given", "other"), [(False, "ARCHIVE_URL", "GIT_REMOTE"), (True, "GIT_REMOTE", "ARCHIVE_URL")]
)
def test_each_method_gets_its_own_source(*, git: bool, given: str, other: str) -> None:
    release = target(remote="https://git.example.org/np.git")
    text = bundled(case(facts(git=git), to=release))["bundle/environment.sh"]

    assert (f"export {given}=https://" in text, f"export {other}=" in text) == (True, False)


# ---- scripts of visits


@SHELLS
@pytest.mark.parametrize("name", ["start.sh", "follow.sh", "recover.sh", "fetch_log.sh", "offer.sh", "receive.sh"])
def test_the_script_of_a_visit_is_one_text_for_every_shell(shell: list[str], name: str) -> None:
    assert subprocess.run([*shell, "-n", "-c", visit_script(name, [("RUN_ID", "r1")])], check=False).returncode == 0


def test_the_probe_knows_where_to_look() -> None:
    script = probe_script(host(python="/usr/bin/python3.11"), "3.5.0")

    told = ("ROOT=", "SERVICES=", "PYTHON=", "VERSION=")
    assert [line for line in script.splitlines()[:12] if line.startswith(told)] == [
        "ROOT=/opt/netpoint", "SERVICES='netpoint netpoint-rq'", "PYTHON=/usr/bin/python3.11", "VERSION=3.5.0",
    ]  # fmt: skip
