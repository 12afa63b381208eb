"""Releases from git remotes."""

import os
import pickle
import tracemalloc
from pathlib import Path

import pytest
from packaging.version import Version
from release_builder import git, git_remote

from netpoint_remote.errors import ReleaseError
from netpoint_remote.planning.inventory import NETPOINT, ReleaseSource
from netpoint_remote.running.git_source import (
    MAX_OUTPUT,
    GitRelease,
    check_origin,
    git_member_list,
    git_release_notes,
    make_bundle,
    obtain_git,
)
from netpoint_remote.running.targets import Targets
from tests.builders import facts, host
from tests.support.locked_web import LockedWeb


@pytest.fixture(scope="module")
def remote(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = git_remote(tmp_path_factory.mktemp("remote") / "netpoint", ("3.4.9", "3.5.0"))
    for odd in ("Solcon-2020-01-06", "1.6.1-2016-09-21", "v2.0-beta1", "v1.9.0-r1", "v3.6-beta1", "-evil"):
        git(folder, "update-ref", f"refs/tags/{odd}", "HEAD")
    return folder


def found(remote: Path, cache: Path, version: str = "3.5.0") -> GitRelease:
    return obtain_git(version, f"file://{remote}", NETPOINT, cache, timeout=120)


def test_a_tag_is_found_and_its_tree_is_read(remote: Path, tmp_path: Path) -> None:
    release = found(remote, tmp_path, "v3.5.0")

    assert (release.version, release.tag, release.tree_version) == ("3.5.0", "v3.5.0", "3.5.0")
    assert release.commit == git(remote, "rev-parse", "v3.5.0^{commit}")
    assert release.requirements.postgresql_min == Version("11")
    assert "upgrade.sh" in git_member_list(release)
    assert git_release_notes(release, after=Version("3.5.0")) == (("docs/release-notes/version-3.5.md", "# 3.5\n"),)
    assert pickle.loads(pickle.dumps(release)) == release


def test_looking_twice_is_fine(remote: Path, tmp_path: Path) -> None:
    assert found(remote, tmp_path) == found(remote, tmp_path)


def test_an_unknown_tag_names_those_near_it(remote: Path, tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match=r"no tag v3\.4\.10; near it there is .*v3\.4\.9, v3\.5\.0, v3\.6-beta1"):
        found(remote, tmp_path, "3.4.10")


@pytest.mark.promise(1, method="git")
def test_a_tag_with_another_version_inside_is_refused(remote: Path, tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match=r"tag v3\.6-beta1: asked for 3\.6\.0b1, but inside it is 3\.5\.0"):
        found(remote, tmp_path, "3.6.0b1")


@pytest.mark.parametrize(
    "remote", ["ext::sh -c touch% /tmp/x", "--upload-pack=x", "-x:y", "fd::1", "gopher://x/", "relative", "git://x/y"]
)
def test_remotes_that_could_run_something_are_refused(tmp_path: Path, remote: str) -> None:
    with pytest.raises(ReleaseError, match=r"release\.git"):
        obtain_git("3.5.0", remote, NETPOINT, tmp_path)


def test_a_missing_remote_is_a_clear_error_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError) as caught:
        obtain_git("3.5.0", "http://me:secret@127.0.0.1:1/x.git", NETPOINT, tmp_path, timeout=120)

    assert "http://127.0.0.1:1/x.git" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_remote_that_is_silent_is_given_up(remote: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = tmp_path / "bin" / "git"
    slow.parent.mkdir()
    slow.write_text("#!/bin/sh\nexec sleep 20\n")
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", f"{slow.parent}:{os.environ['PATH']}")

    with pytest.raises(ReleaseError, match="took more than"):
        obtain_git("3.5.0", f"file://{remote}", NETPOINT, tmp_path, timeout=0.2)


def test_a_machine_without_git_says_so(remote: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))

    with pytest.raises(ReleaseError, match="cannot be started here"):
        found(remote, tmp_path)


