"""The bounds that past releases need to be installed today.

Theory. A release pins what it names in requirements.txt and leaves the rest to the day of the
installation. Packages have moved on since, and past releases no longer come up: the worker cannot
import what rq dropped, the documentation is not built and upgrade.sh stops after the migration.
pip takes bounds for such packages from a constraints file (PIP_CONSTRAINT) without installing
anything by it, so the official upgrade.sh stays as it is.

Every row is an upper bound: it never asks for a package, and never for a newer one. Each was seen
to be needed: the pins are read from the tags, the imports from the wheels, and the documentation was
built with each release's own pins, with and without the bound.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from packaging.specifiers import SpecifierSet
from packaging.version import Version

from netpoint_remote.planning.inventory import NETPOINT, Product


@dataclass(frozen=True, slots=True, kw_only=True)
class Constraint:
    """One bound: for which releases of which products, why, and the thread it is known from."""

    package: str
    bound: str
    releases: SpecifierSet
    why: str
    thread: str
    products: tuple[str, ...] = ("netpoint", "netbox")  # NetPoint's releases carry NetBox's pins

    def __str__(self) -> str:
        return f"{self.package}{self.bound}"


CONSTRAINTS = (
    Constraint(
        package="rq",
        bound="<1.4",
        releases=SpecifierSet(">=2.7,<2.8.4"),
        why="django-rq 2.2.0 and 2.3.1 import UnpickleError, gone since rq 1.4: nothing starts",
        thread="netbox-community/netbox#4633",
    ),
    Constraint(
        package="rq",
        bound="<1.14",
        releases=SpecifierSet(">=2.8.4,<3.5.1"),
        why="django-rq up to 2.7.0 imports use_connection, gone since rq 1.14: the worker does not start",
        thread="netbox-community/netbox#12415",
    ),
    Constraint(
        package="rq",
        bound="<2",
        releases=SpecifierSet(">=3.5.1,<4.1.5"),
        why="django-rq 2.8 to 2.10 imports Connection, gone since rq 2.0: the worker does not start",
        thread="netbox-community/netbox#18001",
    ),
    Constraint(
        package="redis",
        bound="<6",
        releases=SpecifierSet(">=2.8.9,<3.5.1"),
        why="rq up to 1.13 hands the settings of its connection on, and redis 8 refuses its own: the worker loops",
        thread="rq/rq#2456",
    ),
    Constraint(
        package="redis",
        bound="<6",
        releases=SpecifierSet(">=3.5.1,<4.1.5"),
        why="rq 1.x was made for redis up to 5; 3.5.9 was seen to run with it",
        thread="rq/rq#2252",
    ),
    Constraint(
        package="mkdocs-autorefs",
        bound="<1.2",
        releases=SpecifierSet(">=3.2,<4.0.11"),
        why="mkdocstrings up to 0.25 gives autorefs no configuration: the documentation is not built",
        thread="mkdocstrings/autorefs#57",
    ),
    Constraint(
        package="mkdocs-autorefs",
        bound="<1.4",  # mkdocstrings 0.26 itself asks for 1.2 or later
        releases=SpecifierSet(">=4.0.11,<4.1.1"),
        why="mkdocstrings 0.26.0 gives autorefs no configuration: the documentation is not built",
        thread="mkdocstrings/autorefs#68",
    ),
    Constraint(
        package="setuptools",
        bound="<81",
        releases=SpecifierSet(">=2.7.9,<3.5.7"),
        why="gunicorn 20 imports pkg_resources, gone from newer setuptools: the service does not start on Python 3.12",
        thread="pypa/setuptools#5007",
    ),
)

_PINNED = re.compile(r"^\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[[^]]*\])?\s*[=<>!~]", re.MULTILINE)


def constraints_for(version: Version, product: Product = NETPOINT, *, requirements: str = "") -> tuple[Constraint, ...]:
    """Return the bounds a release needs.

    What the release's own requirements.txt (`requirements`, its text) bounds is left to it.
    """
    bounded = {_canonical(name) for name in _PINNED.findall(requirements)}
    return tuple(
        row
        for row in CONSTRAINTS
        if product.name in row.products
        and row.releases.contains(version, prereleases=True)
        and _canonical(row.package) not in bounded
    )


def constraints_file(constraints: Iterable[Constraint]) -> str:
    """Write a pip constraints file, each bound under the reason for it."""
    return "".join(f"# {row.why} ({row.thread})\n{row}\n" for row in constraints)


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
