"""Releases by address, from local archives, and what is kept of them."""

import errno
import hashlib
import multiprocessing
import pickle
import threading
from pathlib import Path

import pytest
from file_server import Answer, FileServer, body, dripping, silence, status
from packaging.version import Version
from release_builder import release_bytes, write_release, write_zip

from netpoint_remote.errors import ReleaseError
from netpoint_remote.planning.inventory import NETPOINT, Product, ReleaseSource
from netpoint_remote.running.cache import default_cache, locked, using
from netpoint_remote.running.download import Patience, without_secrets
from netpoint_remote.running.releases import Release, member_list, obtain, release_notes

SOON = Patience(silence=5, pauses=(0, 0))


def obtained(
    cache: Path,
    *,
    version: str = "3.5.0",
    url: str | None = None,
    archive: Path | None = None,
    sha256: str | None = None,
    patience: Patience = SOON,
) -> Release:
    source = ReleaseSource(
        url=url,
        archive=str(archive) if archive else None,
        sha256=((version, sha256),) if sha256 else (),
    )
    return obtain(version, source, NETPOINT, cache, patience=patience)


def kept_files(cache: Path) -> list[str]:
    return sorted(path.suffix for path in cache.rglob("*") if path.is_file())


def test_a_release_is_fetched_verified_and_described(tmp_path: Path) -> None:
    data = release_bytes(tmp_path)
    with FileServer([body(data)]).running() as server:
        release = obtained(tmp_path / "cache", url=server.url)

    assert release.archive.read_bytes() == data
    assert release.sha256 == hashlib.sha256(data).hexdigest()
    assert (release.version, release.tree_version, release.top) == ("3.5.0", "3.5.0", "NetPoint-3.5.0")
    assert release.url == server.url.replace("{version}", "3.5.0")
    assert (release.size, release.unpacked_mb) == (len(data), 1)
    assert release.requirements.postgresql_min == Version("11")
    assert release.text("requirements.txt") == "Django==4.1.8\n"
    assert release.remarks == ()


def test_a_release_survives_pickling(tmp_path: Path) -> None:
    release = obtained(tmp_path / "cache", archive=write_release(tmp_path / "a.tar.gz"))

    assert pickle.loads(pickle.dumps(release)) == release


def test_the_members_and_release_notes_are_read_when_asked_for(tmp_path: Path) -> None:
    release = obtained(tmp_path / "cache", archive=write_release(tmp_path / "a.tar.gz"))

    assert "netpoint/netpoint/settings.py" in member_list(release)
    assert release_notes(release, after=Version("3.5.0")) == (("docs/release-notes/version-3.5.md", "# 3.5\n"),)


def test_a_release_is_fetched_once(tmp_path: Path) -> None:
    with FileServer([body(release_bytes(tmp_path)), status(500)]).running() as server:
        first = obtained(tmp_path / "cache", url=server.url)
        again = obtained(tmp_path / "cache", url=server.url)

    assert (again, len(server.requests)) == (first, 1)


def test_v_before_the_version_means_nothing(tmp_path: Path) -> None:
    release = obtained(tmp_path / "cache", version="v3.5.0", archive=write_release(tmp_path / "a.tar.gz"))

    assert release.version == "3.5.0"


@pytest.mark.parametrize("trouble", [status(500), status(503), status(429)], ids=["500", "503", "429"])
def test_a_passing_trouble_is_tried_again_and_told(tmp_path: Path, trouble: Answer) -> None:
    notes: list[str] = []
    with FileServer([trouble, body(release_bytes(tmp_path))]).running() as server:
        source = ReleaseSource(url=server.url)
        obtain("3.5.0", source, NETPOINT, tmp_path / "cache", patience=SOON, on_note=notes.append)

    assert len(server.requests) == 2
    assert "HTTP" in notes[0]
    assert notes[0].isprintable()


def test_a_truncated_body_is_fetched_again(tmp_path: Path) -> None:
    data = release_bytes(tmp_path)
    with FileServer([body(data[:100], announced=len(data)), body(data)]).running() as server:
        release = obtained(tmp_path / "cache", url=server.url)

    assert release.archive.read_bytes() == data


