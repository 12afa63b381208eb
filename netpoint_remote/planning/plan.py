"""The ordered steps of one host: which, in which phase, with which limits, and the variables they work with.

The order is the design's, not the document's: the new release is built beside and the link flipped
last, so that `current` is never half-built; the end state is the document's.
"""

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from netpoint_remote.planning.case import Case, is_repair, new_folder
from netpoint_remote.planning.facts import Backup
from netpoint_remote.planning.method import Method
from netpoint_remote.planning.tree_users import services_of
from netpoint_remote.planning.word import Word

MINUTE = 60


class Phase(Word):
    """When a step runs, as users of NetPoint feel it."""

    STAGE = "stage"
    WINDOW = "window"
    AFTER = "after"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One idempotent remote action, `remote/steps/<name>.sh`.

    `limit` is in seconds, for each of check, apply and undo. More than one of `tries` marks the step
    as transient. `usual_seconds` is what it took on a small server, None where that says nothing.
    """

    name: str
    title: str
    phase: Phase
    limit: int
    tries: int = 1
    usual_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The steps of one hop on one host, and the variables of `vars.sh` in order."""

    steps: tuple[Step, ...]
    variables: tuple[tuple[str, str], ...]


def _step(name: str, phase: Phase, title: str, *, minutes: int, tries: int = 1, usual: float | None = None) -> Step:
    return Step(name=name, title=title, phase=phase, limit=minutes * MINUTE, tries=tries, usual_seconds=usual)


# Limits are far from what is usual: they end what hangs, not what is slow. The usual times were taken on a small
# server with 2,000 sites and 5,000 prefixes.
RECORD_BEFORE = _step("record_before", Phase.STAGE, "Write down what undo needs", minutes=5, usual=1)
PROVE_RUNNING = _step(
    "prove_running", Phase.STAGE, "Prove the running release by what will prove the new one", minutes=15, usual=8
)
CHECK_RELEASE = _step(
    "check_release", Phase.STAGE, "Load the new release with this configuration and its plugins", minutes=60, usual=15
)
GUARD_BOOT = _step("guard_boot", Phase.STAGE, "Guard the window against a reboot", minutes=5, usual=1)
STAGE_PACKAGES = _step(
    "stage_packages",
    Phase.STAGE,
    "Fetch and build the Python packages while NetPoint serves",
    minutes=60,
    tries=4,
    usual=40,
)
STOP_SERVICES = _step("stop_services", Phase.WINDOW, "Stop the services", minutes=15, usual=3)
DUMP_DATABASE = _step(
    "dump_database", Phase.WINDOW, "Dump the database and read the dump back", minutes=12 * 60, usual=1
)
SEAL_BACKUP = _step("seal_backup", Phase.WINDOW, "Seal the backup: manifest and checksums", minutes=60, usual=1)
RUN_UPGRADE = _step("run_upgrade", Phase.WINDOW, "Run the official upgrade.sh", minutes=24 * 60, usual=55)
PROVE_BESIDE = _step("prove_beside", Phase.WINDOW, "Prove the new release on a private socket", minutes=15, usual=6)
FLIP_LINK = _step("flip_link", Phase.WINDOW, "Point the link to the release", minutes=5, usual=1)
CHECKOUT_TAG = _step("checkout_tag", Phase.WINDOW, "Check the release out", minutes=30, usual=1)
UPDATE_UNITS = _step("update_units", Phase.WINDOW, "Update units from before virtual environments", minutes=5, usual=1)
START_SERVICES = _step(
    "start_services", Phase.WINDOW, "Start the services and wait for the login page", minutes=15, usual=6
)
PROVE_IN_PLACE = _step(
    "prove_in_place", Phase.AFTER, "Watch the services and prove the pages in place", minutes=15, usual=36
)
SCHEDULE_HOUSEKEEPING = _step(
    "schedule_housekeeping", Phase.AFTER, "See that housekeeping is scheduled", minutes=5, usual=1
)
LIFT_GUARD = _step("lift_guard", Phase.AFTER, "Take the guard away", minutes=5, usual=1)

