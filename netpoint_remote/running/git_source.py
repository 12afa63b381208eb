"""Finds releases in a git remote, and prepares them for checkouts that cannot reach it."""

import hashlib
import os
import re
import subprocess
import threading
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from packaging.version import Version

from netpoint_remote.errors import ReleaseError
from netpoint_remote.planning.inventory import NETPOINT, Product
from netpoint_remote.planning.requirements import Requirements, requirements_of_tree
from netpoint_remote.planning.tree import check_tree, check_version, notes_since, texts_of_interest, version_inside
from netpoint_remote.planning.version import NotAVersion, parse_version
from netpoint_remote.running.cache import locked, using, written_whole
from netpoint_remote.running.download import without_secrets
from netpoint_remote.running.releases import plain_version

_SCP_LIKE = re.compile(r"(?:[\w.-]+@)?[\w.-]+:[^:].*")
_MAX_NAMED = 5
MAX_OUTPUT = 64 * 1024**2  # bytes of what git says: all tags, all names, one text
MAX_COMPLAINT = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class GitRelease:
    """A release in a git remote: its tag, the commit behind it, and what its tree says.

    `repository` is the bare repository in our cache that has the commit (without its history).
    """

    version: str
    tag: str
    commit: str
    tree_version: str
    remote: str
    repository: Path
    requirements: Requirements
    texts: tuple[tuple[str, str], ...]
    remarks: tuple[str, ...] = ()
    product: Product = NETPOINT
    members: frozenset[str] = frozenset()

    def text(self, path: str) -> str:
        """Return the text of one of the files that planning reads, empty where the tree has none."""
        return dict(self.texts).get(path, "")


def obtain_git(version: str, remote: str, product: Product, cache: Path, *, timeout: float = 600.0) -> GitRelease:
    """Find the tag of a release in a remote, fetch it and read its tree; `timeout` in seconds for each git command.

    Raises:
        ReleaseError: saying what is wrong and what to do.
    """
    version = plain_version(version)
    repository = _Repository(remote, cache / "git", timeout)
    with using(cache / "git"), locked(repository.path):
        tag = _tag_of(version, repository.tags(), repository.name)
        commit = repository.fetch(tag)
        try:
            return _read(repository, version, tag, commit, product)
        except ReleaseError as error:
            raise ReleaseError(f"{repository.name}, tag {tag}: {error}") from None


def git_member_list(release: GitRelease) -> tuple[str, ...]:
    """Return every file the release brings, relative to the top of the checkout."""
    return _opened(release).members(release.commit)


def git_release_notes(release: GitRelease, *, after: Version | None = None) -> tuple[tuple[str, str], ...]:
    """Return (path, text) of the release notes, oldest first, from the minor release of `after` on."""
    repository = _opened(release)
    paths = notes_since(repository.members(release.commit), after)
    return repository.texts(release.commit, paths)


def make_bundle(release: GitRelease, target: Path, *, have: tuple[str, ...] = (), timeout: float = 1800.0) -> Path:
    """Write a git bundle from which a checkout that cannot reach the remote fetches the tag.

    The history comes along, except what leads to the commits in `have` (the checkout's own; leave it
    empty for a shallow checkout). `git fetch BUNDLE refs/tags/TAG:refs/tags/TAG` takes it in.
    """
    repository = _opened(release, timeout)
    with using(target.parent), locked(repository.path):
        repository.fetch_whole(release.tag)
        known = [f"^{commit}" for commit in have if repository.has(commit)]
        with written_whole(target) as file:
            repository.git("bundle", "create", "-q", file.name, f"refs/tags/{release.tag}", *known)
    return target


def check_origin(origin: str, remotes: Iterable[str] = ()) -> None:
    """Refuse an origin that only names a place on this machine: a server does not say what is read here.

    Raises:
        ReleaseError: saying what to do; `remotes` are those that the checkout has.
    """
    if not origin:
        others = ", ".join(remotes)
        raise ReleaseError(
            f"the checkout has no remote called origin{f' (it has {others})' if others else ''}; "
            "name its repository in the hosts file: release.git, or on the server: git remote add origin ADDRESS"
        )
    if origin.startswith("/") or origin.partition("://")[0] == "file":
        raise ReleaseError(
            f"the checkout's origin is a folder, {origin}, and no server chooses what is read on this machine; "
            "if it is here too, name it in the hosts file: release.git"
        )


