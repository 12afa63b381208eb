"""The version-path rule of the upgrade document.

Theory. NetPoint "can generally be upgraded directly to any newer release with no interim steps,
with the one exception being incrementing major versions. This can be done only from the most
recent minor release of the major version" (the upgrade document, introduction). The reason is the
consolidation of database migrations: a new major ships one squashed migration in place of many,
and Django refuses to build its graph when only some of the replaced ones were applied. So a major
is a room with one door: whatever the release, one leaves it only from its last minor.

`LAST_MINOR` is the list of those doors. Everything else follows from it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from packaging.version import Version

# major: its last minor, and where that is said
LAST_MINOR: Mapping[int, int] = {
    1: 9,  # the released minors end there
    2: 11,  # the upgrade document, introduction: "must first be upgraded to any v2.11 release"
    3: 7,  # NetBox's upgrade document since 4.0 (netbox-community/netbox#14853)
}

# major entered: (app, migration) that a database must have recorded before (knowledge of #8961, #14853)
DOOR_MIGRATION: Mapping[int, tuple[str, str]] = {
    3: ("dcim", "0130_sitegroup"),
    4: ("dcim", "0182_zero_length_cable_fix"),
}


class NotAVersion(ValueError):  # noqa: N818  a ValueError by what it means, not an error of ours
    """The text is not the version of a release."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """One upgrade of a path: to this exact release, or to any release of `minor` where `to` is None."""

    minor: str
    to: Version | None = None

    def __str__(self) -> str:
        return str(self.to) if self.to else f"{self.minor}.x"


def parse_version(text: str) -> Version:
    """Read `3.5.0`, `v3.5.0`, `3.7.3-dev` or `3.5.0-Docker-2.5`.

    Raises:
        NotAVersion: for anything else.
    """
    plain = text.strip().removeprefix("v").split("-Docker", 1)[0]
    try:
        return Version(plain)
    except ValueError:  # InvalidVersion, or a number that is longer than Python reads
        raise NotAVersion(f"{text!r} is not a version such as 3.5.0") from None


def last_minor(major: int, extra: Mapping[int, int] | None = None) -> int | None:
    """Return the last minor of a major, None while that major is still open."""
    return {**LAST_MINOR, **(extra or {})}.get(major)


def path(installed: Version, target: Version, *, extra: Mapping[int, int] | None = None) -> tuple[Hop, ...]:
    """Return the hops from `installed` to `target`, none when there is nothing to climb.

    An open major (one without a known last minor) that would have to be left has no path.

        >>> [str(hop) for hop in path(Version("2.10.10"), Version("3.5.0"))]
        ['2.11.x', '3.5.0']

    Raises:
        ValueError: when a major on the way has no known last minor.
    """
    hops = []
    for major in range(installed.major, target.major):
        minor = last_minor(major, extra)
        if minor is None:
            raise ValueError(f"the last minor release of {major}.x is unknown; set `last_minors`")
        if (major, minor) != (installed.major, installed.minor):
            hops.append(Hop(minor=f"{major}.{minor}"))
    if installed < target:
        hops.append(Hop(minor=f"{target.major}.{target.minor}", to=target))
    return tuple(hops)


def next_hop(installed: Version, target: Version, *, extra: Mapping[int, int] | None = None) -> Hop | None:
    """Return the first hop of the path, None when there is nothing to climb.

    Raises:
        ValueError: as `path`.
    """
    return next(iter(path(installed, target, extra=extra)), None)