ARCHIVE_STEPS = (
    RECORD_BEFORE,
    PROVE_RUNNING,
    _step("fetch_release", Phase.STAGE, "Fetch the verified archive", minutes=60, tries=5, usual=3),
    _step("unpack_release", Phase.STAGE, "Unpack it next to the running release", minutes=30, usual=1),
    _step("carry_over", Phase.STAGE, "Copy the configuration and other local files", minutes=30, usual=1),
    _step("copy_files", Phase.STAGE, "Copy media, scripts and reports", minutes=24 * 60),
    STAGE_PACKAGES,
    CHECK_RELEASE,
    GUARD_BOOT,
    STOP_SERVICES,
    DUMP_DATABASE,
    SEAL_BACKUP,
    _step("sync_files", Phase.WINDOW, "Bring what was uploaded or changed since", minutes=6 * 60, usual=1),
    RUN_UPGRADE,
    PROVE_BESIDE,
    FLIP_LINK,
    UPDATE_UNITS,
    START_SERVICES,
    PROVE_IN_PLACE,
    SCHEDULE_HOUSEKEEPING,
    LIFT_GUARD,
)
SET_ASIDE = _step("set_aside", Phase.WINDOW, "Keep the old environment and static files aside", minutes=30, usual=1)
GIT_STEPS = (
    RECORD_BEFORE,
    PROVE_RUNNING,
    _step("fetch_tag", Phase.STAGE, "Fetch the release's tag", minutes=60, tries=5, usual=3),
    STAGE_PACKAGES,
    CHECK_RELEASE,
    GUARD_BOOT,
    STOP_SERVICES,
    DUMP_DATABASE,
    SEAL_BACKUP,
    SET_ASIDE,
    CHECKOUT_TAG,
    RUN_UPGRADE,
    PROVE_BESIDE,
    UPDATE_UNITS,
    START_SERVICES,
    PROVE_IN_PLACE,
    SCHEDULE_HOUSEKEEPING,
    LIFT_GUARD,
)
# The release is there and not in service: upgrade.sh is run again, with the same safety around it.
REPAIR_STEPS = tuple(step for step in GIT_STEPS if step.name not in {"prove_running", "fetch_tag", "checkout_tag"})


CHECK_BACKUP = _step("check_backup", Phase.STAGE, "Verify that the backup is complete", minutes=60, usual=1)
COUNT_LOSSES = _step("count_losses", Phase.WINDOW, "Count the changes that would be discarded", minutes=15, usual=1)
PUT_DATABASE_BACK = _step(
    "put_database_back", Phase.WINDOW, "Put the database of the backup back", minutes=12 * 60, usual=5
)
TAKE_FROM_ASIDE = _step(
    "take_from_aside", Phase.WINDOW, "Take the old environment and static files back", minutes=30, usual=1
)
PUT_FILES_BACK = _step("put_files_back", Phase.WINDOW, "Put files of the backup back", minutes=6 * 60, usual=1)
PUT_UNITS_BACK = _step(
    "put_units_back", Phase.WINDOW, "Put back unit files that the upgrade changed", minutes=5, usual=1
)
PUT_SCHEDULE_BACK = _step(
    "put_schedule_back", Phase.AFTER, "Schedule housekeeping as it was before the upgrade", minutes=5, usual=1
)
MARK_ROLLED_BACK = _step(
    "mark_rolled_back", Phase.AFTER, "Remember that the release was rolled back", minutes=5, usual=1
)
SAVE_FILES = _step(
    "save_files", Phase.STAGE, "Save configuration, local files, media, scripts and reports", minutes=24 * 60
)
VERIFY_RESTORE = _step(
    "verify_restore", Phase.STAGE, "Restore the dump into a scratch database and count its rows", minutes=12 * 60
)