class _Repository:
    """A bare repository in the cache, and the one remote it is fetched from."""

    def __init__(self, remote: str, folder: Path, timeout: float) -> None:
        _check_remote(remote)
        self.remote = remote
        self.name = without_secrets(remote) if "://" in remote else remote
        self._address, self._options, self._account = _without_password(remote)
        self.path = folder / f"{hashlib.sha256(remote.encode()).hexdigest()[:16]}.git"
        self._timeout = timeout

    def tags(self) -> Mapping[str, str]:
        """Return the remote's tags with the commits behind them."""
        listing = self._run("ls-remote", "--tags", "--", self._address)
        commits = {}
        for line in listing.split("\n"):
            commit, _, ref = line.partition("\t")
            commits[ref.removeprefix("refs/tags/")] = commit
        return {tag: commits.get(f"{tag}^{{}}", commit) for tag, commit in commits.items() if not tag.endswith("^{}")}

    def fetch(self, tag: str) -> str:
        """Bring the tag here without the history behind it; return its commit."""
        if not (self.path / "HEAD").is_file():
            self._run("init", "-q", "--bare", "--", str(self.path))
        self._fetch(tag, "--depth=1")
        return self.git("rev-parse", "--verify", "-q", "--end-of-options", f"refs/tags/{tag}^{{commit}}").strip()

    def fetch_whole(self, tag: str) -> None:
        """Bring the tag here with all its history."""
        shallow = (self.path / "shallow").is_file()
        self._fetch(tag, *(["--unshallow"] if shallow else []))

    def has(self, commit: str) -> bool:
        if not re.fullmatch(r"[0-9a-f]{40,64}", commit):
            return False
        try:
            self.git("cat-file", "-e", f"{commit}^{{commit}}")
        except ReleaseError:
            return False
        return True

    def _fetch(self, tag: str, *options: str) -> None:
        ref = f"refs/tags/{tag}"
        self.git("fetch", "-q", "--no-tags", "--force", *options, "--", self._address, f"{ref}:{ref}")

    def members(self, commit: str) -> tuple[str, ...]:
        return tuple(sorted(filter(None, self.git("ls-tree", "-r", "-z", "--name-only", commit).split("\0"))))

    def texts(self, commit: str, paths: Iterable[str]) -> tuple[tuple[str, str], ...]:
        return tuple((path, self.git("cat-file", "blob", f"{commit}:{path}")) for path in paths)

    def git(self, *arguments: str) -> str:
        return self._run(f"--git-dir={self.path}", *arguments)

    def _run(self, *words: str) -> str:
        try:
            status, output, complaint = _bounded(
                ("git", *self._options, *words), {**_environment(), **self._account}, self._timeout
            )
        except OSError as error:
            raise ReleaseError(f"git, which release.git needs, cannot be started here: {error.strerror}") from error
        verb = next(word for word in words if not word.startswith("-"))
        if status is None:
            raise ReleaseError(f"{self.name}: git {verb} took more than {self._timeout:g} s")
        if len(output) > MAX_OUTPUT:
            raise ReleaseError(f"{self.name}: git {verb} says more than {MAX_OUTPUT // 1024**2} MB, as no release does")
        if status:
            raise ReleaseError(f"{self.name}: git says {self._complaint(complaint)!r}")
        return output.decode("utf-8", errors="replace")

    def _complaint(self, output: bytes) -> str:
        text = output.decode("utf-8", errors="replace").replace(self.remote, self.name).strip()
        return text[-500:]


def _bounded(
    command: tuple[str, ...], environment: Mapping[str, str], timeout: float
) -> tuple[int | None, bytes, bytes]:
    """Return a command's status (None where it took too long), the beginning of its output, and the end of its errors.

    It says what a stranger's repository makes it say: tags, names, texts, and what that has to remark.
    """
    late = threading.Event()
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None  # noqa: S101  a pipe
        assert process.stderr is not None  # noqa: S101  a pipe
        complaint = bytearray()

        def listen(stream: IO[bytes]) -> None:
            with suppress(OSError, ValueError):  # it is closed
                while piece := stream.read1(65536):  # type: ignore[attr-defined]  # it is buffered
                    complaint.extend(piece)
                    del complaint[:-MAX_COMPLAINT]

        def end() -> None:
            late.set()
            process.kill()

        listening = threading.Thread(target=listen, args=(process.stderr,), daemon=True)
        clock = threading.Timer(timeout, end)
        listening.start()
        clock.start()
        try:
            output = process.stdout.read(MAX_OUTPUT + 1)
            if len(output) > MAX_OUTPUT:
                process.kill()
            status = process.wait()
        finally:
            clock.cancel()
            process.kill()
        listening.join(1.0)  # a helper that it left behind may hold the pipe
    return None if late.is_set() else status, output, bytes(complaint)


