"""The release a host is to get, with all that judging and planning need of it, and nothing that is read from a disk."""

from dataclasses import dataclass, field

from packaging.version import Version

from netpoint_remote.planning.constraints import Constraint
from netpoint_remote.planning.requirements import Requirements


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A verified release for one install method.

    `text` is the version as asked for, `tree_version` what the release says of itself (the released
    NetPoint 3.7.2 says 3.7.3-dev). Archives have `sha256`, `url` (None: it must be pushed) and sizes
    in MiB; checkouts have `tag`, `commit` and `remote` (empty: the checkout's own origin),
    and `paths`, every file that the release brings.
    """

    text: str
    version: Version
    tree_version: str
    requirements: Requirements
    remarks: tuple[str, ...] = ()
    constraints: tuple[Constraint, ...] = ()
    sha256: str = ""
    url: str | None = None
    archive_mb: int = 0
    unpacked_mb: int = 0
    tag: str = ""
    commit: str = ""
    remote: str = ""
    paths: frozenset[str] = field(default=frozenset(), repr=False)