def test_a_body_that_stays_truncated_is_an_error_and_nothing_is_kept(tmp_path: Path) -> None:
    with (
        FileServer([body(b"x" * 10, announced=1000)]).running() as server,
        pytest.raises(ReleaseError, match=r"only 10 of 1,000 bytes.*3 attempts"),
    ):
        obtained(tmp_path / "cache", url=server.url)

    assert kept_files(tmp_path / "cache") == [".lock"]


def test_a_silent_server_is_given_up(tmp_path: Path) -> None:
    over = threading.Event()
    with FileServer([silence(over)]).running() as server:
        with pytest.raises(ReleaseError, match="timed out"):
            obtained(tmp_path / "cache", url=server.url, patience=Patience(silence=0.1, pauses=()))
        over.set()


def test_a_server_that_drips_is_given_up(tmp_path: Path) -> None:
    with (
        FileServer([body(release_bytes(tmp_path))]).running() as server,
        pytest.raises(ReleaseError, match="too slowly"),
    ):
        obtained(tmp_path / "cache", url=server.url, patience=Patience(total=-1, pauses=()))


def test_a_server_that_never_stops_dripping_is_given_up_too(tmp_path: Path) -> None:
    """Each byte comes in time, and a whole piece would not come in a year."""
    over = threading.Event()
    with FileServer([dripping(over)]).running() as server:
        with pytest.raises(ReleaseError, match="too slowly"):
            obtained(tmp_path / "cache", url=server.url, patience=Patience(total=0.2, pauses=()))
        over.set()


def test_another_command_that_is_busy_with_a_release_is_waited_for_and_told(tmp_path: Path) -> None:
    told: list[str] = []
    with locked(tmp_path / "3.5.0"), pytest.raises(ReleaseError, match="for too long; end it"):  # noqa: SIM117  one after the other
        with locked(tmp_path / "3.5.0", patience=0, on_wait=told.append):
            pass

    assert told == [f"another command on this machine is busy with {tmp_path}/3.5.0; waiting for it"]


def test_a_missing_release_is_asked_for_once_and_the_ways_out_are_named(tmp_path: Path) -> None:
    with FileServer([status(404)]).running() as server, pytest.raises(ReleaseError) as caught:
        obtained(tmp_path / "cache", url=server.url)

    assert len(server.requests) == 1
    for word in (
        f"127.0.0.1:{server.port}/v3.5.0.tar.gz",
        "release.url",
        "release.archive",
        "--archive",
        "release.git",
    ):
        assert word in str(caught.value)


def test_a_refusal_is_not_tried_again(tmp_path: Path) -> None:
    with FileServer([status(403)]).running() as server, pytest.raises(ReleaseError, match="HTTP 403"):
        obtained(tmp_path / "cache", url=server.url)

    assert len(server.requests) == 1


def test_a_closed_port_is_tried_again_and_then_told(tmp_path: Path) -> None:
    with FileServer([status(200)]).running() as server:
        pass
    with pytest.raises(ReleaseError, match=r"3 attempts"):
        obtained(tmp_path / "cache", url=server.url)


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/x"])
def test_a_redirect_to_something_else_than_http_is_refused(tmp_path: Path, target: str) -> None:
    with FileServer([status(302, Location=target)]).running() as server, pytest.raises(ReleaseError):
        obtained(tmp_path / "cache", url=server.url)

    assert len(server.requests) == 1


def test_credentials_reach_their_server_and_nobody_else(tmp_path: Path) -> None:
    other = FileServer([body(release_bytes(tmp_path))])
    server = FileServer([status(302, Location=other.url.replace("{version}", "3.5.0"))])
    with other.running(), server.running():
        release = obtained(tmp_path / "cache", url=server.url.replace("http://", "http://me:se%20cret@"))

    assert server.requests[0][1]["Authorization"] == "Basic bWU6c2UgY3JldA=="
    assert "Authorization" not in other.requests[0][1]
    assert release.url is None  # a server would have to be told them: push instead