BACKUP_STEPS = (
    RECORD_BEFORE,
    replace(DUMP_DATABASE, phase=Phase.STAGE),
    SAVE_FILES,
    VERIFY_RESTORE,
    replace(SEAL_BACKUP, phase=Phase.STAGE),
)
# Of these a way back has those that its method, its release and its backup need.
ROLLBACK_STEPS = (
    RECORD_BEFORE,
    CHECK_BACKUP,
    GUARD_BOOT,
    STOP_SERVICES,
    COUNT_LOSSES,
    DUMP_DATABASE,
    SEAL_BACKUP,
    PUT_DATABASE_BACK,
    SET_ASIDE,
    CHECKOUT_TAG,
    TAKE_FROM_ASIDE,
    PUT_FILES_BACK,
    FLIP_LINK,
    PUT_UNITS_BACK,
    START_SERVICES,
    PROVE_IN_PLACE,
    PUT_SCHEDULE_BACK,
    MARK_ROLLED_BACK,
    LIFT_GUARD,
)


def make_backup_plan(case: Case, *, verify: bool) -> Plan:
    """Return what a backup does, while NetPoint serves; `verify` restores it into a scratch database too."""
    left_out = set() if verify else {VERIFY_RESTORE}
    variables = dict(_known(case)) | {"GOAL": "saved", "PURPOSE": "backup", "UPLOADS": "\n".join(uploads(case))}
    steps = tuple(step for step in BACKUP_STEPS if step not in left_out)
    return Plan(steps=steps, variables=tuple(variables.items()))


def make_rollback_plan(case: Case, backup: Backup, *, accept_loss: bool) -> Plan:
    """Return what going back to a backup does; the way has no blocking problem.

    What is left is dumped first, so that the way back can itself be undone.
    """
    git, other = case.method is Method.GIT, leads_elsewhere(case, backup)
    left_out: set[Step] = set() if other else {MARK_ROLLED_BACK}
    left_out |= set() if git and other else {SET_ASIDE, CHECKOUT_TAG, TAKE_FROM_ASIDE}
    left_out |= set() if other and not git else {FLIP_LINK}
    left_out |= set() if backup.files_size else {PUT_FILES_BACK}
    new = case.facts.real if git else backup.tree
    variables = dict(_known(case)) | {
        "GOAL": "rolled-back",
        "PURPOSE": "rollback",
        "NEW": new,
        "VERSION": backup.version,
        "TREE_VERSION": backup.version,
        "FROM": backup.id,
        "ACCEPT_LOSS": "yes" if accept_loss else "",
        "ASIDE": aside_folder(case, _left(case, backup)),
        "ASIDE_BACK": aside_folder(case, backup.version) if other else "",
        "TAG": backup.ref or backup.commit,
        "COMMIT": backup.commit,
    }
    steps = tuple(step for step in ROLLBACK_STEPS if step not in left_out)
    return Plan(steps=steps, variables=tuple(variables.items()))


def _left(case: Case, backup: Backup) -> str:
    """Name what a way back leaves, so that of the same version it does not take the place of what is wanted."""
    version = case.facts.disk_version
    return f"{version}.left" if version == backup.version else version


def leads_elsewhere(case: Case, backup: Backup) -> bool:
    """Whether a backup belongs to another tree, or another commit, than what is current."""
    if case.method is Method.GIT:
        return backup.commit != case.facts.commit
    return backup.tree != case.facts.real


def make_plan(case: Case) -> Plan:
    """Return what an upgrade of this host to its target does; the case has no blocking problem."""
    in_full = GIT_STEPS if case.method is Method.GIT else ARCHIVE_STEPS
    steps = REPAIR_STEPS if is_repair(case) else in_full
    if case.repair_broken:
        steps = tuple(step for step in steps if step is not PROVE_RUNNING)
    return Plan(steps=steps, variables=tuple(_variables(case)))


def _variables(case: Case) -> Iterator[tuple[str, str]]:
    target = case.target
    assert target is not None  # noqa: S101  make_plan is for upgrades
    upgrade = {
        "NEW": str(new_folder(case)),
        "VERSION": target.text,
        "TREE_VERSION": target.tree_version,
        "FOLDERS": "\n".join(folders_to_copy(case)),
        "PLUGINS": "\n".join(plugins(case)),
        "ARCHIVE_SHA256": target.sha256,
        "TAG": target.tag,
        "COMMIT": target.commit,
    }
    yield from (dict(_known(case)) | upgrade).items()


