"""The verified release of each host, found before any host is touched."""

import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from netpoint_remote.errors import ReleaseError
from netpoint_remote.planning.constraints import constraints_for
from netpoint_remote.planning.facts import Facts
from netpoint_remote.planning.inventory import Host
from netpoint_remote.planning.method import Method, method_of
from netpoint_remote.planning.target import Target
from netpoint_remote.planning.version import parse_version
from netpoint_remote.running.cache import default_cache
from netpoint_remote.running.git_source import GitRelease, check_origin, make_bundle, obtain_git
from netpoint_remote.running.releases import Release, obtain


@dataclass(slots=True)
class Targets:
    """Finds each release once, whoever asks first; what fails is remembered and raised for each that asks."""

    version: str
    archive: Path | None = None
    cache: Path = field(default_factory=default_cache)
    on_note: Callable[[str], None] = lambda _note: None
    _found: dict[tuple[object, ...], Release | GitRelease | ReleaseError] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def prepare(self, hosts: tuple[Host, ...]) -> None:
        """Find what can be found before connecting: a release that nobody has stops the run here.

        Which install method a host has is known only when it was looked at. So every source that the hosts
        file names must have the release; the default address counts only where no other source is named.

        Raises:
            ReleaseError: saying what is wrong and what to do.
        """
        for host in hosts:
            source = host.release
            if self.archive or source.archive or source.url or source.git is None:
                self._archive_of(host)
            if source.git is not None:
                self._git_of(host, source.git)

    def of(self, host: Host, facts: Facts) -> Target:
        """Return the target for the method a host was installed by.

        Raises:
            ReleaseError: as prepare.
        """
        if method_of(facts) is Method.GIT:
            return _git_target(host, self._git_of(host, _remote(host, facts)))
        return self._archive_target(host, self._archive_of(host))

    def file_of(self, host: Host, facts: Facts, folder: Path, *, push: bool) -> Path | None:
        """Return the file that would be pushed: the archive, or, where pushing is asked for, a git bundle."""
        if method_of(facts) is not Method.GIT:
            return self._archive_of(host).archive
        if not push:
            return None
        release = self._git_of(host, _remote(host, facts))
        # a shallow checkout has its commit without what leads to it, so nothing can be left out for it
        have = () if facts.shallow else (facts.commit,)
        with self._lock:
            return make_bundle(release, folder / f"{facts.commit}-{release.commit}.bundle", have=have)

    def _archive_of(self, host: Host) -> Release:
        key = ("archive", host.product, host.release.url, host.release.archive, host.release.sha256)
        found = self._once(
            key,
            lambda: obtain(
                self.version, host.release, host.product, self.cache, archive=self.archive, on_note=self.on_note
            ),
        )
        assert isinstance(found, Release)  # noqa: S101  by the key
        return found

    def _git_of(self, host: Host, remote: str) -> GitRelease:
        found = self._once(
            ("git", host.product, remote), lambda: obtain_git(self.version, remote, host.product, self.cache)
        )
        assert isinstance(found, GitRelease)  # noqa: S101  by the key
        return found

    def _once(self, key: tuple[object, ...], find: Callable[[], Release | GitRelease]) -> Release | GitRelease:
        with self._lock:
            if key not in self._found:
                try:
                    self._found[key] = find()
                except ReleaseError as error:
                    self._found[key] = error
            found = self._found[key]
        if isinstance(found, ReleaseError):
            raise found
        return found

    def _archive_target(self, host: Host, release: Release) -> Target:
        return replace(
            _target(host, release),
            sha256=release.sha256,
            url=None if self.archive else release.url,
            archive_mb=release.size // 2**20 + 1,
            unpacked_mb=release.unpacked_mb,
        )


def _remote(host: Host, facts: Facts) -> str:
    """Return where a checkout's releases come from: what the hosts file names, else what the server says."""
    if host.release.git is None:
        check_origin(facts.origin, facts.remotes)
    return host.release.git or facts.origin


def _git_target(host: Host, release: GitRelease) -> Target:
    target = _target(host, release)
    return replace(target, tag=release.tag, commit=release.commit, remote=host.release.git or "", paths=release.members)


def _target(host: Host, release: Release | GitRelease) -> Target:
    """Return what both kinds of releases say of themselves."""
    version = parse_version(release.version)
    return Target(
        text=release.version,
        version=version,
        tree_version=release.tree_version,
        requirements=release.requirements,
        remarks=release.remarks,
        constraints=constraints_for(version, host.product, requirements=release.text("requirements.txt")),
    )


def bundle_folder() -> Path:
    """Return a folder for what is made only to be sent."""
    return Path(tempfile.mkdtemp(prefix="netpoint-remote-"))