def test_credentials_are_never_shown(tmp_path: Path) -> None:
    with FileServer([status(404)]).running() as server, pytest.raises(ReleaseError) as caught:
        obtained(tmp_path / "cache", url=server.url.replace("http://", "http://me:secret@") + "?token=secret")

    assert "secret" not in str(caught.value)
    assert without_secrets("https://me:secret@[::1]:8/a\x1b?token=secret#x") == "https://[::1]:8/a??..."


def test_a_changed_archive_is_an_error_until_the_operator_says_otherwise(tmp_path: Path) -> None:
    first = release_bytes(tmp_path)
    write_release(tmp_path / "other.tar.gz", "3.5.0").write_bytes(first[:4] + b"\x01" + first[5:])
    second = (tmp_path / "other.tar.gz").read_bytes()
    cache = tmp_path / "cache"
    with FileServer([body(first), body(second)]).running() as server:
        kept = obtained(cache, url=server.url).archive
        kept.unlink()
        with pytest.raises(ReleaseError, match="no longer what it was"):
            obtained(cache, url=server.url)
        trusted = obtained(cache, url=server.url, sha256=hashlib.sha256(second).hexdigest().upper())

    assert trusted.archive.read_bytes() == second


def test_an_archive_damaged_in_the_cache_is_fetched_again(tmp_path: Path) -> None:
    data = release_bytes(tmp_path)
    with FileServer([body(data)]).running() as server:
        obtained(tmp_path / "cache", url=server.url).archive.write_bytes(b"rotten")
        release = obtained(tmp_path / "cache", url=server.url)

    assert release.archive.read_bytes() == data


def test_an_archive_with_another_digest_than_given_is_refused_and_not_kept(tmp_path: Path) -> None:
    with (
        FileServer([body(release_bytes(tmp_path))]).running() as server,
        pytest.raises(ReleaseError, match=r"release\.sha256 says"),
    ):
        obtained(tmp_path / "cache", url=server.url, sha256="0" * 64)

    assert kept_files(tmp_path / "cache") == [".lock"]


def test_a_page_in_place_of_an_archive_is_refused_and_not_kept(tmp_path: Path) -> None:
    with (
        FileServer([body(b"<html>Sign in")]).running() as server,
        pytest.raises(ReleaseError, match=r"/v3\.5\.0\.tar\.gz: it is none of"),
    ):
        obtained(tmp_path / "cache", url=server.url)

    assert kept_files(tmp_path / "cache") == [".lock"]


def test_another_version_inside_is_refused(tmp_path: Path) -> None:
    archive = write_release(tmp_path / "a.tar.gz", "3.4.9")

    with pytest.raises(ReleaseError, match=r"a\.tar\.gz: asked for 3\.5\.0, but inside it is 3\.4\.9"):
        obtained(tmp_path / "cache", archive=archive)


def test_a_release_that_calls_itself_differently_comes_with_a_remark(tmp_path: Path) -> None:
    release = obtained(tmp_path / "cache", version="3.7.2", archive=write_release(tmp_path / "a.tgz", "3.7.3-dev"))

    assert (release.version, release.tree_version, len(release.remarks)) == ("3.7.2", "3.7.3-dev", 1)


def test_an_archive_of_another_product_is_refused(tmp_path: Path) -> None:
    archive = write_release(tmp_path / "a.tar.gz")

    with pytest.raises(ReleaseError, match="no release of netbox"):
        obtain("3.5.0", ReleaseSource(archive=str(archive)), Product(name="netbox"), tmp_path / "cache")


def test_the_archive_of_the_command_line_wins(tmp_path: Path) -> None:
    source = ReleaseSource(archive=str(tmp_path / "missing"), url="http://127.0.0.1:1/")
    archive = write_release(tmp_path / "a.tar.gz")

    assert obtain("3.5.0", source, NETPOINT, tmp_path / "cache", archive=archive).archive == archive


def test_a_folder_gives_the_archive_that_is_named_by_the_version(tmp_path: Path) -> None:
    for version in ("3.5.0", "13.5.0", "3.5.01", "3.5.0-beta1"):
        write_release(tmp_path / f"netpoint-{version}.tar.gz", "3.5.0")

    assert obtained(tmp_path / "cache", archive=tmp_path).archive.name == "netpoint-3.5.0.tar.gz"