def _known(case: Case) -> Iterator[tuple[str, str]]:
    """Yield what every plan's steps work with: the host as it is."""
    host, facts = case.host, case.facts
    yield "GOAL", "upgraded"
    yield "PURPOSE", "upgrade"
    yield "HOST", host.name
    yield "PRODUCT", host.product.name
    yield "METHOD", case.method.value
    yield "ROOT", str(host.root)
    yield "OLD", facts.real
    yield "NEW", facts.real
    yield "OLD_VERSION", facts.disk_version
    yield "VERSION", facts.disk_version
    yield "TREE_VERSION", facts.disk_version
    yield "SERVICES", " ".join(services_of(case))
    yield "STATE_DIR", str(host.state_dir)
    yield "BACKUP_DIR", str(host.backup_dir)
    yield "CRON_DIR", str(host.cron_dir)
    yield "PYTHON", host.python or ""
    yield "HEALTH_URL", host.health_url or ""
    yield "ASIDE", aside_folder(case, facts.disk_version)


def aside_folder(case: Case, version: str) -> str:
    """Return where a release in place keeps what upgrade.sh would destroy: on its own disk, out of git's sight."""
    if case.method is Method.GIT:
        return f"{case.facts.git_folder or f'{case.facts.real}/.git'}/netpoint-remote/{version}"
    return f"{case.facts.real}/.netpoint-remote/{version}"


def plugins(case: Case) -> tuple[str, ...]:
    """Return the top packages of the plugins that the configuration names."""
    named = case.facts.configuration.get("PLUGINS")
    packages = [str(name).partition(".")[0] for name in named] if isinstance(named, list) else []
    return tuple(package for package in packages if package.isidentifier())


def uploads(case: Case) -> tuple[str, ...]:
    """Return the folders of uploaded files, wherever they are configured to be."""
    product = case.host.product.name
    return tuple(
        posixpath.normpath(PurePosixPath(case.facts.real) / _without_root(case, configured))
        for configured in (
            str(case.facts.configuration.get(key) or f"{product}/{name}") for key, name in UPLOAD_SETTINGS
        )
    )


def _without_root(case: Case, configured: str) -> PurePosixPath:
    path = PurePosixPath(posixpath.normpath(configured))
    return path.relative_to(case.host.root) if case.host.root in path.parents else path


UPLOAD_SETTINGS = (("MEDIA_ROOT", "media"), ("SCRIPTS_ROOT", "scripts"), ("REPORTS_ROOT", "reports"))


def folders_to_copy(case: Case) -> tuple[str, ...]:
    """Return the folders of uploaded files inside the old tree, relative to it.

    "If these are stored outside the project root, you will not need to copy them" (the upgrade
    document, step 3): MEDIA_ROOT, SCRIPTS_ROOT and REPORTS_ROOT say where they are.
    """
    return tuple(_uploads_inside(case).values())


def uploads_to_copy(case: Case) -> tuple[str, ...]:
    """Return the names of the folders of uploaded files that an upgrade copies: inside the old tree, behind no link."""
    return tuple(name for name in _uploads_inside(case) if name not in case.facts.linked)


def _uploads_inside(case: Case) -> dict[str, str]:
    """Return where the folders of uploaded files lie in the old tree, by their names."""
    usual = case.host.root / case.host.product.name
    found = {
        name: _inside(case, name, str(case.facts.configuration.get(key) or usual / name))
        for key, name in UPLOAD_SETTINGS
    }
    return {name: folder for name, folder in found.items() if folder}


def _inside(case: Case, name: str, configured: str) -> str | None:
    """Return where a folder lies in the release, by the root's names or by another link to it."""
    path = PurePosixPath(posixpath.normpath(case.host.root / configured))
    for tree in (case.host.root, PurePosixPath(case.facts.real)):
        if tree in path.parents:
            return str(path.relative_to(tree))
    return dict(case.facts.inside).get(name)
