"""Finds releases, and hands out only those it has read from the first byte to the last.

Where an archive comes from: a file or folder that the operator names, else a URL. What comes over the
network is kept in the cache with the digest it had at first sight; the same address may never serve
something else later without the operator hearing of it.
"""

import hashlib
import re
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from packaging.version import Version

from netpoint_remote.errors import ReleaseError
from netpoint_remote.planning.inventory import NETPOINT, Product, ReleaseSource
from netpoint_remote.planning.requirements import Requirements, requirements_of_tree
from netpoint_remote.planning.tree import check_tree, check_version, notes_since, texts_of_interest, version_inside
from netpoint_remote.planning.version import NotAVersion, parse_version
from netpoint_remote.running.archive import SUFFIXES, Tree, archive_suffix, read_archive, repack
from netpoint_remote.running.cache import locked, sha256_of, using, written_whole
from netpoint_remote.running.download import NotThere, Patience, download, has_secrets, without_secrets

_MB = 1024**2


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A verified archive on this machine; always a tar.gz that a bare `tar -xzf` unpacks as it should be.

    `version` is as it was asked for, `tree_version` what the tree calls itself. `url` is where a server
    may fetch the very same bytes, None where they have to be pushed. `top` is the archive's own folder.
    `texts` has the files that planning reads; `remarks` are for the operator.
    """

    version: str
    tree_version: str
    archive: Path
    sha256: str
    url: str | None
    top: str
    size: int
    unpacked_mb: int
    requirements: Requirements
    texts: tuple[tuple[str, str], ...]
    remarks: tuple[str, ...] = ()
    product: Product = NETPOINT

    def text(self, path: str) -> str:
        """Return the text of one of the files that planning reads, empty where the tree has none."""
        return dict(self.texts).get(path, "")


def obtain(
    version: str,
    source: ReleaseSource,
    product: Product,
    cache: Path,
    *,
    archive: Path | None = None,
    patience: Patience | None = None,
    on_note: Callable[[str], None] = lambda _note: None,
) -> Release:
    """Find, fetch and verify a release; `archive` (a file or folder) wins over the source's own.

    Raises:
        ReleaseError: saying what is wrong and what to do.
    """
    version = plain_version(version)
    place = archive or (Path(source.archive) if source.archive else None) or _file_of(_url(version, source, product))
    folder = cache / "releases" / product.name
    with using(folder), locked(folder / version, on_wait=on_note):
        if place:
            found = _from_disk(_pick(place.expanduser(), version, product), version, source, product)
        else:
            found = _Fetching(version, source, product, folder).found(patience, on_note)
        return _release(found if found.tree.plain else _repacked(found, folder), version, product)


def member_list(release: Release) -> tuple[str, ...]:
    """Return every path the release brings, relative to its top folder: what is not in it was made locally."""
    return read_archive(release.archive, lambda _path: False).members


def release_notes(release: Release, *, after: Version | None = None) -> tuple[tuple[str, str], ...]:
    """Return (path, text) of the release notes, oldest first, from the minor release of `after` on."""
    texts = dict(read_archive(release.archive, lambda path: bool(notes_since([path], after))).texts)
    return tuple((path, texts[path]) for path in notes_since(texts, after))


def plain_version(text: str) -> str:
    """Return the version as it is written in addresses: 3.5.0 for v3.5.0.

    Raises:
        ReleaseError: when it cannot be the name of a release.
    """
    plain = text.strip().removeprefix("v")
    try:
        parse_version(plain)
    except NotAVersion as error:
        raise ReleaseError(str(error)) from None
    if not _VERSION.fullmatch(plain) or "docker" in plain.lower():
        raise ReleaseError(f"{text!r} is not the version of a release, such as 3.5.0")
    return plain


_VERSION = re.compile(r"\d[0-9A-Za-z.+_-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """A verified archive, wherever it lies."""

    path: Path
    sha256: str
    url: str | None
    tree: Tree
    tree_version: str
    remarks: tuple[str, ...]


def _inspect(path: Path, name: str, version: str, product: Product) -> tuple[Tree, str, tuple[str, ...]]:
    wanted = texts_of_interest(product)
    tree = read_archive(path, lambda member: member in wanted, name=name)
    try:
        check_tree(tree.members, product)
        inside = version_inside(dict(tree.texts), product)
        remarks = check_version(version, inside)
    except ReleaseError as error:
        raise ReleaseError(f"{name}: {error}") from None
    return tree, inside, remarks


def _from_disk(path: Path, version: str, source: ReleaseSource, product: Product) -> _Found:
    try:
        tree, inside, remarks = _inspect(path, str(path), version, product)
        digest = sha256_of(path)
    except OSError as error:
        raise ReleaseError(f"{path}: {error.strerror or error}") from error
    _check_given(digest, _given(version, source), str(path))
    return _Found(path=path, sha256=digest, url=None, tree=tree, tree_version=inside, remarks=remarks)


class _Fetching:
    """One address, what is kept of it, and the digest recorded beside when it was seen first."""

    def __init__(self, version: str, source: ReleaseSource, product: Product, folder: Path) -> None:
        self._version = version
        self._product = product
        self._url = _url(version, source, product)
        self._name = without_secrets(self._url)
        self._given = _given(version, source)
        address = hashlib.sha256(self._url.encode()).hexdigest()[:12]
        suffix = archive_suffix(urllib.parse.urlsplit(self._url).path) or ".archive"
        self._kept = folder / f"{version}-{address}{suffix}"
        self._record = _record_of(self._kept)

    def found(self, patience: Patience | None, on_note: Callable[[str], None]) -> _Found:
        recorded = _recorded(self._record)
        if recorded and self._given in {None, recorded} and _is_intact(self._kept, recorded):
            return self._inspected(self._kept, recorded)
        try:
            return self._fetch(recorded, patience, on_note)
        except NotThere as error:
            raise NotThere(f"{error}; {self._ways_out()}") from None

    def _fetch(self, recorded: str | None, patience: Patience | None, on_note: Callable[[str], None]) -> _Found:
        with written_whole(self._kept) as file:
            download(self._url, file, patience=patience, on_note=on_note)
            file.flush()
            digest = sha256_of(Path(file.name))
            _check_given(digest, self._given, self._name)
            if not self._given:
                self._check_recorded(digest, recorded)
            found = self._inspected(Path(file.name), digest)
            _write_record(self._kept, digest)
        return found

    def _inspected(self, path: Path, digest: str) -> _Found:
        tree, inside, remarks = _inspect(path, self._name, self._version, self._product)
        url = None if has_secrets(self._url) else self._url
        return _Found(path=self._kept, sha256=digest, url=url, tree=tree, tree_version=inside, remarks=remarks)

    def _check_recorded(self, digest: str, recorded: str | None) -> None:
        if recorded not in {None, digest}:
            raise ReleaseError(
                f"{self._name} is no longer what it was: its sha256 is {digest}, at first sight it was {recorded}; "
                f"when you know why, say which is right in release.sha256, or remove {self._record}"
            )

    def _ways_out(self) -> str:
        return (
            f"set release.url to where {self._product.name} {self._version} is served, or give a local archive, or a "
            "folder of them, by release.archive or --archive; servers installed from git fetch from release.git"
        )


def _repacked(found: _Found, folder: Path) -> _Found:
    """Make a plain tar.gz of an archive that servers could not unpack as it is; it has to be pushed."""
    packed = folder / f"{found.sha256[:24]}.tar.gz"
    recorded = _recorded(_record_of(packed))
    if not (recorded and _is_intact(packed, recorded)):
        with written_whole(packed) as file:
            repack(found.path, file)
        recorded = sha256_of(packed)
        _write_record(packed, recorded)
    tree = read_archive(packed, lambda path: path in dict(found.tree.texts))
    return _Found(
        path=packed,
        sha256=recorded,
        url=None,
        tree=tree,
        tree_version=found.tree_version,
        remarks=found.remarks,
    )


def _release(found: _Found, version: str, product: Product) -> Release:
    texts = dict(found.tree.texts)
    return Release(
        version=version,
        tree_version=found.tree_version,
        archive=found.path,
        sha256=found.sha256,
        url=found.url,
        top=found.tree.top,
        size=found.path.stat().st_size,
        unpacked_mb=-(-found.tree.unpacked // _MB),
        requirements=requirements_of_tree(texts, parse_version(version)),
        texts=found.tree.texts,
        remarks=found.remarks,
        product=product,
    )


def _url(version: str, source: ReleaseSource, product: Product) -> str:
    url = (source.url or product.release_url).replace("{version}", version)
    try:
        parts = urllib.parse.urlsplit(url)
    except ValueError as error:
        raise ReleaseError(f"release.url: {error}") from None
    if parts.scheme not in {"http", "https", "file"} or not (parts.hostname or parts.scheme == "file"):
        raise ReleaseError(f"release.url: {without_secrets(url)} does not begin with http://, https:// or file:///")
    return url


def _file_of(url: str) -> Path | None:
    parts = urllib.parse.urlsplit(url)
    return Path(urllib.parse.unquote(parts.path)) if parts.scheme == "file" else None


def _pick(place: Path, version: str, product: Product) -> Path:
    """Return the archive itself, or the one in the folder that is named by the version."""
    if place.is_file():
        return place
    if not place.is_dir():
        raise ReleaseError(f"{place}: there is no such file or folder")
    archives = sorted(path for path in place.iterdir() if archive_suffix(path.name) and path.is_file())
    named = [path for path in archives if _is_named(path.name, version)]
    mine = [path for path in named if product.name in path.name.lower()] or named
    if not mine:
        there = ", ".join(path.name for path in archives) or f"nothing that ends in {', '.join(SUFFIXES)}"
        raise ReleaseError(f"{place}: no archive is named {product.name}-{version}.tar.gz or alike; there is {there}")
    if len(mine) > 1:
        raise ReleaseError(f"{place}: {', '.join(path.name for path in mine)} all claim to be {version}; keep one")
    return mine[0]


def _is_named(name: str, version: str) -> bool:
    stem = name[: -len(archive_suffix(name) or "")]
    return bool(re.search(rf"(?:^|[^0-9.]){re.escape(version)}$", stem))


def _given(version: str, source: ReleaseSource) -> str | None:
    digests = {plain_version(key): digest.lower() for key, digest in source.sha256}
    return digests.get(version)


def _check_given(digest: str, given: str | None, name: str) -> None:
    if given not in {None, digest}:
        raise ReleaseError(f"{name}: its sha256 is {digest}, but release.sha256 says {given}")


def _record_of(kept: Path) -> Path:
    return kept.with_name(f"{kept.name}.sha256")


def _write_record(kept: Path, digest: str) -> None:
    with written_whole(_record_of(kept)) as record:
        record.write(f"{digest}\n".encode())


def _is_intact(kept: Path, recorded: str) -> bool:
    return kept.is_file() and sha256_of(kept) == recorded


def _recorded(record: Path) -> str | None:
    text = record.read_text(encoding="ascii", errors="replace").strip() if record.is_file() else ""
    return text if re.fullmatch(r"[0-9a-f]{64}", text) else None