def _read(repository: _Repository, version: str, tag: str, commit: str, product: Product) -> GitRelease:
    members = repository.members(commit)
    check_tree(members, product)
    texts = repository.texts(commit, (path for path in texts_of_interest(product) if path in members))
    inside = version_inside(dict(texts), product)
    return GitRelease(
        version=version,
        tag=tag,
        commit=commit,
        tree_version=inside,
        remote=repository.remote,
        repository=repository.path,
        requirements=requirements_of_tree(dict(texts), parse_version(version)),
        texts=texts,
        remarks=check_version(version, inside),
        product=product,
        members=frozenset(members),
    )


def _opened(release: GitRelease, timeout: float = 600.0) -> _Repository:
    return _Repository(release.remote, release.repository.parent, timeout)


def _tag_of(version: str, tags: Mapping[str, str], remote: str) -> str:
    """Find v3.5.0 or 3.5.0, or else the one tag that says the same (v4.0-beta1 for 4.0.0b1)."""
    for tag in (f"v{version}", version):
        if tag in tags:
            return tag
    wanted = parse_version(version)
    versions = dict(_versions(tags))
    same = [tag for tag, found in versions.items() if found == wanted]
    if len(same) == 1:
        return same[0]
    near = ", ".join(_nearest(wanted, versions)) or "no tags that are versions"
    raise ReleaseError(f"{remote} has no tag v{version}; near it there is {near}")


def _versions(tags: Mapping[str, str]) -> Iterator[tuple[str, Version]]:
    """Skip the tags that are no versions (Solcon-2020-01-06, 1.6.1-2016-09-21), or that git would take for options."""
    for tag in tags:
        if re.fullmatch(r"v?\d[\w.+-]*", tag, re.ASCII):
            with suppress(NotAVersion):
                yield tag, parse_version(tag)


def _nearest(wanted: Version, versions: Mapping[str, Version]) -> list[str]:
    """Return the tags around the wanted one, oldest first."""
    ordered = sorted(versions, key=lambda tag: versions[tag])
    older = [tag for tag in ordered if versions[tag] < wanted][-_MAX_NAMED // 2 :]
    newer = [tag for tag in ordered if versions[tag] > wanted]
    return [*older, *newer[: _MAX_NAMED - len(older)]]


def _check_remote(remote: str) -> None:
    """Let through http(s), ssh, file and paths: other transports of git run programs."""
    scheme, colons, _ = remote.partition("://")
    known = scheme in {"http", "https", "ssh", "file"} if colons else _is_path_or_scp(remote)
    if not known or not remote.isprintable():
        raise ReleaseError(
            f"{remote!r} is no remote to fetch releases from; "
            "release.git takes http(s)://, ssh://, file://, user@host:path or an absolute path"
        )


def _without_password(remote: str) -> tuple[str, tuple[str, ...], Mapping[str, str]]:
    """Split a remote into its address, git's options and git's environment.

    A password in the address would be an argument of git's helpers, for everybody to see.
    """
    parts = urllib.parse.urlsplit(remote) if "://" in remote else None
    if parts is None or parts.scheme not in {"http", "https"} or parts.password is None:
        return remote, (), {}
    server = parts.netloc.rpartition("@")[2]
    key = f"credential.{parts.scheme}://{server}.helper"
    account = {
        "GIT_ACCOUNT": urllib.parse.unquote(parts.username or ""),
        "GIT_PASSWORD": urllib.parse.unquote(parts.password),
    }
    if not all(map(str.isprintable, account.values())):
        raise ReleaseError("release.git has a user or a password with a line break in it")
    return parts._replace(netloc=server).geturl(), ("-c", f"{key}=", "-c", f"{key}={_ANSWER}"), account


_ANSWER = '!f() { test "$1" != get || printf "username=%s\\npassword=%s\\n" "$GIT_ACCOUNT" "$GIT_PASSWORD"; }; f'


def _is_path_or_scp(remote: str) -> bool:
    return remote.startswith("/") or bool(_SCP_LIKE.fullmatch(remote) and not remote.startswith("-"))


def _environment() -> dict[str, str]:
    """Keep git from asking, from other repositories, and from transports that run programs."""
    kept = {name: value for name, value in os.environ.items() if name not in _NOT_OURS}
    kept.setdefault("GIT_SSH_COMMAND", "ssh -o BatchMode=yes")
    return {
        **kept,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "true",
        "GIT_ALLOW_PROTOCOL": "http:https:ssh:file",
        "LC_ALL": "C",
    }


_NOT_OURS = {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_NAMESPACE", "SSH_ASKPASS"}
