"""What a release needs of its server: Python, PostgreSQL and Redis.

Two witnesses, and neither is enough. The tree tells what its authors shipped, but that text was
sometimes too low (4.2.0 still says PostgreSQL 12, where its Django refuses 12; the upgrade.sh of
3.2.0 lets Python 3.7 pass, where its settings refuse it), and older trees say nothing. The table
below knows the corrections, but no release to come. So:

- a minimum is the highest that the tree or the table names;
- the newest Python is what the tree lists, and where it lists none, what the table has. Nothing
  enforces it: packages then lack wheels and are built, or fail to. It is worth a warning;
- a release newer than the table has its last row.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from packaging.version import Version

ANY = Version("0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirements:
    """Minimums (`ANY` where any version will do), the newest Python known to work, and who says so."""

    python_min: Version
    python_max: Version | None
    postgresql_min: Version
    redis_min: Version
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    since: Version
    python_min: Version
    python_max: Version
    postgresql_min: Version
    redis_min: Version
    source: str


def _row(since: str, python: str, postgresql: str, redis: str, source: str) -> _Row:
    oldest, newest = python.split("..")
    return _Row(
        since=Version(since),
        python_min=Version(oldest),
        python_max=Version(newest),
        postgresql_min=Version(postgresql),
        redis_min=Version(redis),
        source=source,
    )


_MATRIX = "version history in NetBox's upgrade document"
# first release, Python oldest..newest, PostgreSQL, Redis; both bounds of Python are themselves fine
_ROWS = (
    _row("0", "3.5..3.7", "9.4", "0", _MATRIX),
    _row("2.8", "3.6..3.8", "9.4", "0", _MATRIX),
    _row("2.8.5", "3.6..3.8", "9.6", "0", "release notes of 2.8.5"),
    _row("2.9", "3.6..3.8", "9.6", "4.0", "upgrade document of 2.9"),
    _row("2.11", "3.6..3.9", "9.6", "4.0", _MATRIX),
    _row("3.0", "3.7..3.9", "9.6", "4.0", _MATRIX),
    _row("3.1", "3.7..3.9", "10", "4.0", _MATRIX),
    _row("3.2", "3.8..3.10", "10", "4.0", _MATRIX),
    # their own installation guide lists Python 3.11, the later matrix stops at 3.10
    _row("3.4", "3.8..3.11", "11", "4.0", "installation guide of 3.4"),
    _row("3.6", "3.8..3.11", "12", "4.0", _MATRIX),
    _row("4.0", "3.10..3.12", "12", "4.0", _MATRIX),
    # 4.2.0 was shipped with 12 in its text (netbox-community/netbox#18358)
    _row("4.2", "3.10..3.12", "13", "4.0", _MATRIX),
    # shipped with Redis 4.0 in their text, corrected later
    _row("4.3", "3.10..3.12", "14", "5.0", _MATRIX),
    _row("4.5", "3.12..3.14", "14", "5.0", _MATRIX),
    _row("4.7", "3.12..3.14", "15", "6.0", "announced in the upgrade document of 4.6"),
)

_CELLS = re.compile(r"^\s*\|\s*(Python|PostgreSQL|Redis)\s*\|\s*\**(\d[^|]*)\|", re.MULTILINE)
_NUMBER = re.compile(r"\d+(?:\.\d+)*")
_FOOTNOTE = re.compile(r"\[\^[^]]*\]")
_PYTHON_CHECK = re.compile(r"exit\(1 if sys\.version_info < \((\d+), ?(\d+)\)")
_DOCUMENTS = ("docs/installation/upgrading.md", "docs/installation/index.md")
_SCRIPT = "upgrade.sh"


def requirements_of_version(version: Version) -> Requirements:
    """Return what is known of a release without its tree (the table above)."""
    row = _row_of(version)
    return Requirements(
        python_min=row.python_min,
        python_max=row.python_max,
        postgresql_min=row.postgresql_min,
        redis_min=row.redis_min,
        source=row.source,
    )


def requirements_of_tree(files: Mapping[str, str], version: Version) -> Requirements:
    """Return what a release asks for by its own files, completed by the table above.

    `files` maps paths inside the tree to their text; a missing one is no error.
    """
    known = requirements_of_version(version)
    document, table = _dependency_table(files)
    check = _python_check(files)
    pythons = table.get("Python", ())
    says = [name for name, spoke in ((document, table), (_SCRIPT, check)) if spoke]
    return Requirements(
        python_min=max([known.python_min, *pythons[:1], *check]),
        python_max=pythons[-1] if len(pythons) > 1 else known.python_max,
        postgresql_min=max([known.postgresql_min, *table.get("PostgreSQL", ())[:1]]),
        redis_min=max([known.redis_min, *table.get("Redis", ())[:1]]),
        source=", ".join([*says, known.source]),
    )


def _row_of(version: Version) -> _Row:
    """Find the last row that begins at or before the release; a pre-release counts as its release."""
    release = Version(version.base_version)
    return [row for row in _ROWS if row.since <= release][-1]


def _dependency_table(files: Mapping[str, str]) -> tuple[str, dict[str, tuple[Version, ...]]]:
    """Read the first document that has the table: "Minimum Version" until 3.7, "Supported Versions" since 4.0."""
    for document in _DOCUMENTS:
        if table := dict(_rows(files.get(document, ""))):
            return document, table
    return "", {}


def _rows(text: str) -> Iterator[tuple[str, tuple[Version, ...]]]:
    for name, cell in _CELLS.findall(text):
        yield name, tuple(sorted(map(Version, _NUMBER.findall(_FOOTNOTE.sub("", cell)))))


def _python_check(files: Mapping[str, str]) -> tuple[Version, ...]:
    """Read the check that upgrade.sh makes since 3.2.0."""
    return tuple(Version(f"{major}.{minor}") for major, minor in _PYTHON_CHECK.findall(files.get(_SCRIPT, "")))