def test_a_folder_with_two_products_gives_the_right_one(tmp_path: Path) -> None:
    write_release(tmp_path / "NetPoint-3.5.0.tar.gz")
    (tmp_path / "netbox-3.5.0.tar.gz").write_text("not this")

    assert obtained(tmp_path / "cache", archive=tmp_path).archive.name == "NetPoint-3.5.0.tar.gz"


def test_two_archives_of_one_version_are_ambiguous(tmp_path: Path) -> None:
    write_release(tmp_path / "v3.5.0.tar.gz")
    write_zip(tmp_path / "3.5.0.zip")

    with pytest.raises(ReleaseError, match=r"3\.5\.0\.zip, v3\.5\.0\.tar\.gz all claim"):
        obtained(tmp_path / "cache", archive=tmp_path)


def test_a_folder_without_the_version_says_what_it_has(tmp_path: Path) -> None:
    write_release(tmp_path / "netpoint-3.4.9.tar.gz", "3.4.9")

    with pytest.raises(ReleaseError, match=r"there is netpoint-3\.4\.9\.tar\.gz"):
        obtained(tmp_path / "cache", archive=tmp_path)


@pytest.mark.parametrize("name", ["netpoint-3.5.0.zip", "netpoint-3.5.0.tar.xz"])
def test_other_forms_become_a_plain_tar_gz_that_is_pushed(tmp_path: Path, name: str) -> None:
    path = write_zip(tmp_path / name) if name.endswith("zip") else write_release(tmp_path / name)
    first = obtained(tmp_path / "cache", archive=path)
    first_written = first.archive.stat().st_mtime_ns
    again = obtained(tmp_path / "cache", archive=path)

    assert (first.url, again, again.archive.stat().st_mtime_ns) == (None, first, first_written)
    assert first.archive.read_bytes()[:2] == b"\x1f\x8b"


def test_a_file_url_is_read_where_it_lies(tmp_path: Path) -> None:
    write_release(tmp_path / "with space 3.5.0.tar.gz")
    release = obtained(tmp_path / "cache", url=f"file://{tmp_path}/with%20space%20{{version}}.tar.gz")

    assert (release.archive, release.url) == (tmp_path / "with space 3.5.0.tar.gz", None)


@pytest.mark.parametrize("url", ["ftp://x/{version}", "x", "http:///y", "http://[::1/y", "javascript:x"])
def test_other_addresses_are_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(ReleaseError, match=r"release\.url"):
        obtained(tmp_path / "cache", url=url)


@pytest.mark.parametrize("version", ["", "latest", "../../etc", "3.5.0/..", "3.5.0-Docker-2.5", "1!3.5"])
def test_what_is_no_version_is_refused(tmp_path: Path, version: str) -> None:
    with pytest.raises(ReleaseError):
        obtained(tmp_path / "cache", version=version or "x", url=f"http://127.0.0.1:1/{version}")


def test_an_unwritable_cache_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file is in the way")

    with pytest.raises(ReleaseError, match="must be writable"):
        obtained(tmp_path / "cache", archive=write_release(tmp_path / "a.tar.gz"))


def test_a_full_disk_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="No space left"), using(tmp_path):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_missing_archive_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="no such file or folder"):
        obtained(tmp_path / "cache", archive=tmp_path / "nowhere")


def test_two_processes_fetch_a_release_once(tmp_path: Path) -> None:
    with FileServer([body(release_bytes(tmp_path))]).running() as server:
        context = multiprocessing.get_context("spawn")
        processes = [
            context.Process(target=obtained, args=(tmp_path / "cache",), kwargs={"url": server.url}) for _ in range(2)
        ]
        for process in processes:
            process.start()
        for process in processes:
            process.join()

    assert ([process.exitcode for process in processes], len(server.requests)) == ([0, 0], 1)


def test_the_cache_is_where_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache() == tmp_path / "netpoint-remote"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_cache() == tmp_path / ".cache" / "netpoint-remote"
