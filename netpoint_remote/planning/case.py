"""One host as it is and what it shall become, and what follows from the two."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from packaging.version import Version

from netpoint_remote.planning.facts import Facts
from netpoint_remote.planning.inventory import Host
from netpoint_remote.planning.method import Method, method_of
from netpoint_remote.planning.target import Target
from netpoint_remote.planning.unit_names import UNIT_NAME, shortened, with_ending
from netpoint_remote.planning.version import NotAVersion, parse_version


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One host as it is, and what it shall become (None: only look).

    `repair_broken` where the operator knows that the running release does not work.
    """

    host: Host
    facts: Facts
    target: Target | None
    last_minors: Mapping[int, int]
    repair_broken: bool = False

    @property
    def method(self) -> Method:
        return method_of(self.facts)

    @property
    def services(self) -> tuple[str, ...]:
        """The units that the hosts file names, by the names that systemd has for them: some are aliases."""
        return tuple(dict.fromkeys(map(self._own_name, self.host.services)))

    def _own_name(self, service: str) -> str:
        unit = self.facts.unit(service)
        if unit is None or unit.name == with_ending(service) or not UNIT_NAME.fullmatch(unit.name):
            return service
        return shortened(unit.name)

    @property
    def installed(self) -> Version | None:
        try:
            return parse_version(self.facts.disk_version)
        except NotAVersion:
            return None

    def crosses(self, release: str) -> bool:
        """Whether the way from the installed release to the target leads to or over this one."""
        installed = self.installed
        return bool(self.target and installed and installed < Version(release) <= self.target.version)


def is_repair(case: Case) -> bool:
    """Whether the target is installed already and only not in service: then upgrade.sh is run again in place."""
    target = case.target
    if target is None or case.facts.disk_version != target.tree_version:
        return False
    return case.method is not Method.GIT or case.facts.commit == target.commit


def new_folder(case: Case) -> PurePosixPath:
    """Return where the new tree is: beside the old one and named like it, or the checkout itself.

    `/opt/netpoint-3.4.9` becomes `/opt/netpoint-3.5.0`; a folder without its version in its name gets
    the document's name, the link's with the version behind it.
    """
    old, version = PurePosixPath(case.facts.real), case.target.text if case.target else ""
    if case.method is Method.GIT or is_repair(case):
        return old
    installed = case.facts.disk_version
    if installed and installed in old.name:
        return old.with_name(old.name.replace(installed, version))
    return old.parent / f"{case.host.root.name}-{version}"


def is_as_asked(case: Case) -> bool:
    """Whether the host already runs the target, judged by files, service, pages and the database's record alike."""
    facts, target = case.facts, case.target
    if target is None or facts.disk_version != target.tree_version or facts.interrupted:
        return False
    if case.method is Method.GIT and target.commit and facts.commit != target.commit:
        return False
    return not any(ailments(case))


def ailments(case: Case) -> Iterator[str]:
    """Say what keeps an installed release from being in service."""
    facts = case.facts
    for service in case.services:
        unit = facts.unit(service)
        if unit is None or not unit.runs:
            yield f"the service {service} is not running"
    if facts.database.error:
        yield f"the database does not answer: {facts.database.error}"
    elif facts.database.unapplied:
        yield f"migrations are not applied: {facts.database.unapplied}"
    if facts.page.error or facts.page.login != "200":
        where = f" at {facts.page.address}" if facts.page.address else ""
        yield f"the login page does not answer{where}: {facts.page.error or facts.page.login or 'nothing'}"
    for version in dict.fromkeys(said for source, said in facts.page.versions if source in {"page", "status"}):
        if not _same_release(version, facts.disk_version):
            yield f"version {version} is running, {facts.disk_version} is installed"
    if facts.page.static.startswith("missing"):
        yield "a static file is missing"
    if facts.page.static.startswith("of "):
        yield f"users get a static file {facts.page.static}"


def _same_release(running: str, installed: str) -> bool:
    return running == installed or running.startswith(f"{installed}-")