def test_being_inside_another_repository_changes_nothing(
    remote: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "nowhere"))

    assert found(remote, tmp_path).tag == "v3.5.0"


@pytest.mark.parametrize("depth", [[], ["--depth=1"]], ids=["full", "shallow"])
def test_a_checkout_without_the_remote_fetches_from_a_bundle(remote: Path, tmp_path: Path, depth: list[str]) -> None:
    checkout = tmp_path / "checkout"
    git(tmp_path, "clone", "-q", "--single-branch", *depth, "--branch", "v3.4.9", f"file://{remote}", str(checkout))
    release = found(remote, tmp_path / "cache")
    have = (git(checkout, "rev-parse", "HEAD"), "0" * 40, "--all") if not depth else ()

    bundle = make_bundle(release, tmp_path / "a.bundle", have=have)

    git(checkout, "fetch", "-q", str(bundle), "refs/tags/v3.5.0:refs/tags/v3.5.0")
    assert git(checkout, "show", "v3.5.0:netpoint/netpoint/settings.py") == "VERSION = '3.5.0'"


@pytest.mark.parametrize("folder", ["/", "file://", "file://localhost/"])
def test_no_server_chooses_what_is_read_on_this_machine(remote: Path, tmp_path: Path, folder: str) -> None:
    """What its checkout calls its origin is the server's word; the hosts file may name the same folder."""
    origin = f"{folder}{str(remote).lstrip('/')}" if folder != "file://" else f"file://{remote}"
    seen = facts(git=True, origin=origin)
    targets = Targets(version="3.5.0", cache=tmp_path)

    with pytest.raises(ReleaseError, match="name it in the hosts file"):
        targets.of(host(), seen)
    assert targets.of(host(release=ReleaseSource(git=f"file://{remote}")), seen).tag == "v3.5.0"


def test_a_password_in_an_address_is_in_no_argument(
    remote: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every user of this machine sees the arguments of git's helpers."""
    served = tmp_path / "served"
    git(tmp_path, "clone", "-q", "--bare", str(remote), str(served))
    monkeypatch.setenv("GIT_TRACE", str(tmp_path / "trace"))
    with LockedWeb(served.parent, user="al ice", password="hunter@2").running() as web:
        release = obtain_git(
            "3.5.0", f"http://al%20ice:hunter%402@{web.place}/{served.name}", NETPOINT, tmp_path / "cache"
        )

    assert release.tag == "v3.5.0"
    assert web.let_in
    assert "remote-http" in (tmp_path / "trace").read_text()
    assert "hunter" not in (tmp_path / "trace").read_text()


@pytest.mark.promise(8)
@pytest.mark.parametrize(
    ("flood", "complaint"),
    [("yes v3.5.0", "says more than 64 MB"), ("yes remark | head -c 200000000 >&2; exit 1", "git says")],
    ids=["output", "errors"],
)
def test_a_repository_that_says_too_much_takes_no_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flood: str, complaint: str
) -> None:
    """A server chooses where its checkout comes from, and so what the workstation's git is told."""
    (tmp_path / "git").write_text(f"#!/bin/sh\n{flood}\n")
    (tmp_path / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    tracemalloc.start()
    try:
        with pytest.raises(ReleaseError, match=complaint):
            obtain_git("3.5.0", "https://example.org/x.git", NETPOINT, tmp_path / "cache", timeout=120)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < 3 * MAX_OUTPUT


@pytest.mark.parametrize(
    ("others", "told"), [((), "called origin;"), (("upstream", "fork"), "(it has upstream, fork)")]
)
def test_a_checkout_without_origin_is_told_what_to_do(others: tuple[str, ...], told: str) -> None:
    with pytest.raises(ReleaseError, match="git remote add origin") as refused:
        check_origin("", others)

    assert told in str(refused.value)
