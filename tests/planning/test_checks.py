"""The pre-flight: each check finds what it is for and keeps quiet about what is just right."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from netpoint_remote.planning.case import Case
from netpoint_remote.planning.checks import CHECKS, find_problems, installation, needs, server, shared_databases, tree
from netpoint_remote.planning.facts import Facts, Interpreter, Tree, parse_facts
from netpoint_remote.planning.inventory import Host, Product
from netpoint_remote.planning.problem import Problem
from netpoint_remote.planning.tree_facts import CronJob, Mention, Process, Session, TreeUnit
from netpoint_remote.planning.tree_users import companions, unlisted_units
from tests.builders import TOOLS, case, database, disk, facts, host, page, target, unit

Check = Callable[[Case], object]
LEFTOVER = Tree(path="/opt/netpoint-3.5.0", version="", ours=False)
OLD_PYTHON = Interpreter(path="/usr/bin/python3", version="3.7.3", makes_venv=True)
NEW_PYTHON = Interpreter(path="/usr/bin/python3.11", version="3.11.2", makes_venv=True)


def without(*tools: str) -> tuple[str, ...]:
    return tuple(tool for tool in TOOLS if tool not in tools)


def units(**changes: object) -> tuple[object, ...]:
    return (unit("netpoint", **changes), unit("netpoint-rq"))


def requirements(**changes: object) -> object:
    return target(requirements=replace(target().requirements, **changes))


def runs(command: str) -> Facts:
    return facts(units=units(command=f"{{ path={command} ; argv[]={command} }}"))


def running(name: str, **changes: object) -> TreeUnit:
    return replace(TreeUnit(name=name, active="active", kind="simple", user="netpoint", in_tree=True), **changes)


def timer(*triggers: str) -> TreeUnit:
    return TreeUnit(name="often.timer", active="active", triggers=triggers)


def process(unit: str, **changes: object) -> Process:
    return replace(
        Process(number=7, unit=unit, user="netpoint", tree="/opt/netpoint-3.4.9", command="python3 x"), **changes
    )


def names_it(kind: str, file: str, **changes: object) -> Mention:
    return replace(
        Mention(kind=kind, tree="/opt/netpoint-3.4.9", path="/opt/netpoint-3.4.9", file=file, line=3), **changes
    )


WORKER = running("netpoint-rq.service")
SYNC = running("sync.service", active="inactive", kind="oneshot")
UNIT_FILE = "/etc/systemd/system/netpoint.service"
JOB = CronJob(file="/etc/cron.d/sync", line=2, often=True)
ELSEWHERE = Session(address="10.0.0.2", elsewhere=True)
FIGURES = Session(application="psql", process=7, unit="figures.service", user="netpoint", command="psql", seconds=30)
MEDIA = "/opt/netpoint-3.4.9/netpoint/media"

# check, what it finds, its code, where it is found, and a case that is just right
ERRORS: tuple[tuple[Check, str, str, Case, Case], ...] = (
    (installation.probe_is_whole, "a probe that was cut off", "probe", case(facts(complete=False)), case()),
    (installation.places_are_writable, "a place that may not be written to", "permission",
     case(facts(unwritable=("/var/lib",))), case(facts(unwritable=()))),
    (installation.places_are_safe, "a folder that others may write to on the way", "unsafe-place",
     case(facts(weak=("everybody may write to /srv",))), case(facts(weak=()))),
    (installation.installation_is_known, "nothing at the root", "install-method",
     case(facts(link=None, folder=False, tree=False)), case()),
    (installation.installation_is_known, "a container", "install-method",
     case(facts("3.4.9-Docker-2.5")), case(facts("3.4.9"))),
    (installation.installation_is_known, "a compose folder", "install-method", case(facts(docker=True)), case()),
    (installation.installation_is_known, "a Python package", "install-method",
     case(facts(pip=True, tree=False)), case()),
    (installation.installation_is_known, "a link to a git checkout", "install-method",
     case(facts(git=True, link="/srv/checkout", real="/srv/checkout")), case(facts(git=True))),
    (installation.installation_is_known, "a plain folder", "install-method",
     case(facts(link=None, real="/opt/netpoint")), case()),
    (installation.installation_is_known, "a folder without a release", "install-method",
     case(facts(upgrade_script=False)), case()),
    (installation.folder_is_plain, "a blank in the release's folder", "install-path",
     case(facts(link="/opt/net point-3.4.9", real="/opt/net point-3.4.9")), case()),
    (installation.version_is_known, "a version that cannot be read", "version",
     case(facts(disk_version="")), case()),
    (installation.version_is_known, "an installed pre-release", "version",
     case(facts(disk_version="3.5-beta2")), case(facts("3.4.9"))),
    (installation.units_are_writable, "units that cannot be changed", "permission",
     case(facts(unwritable_units=("/etc/systemd/system",))), case()),
    (installation.schedule_is_writable, "housekeeping that cannot be scheduled", "permission",
     case(facts(unwritable_cron="/etc/cron.daily", housekeeping="dangling")),
     case(facts(unwritable_cron="/etc/cron.daily"))),
    (installation.schedule_is_writable, "housekeeping that a release needs", "permission",
     case(facts(unwritable_cron="/etc/cron.daily", housekeeping=""), to="4.3.7"),
     case(facts(unwritable_cron="/etc/cron.daily", housekeeping=""), to="4.4.0")),
    (server.socket_has_its_place, "a socket at the top of the release", "socket",
     case(facts(bind="unix:/opt/netpoint/http.sock")), case(facts(bind="unix:/opt/netpoint/run/http.sock"))),
    (server.socket_has_its_place, "a socket in the product's folder", "socket",
     case(facts(bind="unix:///opt/netpoint-3.4.9/netpoint/http.sock")),
     case(facts(bind="unix:/opt/netpoint/http.sock", units=(unit("netpoint", user="root"),)))),
    (installation.path_is_allowed, "a skipped last minor", "version-path",
     case(facts("2.10.10"), to="3.5.0"), case(facts("2.11.12"), to="3.5.0")),
    (installation.path_is_allowed, "a major whose door nobody knows", "version-path",
     case(facts("4.6.8"), to="5.0.0"), case(facts("4.5.0"), to="4.6.8")),
    (installation.path_is_allowed, "a downgrade", "downgrade",
     case(facts("3.5.0"), to="3.4.9"), case(facts("3.5.0"), to="3.5.0")),
    (installation.path_is_allowed, "a pre-release that is asked for", "version",
     case(to="3.5-beta1"), case(to=target("3.7.2", tree_version="3.7.3-dev"))),
    (installation.database_is_at_the_door, "a database that lags behind its tree", "version-path",
     case(facts("2.11.12", database=database("2.10.10")), to="3.5.0"), case(facts("2.11.12"), to="3.5.0")),
    (needs.python_is_right, "no Python", "python", case(facts(interpreters=())), case()),
    (needs.python_is_right, "not the Python that was asked for", "python",
     case(on=host(python="/usr/bin/python3.9")), case(on=host(python="/usr/bin/python3"))),
    (needs.python_is_right, "another Python of that name", "python",
     case(facts(interpreters=(NEW_PYTHON,)), on=host(python="/opt/bin/python3.11")),
     case(facts(interpreters=(NEW_PYTHON,)), on=host(python="/usr/bin/python3.11"))),
    (needs.python_is_right, "an old Python", "python", case(facts(python="3.7.9")), case(facts(python="3.8.0"))),
    (needs.python_is_right, "a Python without venv", "venv",
     case(facts(interpreters=(replace(NEW_PYTHON, path="/usr/bin/python3", makes_venv=False),))), case()),
    (needs.postgresql_is_right, "a database that does not answer", "database",
     case(facts(database=database(error="connection refused"))), case()),
    (needs.postgresql_is_right, "an old PostgreSQL", "postgresql",
     case(facts(database=database(server_version_num=100023))),
     case(facts(database=database(server_version_num=110022)))),
    (needs.postgresql_is_right, "a PostgreSQL from before 10", "postgresql",
     case(facts("2.10.10", database=database("2.10.10", server_version_num=90524)), to="2.11.12"),
     case(facts("2.10.10", database=database("2.10.10", server_version_num=90624)), to="2.11.12")),
    (needs.database_can_be_migrated, "a role that may not create", "database",
     case(facts(database=database(can_create=False))), case()),
    (needs.database_can_be_migrated, "tables of another role", "database",
     case(facts(database=database(foreign_owned=("spatial, of gis",)))), case()),
    (needs.database_can_be_dumped, "tables that the role may not read", "database",
     case(facts(database=database(unreadable=("datadog.seen",)))), case()),
    (needs.database_can_be_migrated, "a replica", "database",
     case(facts(database=database(in_recovery=True))), case()),
    (needs.database_can_be_migrated, "a database that is ahead", "database",
     case(facts(database=database(ahead="dcim.0172_new"))),
     case(facts(database=database(ahead="dcim.0172_new"), run_id="r1"))),
    (needs.rows_fit_the_migrations, "names that differ only in case", "data",
     case(facts("3.3.4", database=database("3.3.4", duplicate_devices=1, duplicate_vms=1)), to="3.4.9"),
     case(facts("3.4.0", database=database("3.4.0", duplicate_devices=1)), to="3.4.9")),
    (needs.rows_fit_the_migrations, "contacts of sites", "data",
     case(facts("3.1.11", database=database("3.1.11", legacy_sites=2)), to="3.2.0"),
     case(facts("3.1.11", database=database("3.1.11", legacy_sites=2)), to="3.2.0",
          on=host(environment=(("NETPOINT_DELETE_LEGACY_DATA", "1"),)))),
    (needs.rows_fit_the_migrations, "contacts of providers", "data",
     case(facts("3.3.4", database=database("3.3.4", legacy_providers=2)), to="3.4.9"),
     case(facts("3.1.11", database=database("3.1.11", legacy_providers=2)), to="3.3.4")),
    (needs.pg_dump_is_right, "no PostgreSQL client", "pg_dump", case(facts(tools=without("pg_restore"))), case()),
    (needs.pg_dump_is_right, "a pg_dump that is older than its server", "pg_dump",
     case(facts(pg_dump_version="pg_dump (PostgreSQL) 14.9")),
     case(facts(pg_dump_version="pg_dump (PostgreSQL) 16beta1"))),
    (needs.redis_is_right, "a Redis that does not answer", "redis",
     case(facts(redis=(("tasks", "error: timed out"),))), case(facts(redis=(("tasks", "unknown (sentinels)"),)))),
    (needs.redis_is_right, "an old Redis", "redis",
     case(facts(redis=(("tasks", "3.2.12"),))), case(facts(redis=(("tasks", "4.0.0"),)))),
    (needs.configuration_is_right, "a configuration that cannot be read", "configuration",
     case(facts(configuration_error="SyntaxError")), case()),
    (needs.configuration_is_right, "a configuration that lacks keys", "configuration",
     case(facts(missing_keys=("REDIS",))), case()),
    (needs.configuration_is_right, "a short SECRET_KEY", "configuration",
     case(facts(secret_key_length=49)), case(facts("3.5.0", secret_key_length=49), to="3.5.1")),
    (needs.local_packages_are_listed, "LDAP that will be gone", "packages",
     case(facts(ldap=True, configuration={"REMOTE_AUTH_BACKEND": "netpoint.authentication.LDAPBackend"})),
     case(facts(ldap=True, local_requirements=("django-auth-ldap",)))),
    (server.tools_are_there, "a missing tool", "tools", case(facts(tools=without("flock"))), case()),
    (server.tools_are_there, "no git for a checkout", "tools",
     case(facts(git=True, tools=without("git"))), case(facts(tools=without("git")))),
    (server.units_are_right, "a unit that is not there", "service",
     case(facts(units=(unit("netpoint"),))), case()),
    (server.units_are_right, "a unit that systemd does not find", "service",
     case(facts(units=units(load="not-found"))), case()),
    (server.units_are_right, "a unit of which no name is known", "service",
     case(facts(units=(unit("web", names=("x.service",)), unit("netpoint-rq")))),
     case(facts(units=(unit("web", names=("netpoint.service", "web.service")), unit("netpoint-rq"))))),
    (server.units_are_right, "a unit that runs a release's own folder", "service",
     case(runs("/opt/netpoint-3.4.9/venv/bin/gunicorn")), case(runs("/opt/netpoint/venv/bin/gunicorn"))),
    (server.services_are_running, "a service that is down", "service",
     case(facts(units=units(active="failed"))), case()),
    (server.services_are_running, "a service that is started again and again", "service",
     case(facts(units=units(active="activating", sub="auto-restart", restarts=9))),
     case(facts(units=units(restarts=9)))),
    (server.services_are_running, "a service that is up for a moment each time", "service",
     case(facts(units=units(restarts=9, seconds_up=2))), case(facts(units=units(restarts=9, seconds_up=4000)))),
    (tree.tree_users_are_known, "a look at the processes that failed", "probe",
     case(facts(tree_users_error="OSError: x")), case()),
    (tree.nothing_goes_on, "a worker of another name", "not-in-services",
     case(facts(tree_units=(WORKER, running("jobs.service")))),
     case(facts(tree_units=(WORKER, running("jobs.service"))), on=host(services=("netpoint", "netpoint-rq", "jobs")))),
    (tree.nothing_goes_on, "a worker of another user", "not-in-services",
     case(facts(tree_units=(running("netpoint-rq2.service", user="ann"),))),
     case(facts(tree_units=(running("netpoint-rq2.service"),)))),
    (tree.nothing_goes_on, "a worker that is started again and again", "not-in-services",
     case(facts(tree_units=(running("jobs.service", active="activating"),))),
     case(facts(tree_units=(running("jobs.service", active="inactive"),)))),
    (tree.nothing_goes_on, "a timer that starts something out of the release", "not-in-services",
     case(facts(tree_units=(SYNC, timer("sync.service")))),
     case(facts(tree_units=(replace(SYNC, in_tree=False), timer("sync.service"))))),
    (tree.nothing_goes_on, "supervisor", "service",
     case(facts(processes=(process("supervisor.service"),))), case(facts(processes=(process("netpoint.service"),)))),
    (tree.nothing_goes_on, "a process that somebody has started by hand", "process",
     case(facts(processes=(process("session-3.scope"),))), case()),
    (tree.nothing_goes_on, "a process of an older release", "process",
     case(facts(processes=(process("", tree="/opt/netpoint-3.4.8"),))), case()),
    (tree.nothing_goes_on, "a process that no interrupted run has left", "process",
     case(facts(processes=(process(""),))),
     case(facts(processes=(process(""),), run_id="r1", tree_units=(running("netpoint-remote-r1.service"),)))),
    (tree.nothing_goes_on, "a job of cron that starts all the time", "cron",
     case(facts(cron_jobs=(JOB,))),
     case(facts(cron_jobs=(JOB,)), on=host(services=("netpoint", "netpoint-rq", "cron")))),
    (tree.nobody_else_is_connected, "another server in the database", "sessions",
     case(facts(sessions=(ELSEWHERE,))), case(facts(sessions=(replace(ELSEWHERE, elsewhere=False),)))),
    (tree.nobody_else_is_connected, "a program of the server itself in the database", "sessions",
     case(facts(sessions=(FIGURES,))), case(facts(sessions=(replace(FIGURES, seconds=29),)))),
    (tree.nobody_else_is_connected, "a program in the database that is no worker", "sessions",
     case(facts(sessions=(FIGURES,), tree_units=(WORKER,))),
     case(facts(sessions=(replace(FIGURES, unit=WORKER.name),), tree_units=(WORKER,)))),
    (tree.nobody_else_is_connected, "a program in the database that is not refused anyway", "sessions",
     case(facts(sessions=(FIGURES,))), case(facts(sessions=(FIGURES,), processes=(Process(number=7),)))),
    (tree.nobody_else_is_connected, "another server in the database, whoever else is", "sessions",
     case(facts(sessions=(ELSEWHERE,), addresses=("10.0.0.3",))),
     case(facts(sessions=(ELSEWHERE,), addresses=("10.0.0.2",)))),
    (tree.nothing_is_mounted, "media on another server", "mount",
     case(facts(mounts=(MEDIA,))), case(facts(mounts=("/opt/netpoint-3.4.9", "/opt/netpoint-3.4.8/netpoint/media")))),
    (tree.nothing_is_mounted, "a mount where a checkout is moved", "mount",
     case(facts(git=True, mounts=("/opt/netpoint/venv",))),
     case(facts(git=True, mounts=("/opt/netpoint/netpoint/media",)))),
    (tree.nothing_names_the_old_release, "a working directory in the release's own folder", "old-folder",
     case(facts(mentions=(names_it("unit", UNIT_FILE, unit="netpoint.service"),))),
     case(facts(git=True, mentions=(names_it("unit", UNIT_FILE, unit="netpoint.service"),)))),
    (tree.nothing_names_the_old_release, "a template with the release's own folder", "old-folder",
     case(facts(mentions=(names_it("unit", UNIT_FILE, unit="netpoint-rq@.service"),),
                tree_units=(running("netpoint-rq@1.service"),))),
     case(facts(tree_units=(running("netpoint-rq@1.service"),)))),
    (tree.nothing_names_the_old_release, "a web server that serves the release's own folder", "old-folder",
     case(facts(mentions=(names_it("web", "/etc/nginx/nginx.conf"),))),
     case(facts(mentions=(names_it("web", "/etc/nginx/nginx.conf", tree="/opt/netpoint-3.4.8"),)))),
    (tree.nothing_names_the_old_release, "a link of the release into its own folder", "old-folder",
     case(facts(mentions=(names_it("link", "/opt/netpoint-3.4.9/netpoint/netpoint/configuration.py"),))), case()),
    (tree.nothing_names_the_old_release, "a gunicorn.py with the release's own folder", "old-folder",
     case(facts(mentions=(names_it("local", "/opt/netpoint-3.4.9/gunicorn.py"),))), case()),
    (server.checkout_is_clean, "a file that the release brings too", "checkout",
     case(facts(git=True, dirty=("?? netpoint/new/",)), to=target(paths=frozenset({"netpoint/new/apps.py"}))),
     case(facts(git=True), to=target(paths=frozenset({"netpoint/new/apps.py"})))),
    (server.checkout_is_clean, "files that differ in their mode", "checkout",
     case(facts(git=True, modes=("upgrade.sh",))), case(facts(git=True))),
    (server.checkout_is_clean, "commits that were made on the server", "checkout",
     case(facts(git=True, own_commits=("1a2b3c4 Our own view",))), case(facts(git=True))),
    (server.checkout_is_clean, "a folder of git that its owner cannot read", "checkout",
     case(facts(git=True, git_trouble="fatal: detected dubious ownership")), case(facts(git=True))),
    (server.checkout_is_clean, "a folder of git on another disk", "checkout",
     case(facts(git=True, git_folder="/srv/netpoint.git", git_folder_elsewhere=True)),
     case(facts(git=True, git_folder="/opt/netpoint.git"))),
    (server.folder_is_free, "somebody's folder in the way", "leftover",
     case(facts(beside=(LEFTOVER,))),
     case(facts(beside=(replace(LEFTOVER, ours=True), replace(LEFTOVER, path="/opt/x-3.5.0"))))),
    (server.checkout_is_clean, "local changes", "checkout",
     case(facts(git=True, dirty=(" M upgrade.sh",))), case(facts(git=True))),
    (server.checkout_is_clean, "local changes that no run has left", "checkout",
     case(facts(git=True, dirty=(" M upgrade.sh",), run_id="r1", run_result="upgraded")),
     case(facts(git=True, dirty=(" M upgrade.sh",), run_id="r1", run_result="failed", unsettled=True))),
    (needs.dump_can_be_restored, "more objects than locks", "database",
     case(facts(database=database(lock_table=(5000, 3900, 64)))),
     case(facts(database=database(lock_table=(4800, 3900, 64))))),
    (server.disk_is_large_enough, "a full disk", "disk",
     case(facts(disks=(disk("/opt", free_mb=271),))), case(facts(disks=(disk("/opt", free_mb=272),)))),
    (server.disk_is_large_enough, "uploads that will not fit twice", "disk",
     case(facts(disks=(disk("/opt", free_mb=5000),), sizes_mb=(("media", 6000),))),
     case(facts(git=True, disks=(disk("/opt", free_mb=5000),), sizes_mb=(("media", 6000),)))),
    (server.disk_is_large_enough, "uploads in the tree, wherever they are configured", "disk",
     case(facts(disks=(disk("/opt", free_mb=5000),), sizes_mb=(("media", 6000),),
                configuration={"MEDIA_ROOT": "/opt/netpoint/uploads"})),
     case(facts(disks=(disk("/opt", free_mb=5000),), sizes_mb=(("media", 6000),),
                configuration={"MEDIA_ROOT": "/srv/media"}))),
    (server.disk_is_large_enough, "uploads that are behind no link", "disk",
     case(facts(disks=(disk("/opt", free_mb=5000),), sizes_mb=(("media", 6000),), linked=("scripts",))),
     case(facts(disks=(disk("/opt", free_mb=5000),), sizes_mb=(("media", 6000),), linked=("media",)))),
    (server.disk_is_large_enough, "local files that will not fit twice", "disk",
     case(facts(disks=(disk("/opt", free_mb=5000),), local_mb=(("old.sql", 6000),))),
     case(facts(disks=(disk("/opt", free_mb=5000),), local_mb=(("docs", 6000),)),
          to=target(paths=frozenset({"docs/a"})))),
    (server.disk_is_large_enough, "local files that are copied", "disk",
     case(facts(disks=(disk("/opt", free_mb=5000),), local_mb=(("old.sql", 6000),))),
     case(facts(git=True, disks=(disk("/opt", free_mb=5000),), local_mb=(("old.sql", 6000),)))),
    (server.disk_is_large_enough, "one disk for all of it", "disk",
     case(facts(disks=(disk("/opt", free_mb=300), disk("/var", free_mb=300)))),
     case(facts(disks=(disk("/opt", "a", free_mb=300), disk("/var", "b", free_mb=320))))),
    (server.nobody_else_is_at_it, "an upgrade that is running", "lock", case(facts(lock_held=True)), case()),
    (server.nobody_else_is_at_it, "a run on another server of the same database", "lock",
     case(facts(database=database(locked_by="netpoint-remote r7 np2 from 10.0.0.2"))), case()),
    (server.release_is_in_service, "a login page that does not answer", "health",
     case(facts(page=page(login="502"))), case()),
    (server.release_is_in_service, "migrations that were not applied", "health",
     case(facts(database=database(unapplied="dcim.0172_new"))), case()),
    (needs.root_reaches_database, "a socket that trusts NetPoint's user alone", "database",
     case(facts(database=database(root_error='Peer authentication failed for user "netpoint"'))), case()),
)  # fmt: skip

WARNINGS: tuple[tuple[Check, str, str, Case, Case], ...] = (
    (installation.installation_is_safe, "a configuration that others may write", "unsafe-install",
     case(facts(exposed=("/opt/netpoint/upgrade.sh belongs to netpoint",))), case(facts(exposed=()))),
    (installation.version_is_known, "the release that calls itself a development version", "version",
     case(facts(disk_version="3.7.3-dev"), to="4.0.0"), case(facts("3.7.2"), to="4.0.0")),
    (installation.release_remarks, "what is odd about the release", "release",
     case(to=target(remarks=("release 3.7.2 calls itself 3.7.3-dev",))), case()),
    (needs.python_is_right, "a Python that is newer than the release", "python",
     case(facts(python="3.12.1")), case(facts(python="3.11.9"))),
    (needs.database_can_be_dumped, "a view of somebody else on NetPoint's tables", "database",
     case(facts(database=database(built_on=("the view reports.sites",)))), case()),
    (needs.database_can_be_dumped, "a view that a migration may remove or fail on", "database",
     case(facts(database=database(views=("public.serials",)))), case()),
    (needs.local_packages_are_listed, "ldap_config.py that nobody seems to use", "packages",
     case(facts(ldap=True)), case(facts(ldap=False))),
    (needs.local_packages_are_listed, "a plugin that nobody lists", "packages",
     case(facts(configuration={"PLUGINS": ["netbox_bgp"]})),
     case(facts(configuration={"PLUGINS": ["netbox_bgp"]}, local_requirements=("netbox-bgp",)))),
    (server.services_are_running, "a service of a release that is not in service yet", "service",
     case(facts("3.5.0", units=units(active="failed"))), case(facts("3.5.0"))),
    (server.services_are_running, "a service that an interrupted run has stopped", "service",
     case(facts(units=units(active="inactive"), run_id="r1")), case()),
    (server.services_are_running, "a service of a release that is to be repaired", "service",
     replace(case(facts(units=units(active="failed"))), repair_broken=True), replace(case(), repair_broken=True)),
    (tree.nothing_goes_on, "a nightly job of cron", "cron",
     case(facts(cron_jobs=(replace(JOB, often=False),))),
     case(facts(cron_jobs=(replace(JOB, often=False, housekeeping=True),)))),
    (tree.nothing_goes_on, "a process of a stranger", "stranger",
     case(facts(processes=(replace(process(""), stranger=True),))), case()),
    (tree.nothing_goes_on, "a job of cron of a stranger", "stranger",
     case(facts(cron_jobs=(replace(JOB, stranger=True),))), case()),
    (tree.nothing_goes_on, "a nightly timer", "cron",
     case(facts(tree_units=(SYNC, replace(timer("sync.service"), seldom=True)))), case(facts(tree_units=(SYNC,)))),
    (tree.nothing_goes_on, "a job that a timer has started", "process",
     case(facts(tree_units=(SYNC,), processes=(process("sync.service"),))), case(facts(tree_units=(SYNC,)))),
    (tree.nothing_names_the_old_release, "whatever else names the release's own folder", "old-folder",
     case(facts(mentions=(names_it("other", "/etc/logrotate.d/x"),))), case()),
    (tree.link_is_direct, "a link to a link", "link",
     case(facts(middle_links=("/opt/current",))), case(facts(git=True, middle_links=("/opt/current",)))),
    (tree.packages_belong_here, "a package that an older release has left", "leftover",
     case(facts(stray_packages=("secrets",))),
     case(facts(stray_packages=("mine",), configuration={"PLUGINS": ["mine.sub"]}))),
    (server.checkout_is_clean, "a note in the checkout", "checkout",
     case(facts(git=True, dirty=("?? note.txt",)), to=target(paths=frozenset({"netpoint/new/apps.py"}))),
     case(facts(git=True))),
    (server.units_are_right, "a service that will not survive a reboot", "service",
     case(facts(units=units(enabled="disabled"))), case(facts(units=units(enabled="linked")))),
    (server.units_are_right, "a unit from before virtual environments", "service",
     case(facts(outdated_units=("netpoint",))), case(runs("/usr/local/bin/netpoint-gunicorn"))),
    (server.paths_are_lasting, "a path into the old release", "configuration",
     case(facts(configuration={"MEDIA_ROOT": "/opt/netpoint-3.4.9/netpoint/media"})),
     case(facts(configuration={"MEDIA_ROOT": "/opt/netpoint/netpoint/media"}))),
    (server.disk_is_large_enough, "uploads that could not be measured in time", "disk",
     case(facts(sizes_mb=(("media", 60),), unmeasured=("media",))),
     case(facts(git=True, sizes_mb=(("media", 60),), unmeasured=("media",)))),
    (server.nobody_else_is_at_it, "a run that was interrupted", "interrupted",
     case(facts(run_id="r1")), case(facts(run_id="r1", run_result="upgraded"))),
    (server.nobody_else_is_at_it, "a run that could not go back", "unsettled",
     case(facts(run_id="r1", run_result="failed x", unsettled=True)), case(facts(run_id="r1", run_result="failed x"))),
    (server.release_was_not_rolled_back, "a release that was rolled back", "rolled-back",
     case(facts(rolled_back=(("3.5.0", "r1 by alice"),))), case(facts(rolled_back=(("3.5.1", "r1 by alice"),)))),
    (server.release_is_in_service, "a process that still runs the release before", "half-upgraded",
     case(facts("3.5.0", page=page("3.4.9"))), case(facts("3.5.0"))),
    (server.release_is_in_service, "a release that is to be repaired", "health",
     replace(case(facts(page=page(login="502"))), repair_broken=True), replace(case(), repair_broken=True)),
    (needs.redis_is_right, "a Redis that may not tell its version", "redis",
     case(facts(redis=(("tasks", "unknown (NOPERM no permissions)"),))), case()),
)  # fmt: skip


def names(table: tuple[tuple[Check, str, str, Case, Case], ...]) -> list[str]:
    return [row[1] for row in table]


@pytest.mark.parametrize(("check", "_what", "code", "bad", "good"), ERRORS, ids=names(ERRORS))
def test_it_stops_a_host(check: Check, _what: str, code: str, bad: Case, good: Case) -> None:
    assert ([(found.code, found.blocks) for found in check(bad)], list(check(good))) == ([(code, True)], [])


@pytest.mark.parametrize(("check", "_what", "code", "bad", "good"), WARNINGS, ids=names(WARNINGS))
def test_it_is_told_and_stops_nobody(check: Check, _what: str, code: str, bad: Case, good: Case) -> None:
    assert ([(found.code, found.blocks) for found in check(bad)], list(check(good))) == ([(code, False)], [])


@pytest.mark.parametrize("row", [*ERRORS, *WARNINGS], ids=names((*ERRORS, *WARNINGS)))
def test_every_finding_says_what_to_do(row: tuple[Check, str, str, Case, Case]) -> None:
    assert all(found.message and found.remedy for found in find_problems(row[3]))


def test_the_password_file_that_root_needs_is_named_as_the_hosts_file_has_it() -> None:
    refused = database(root_error="fe_sendauth: no password supplied")
    withheld = (("PGPASSFILE", "/etc/np.pgpass"), ("PGSSLKEY", "/etc/np.key"))

    (found,) = needs.root_reaches_database(case(facts(database=refused, withheld_files=withheld)))

    assert "`environment: {PGPASSFILE: /etc/np.pgpass, PGSSLKEY: /etc/np.key}`" in found.remedy


def test_a_way_back_is_gone_where_the_services_do_not_run() -> None:
    """That is what it is for; an upgrade is another matter."""
    down = case(facts(units=units(active="failed"), page=page(login="502")))

    assert [(found.code, found.blocks) for found in find_problems(down, for_goal="rollback")] == [("service", False)]
    assert {(found.code, found.blocks) for found in find_problems(down)} == {("health", True), ("service", True)}


def test_a_page_that_does_not_answer_names_where_it_was_looked_for_and_the_setting() -> None:
    """The command of the unit may bind elsewhere than is known, and a proxy know the right place."""
    (problem,) = server.release_is_in_service(case(facts(page=page(login="", error="connection refused"))))

    assert problem.message == "the login page does not answer at http://127.0.0.1:8001: connection refused"
    assert ("health.url" in problem.remedy, "--repair-broken" in problem.remedy) == (True, True)


def test_tables_of_others_are_named() -> None:
    (problem,) = needs.database_can_be_migrated(case(facts(database=database(foreign_owned=("spatial_ref, of gis",)))))

    assert ("spatial_ref, of gis" in problem.message, "REASSIGN" in problem.remedy) == (True, False)


def test_every_check_was_tried() -> None:
    assert {row[0] for row in (*ERRORS, *WARNINGS)} == set(CHECKS)


def test_what_is_not_in_services_is_told_with_the_line_to_add() -> None:
    (problem,) = tree.nothing_goes_on(case(facts(tree_units=(running("jobs.service"), SYNC, timer("sync.service")))))

    assert problem.remedy == ("add them to the hosts file: services: [netpoint, netpoint-rq, jobs, often.timer]")


def test_a_job_of_cron_is_told_with_the_line_to_add() -> None:
    (problem,) = tree.nothing_goes_on(
        case(facts(cron_jobs=(JOB,), tree_units=(running("crond.service", in_tree=False),)))
    )

    assert "services: [netpoint, netpoint-rq, crond]" in problem.remedy


@pytest.mark.parametrize("name", ["a b.service", "$(touch x).service", "-x.service", "a\nb.service", "*.service"])
def test_a_name_that_no_shell_and_no_hosts_file_would_take_is_never_stopped(name: str) -> None:
    seen = case(
        facts(tree_units=(running(name), replace(timer("netpoint.service"), name=name.replace("service", "timer"))))
    )

    assert (companions(seen), list(unlisted_units(seen))) == ((), [])


def test_under_supervisor_there_is_no_advice_to_name_units() -> None:
    found = find_problems(case(facts(units=(), processes=(process("supervisor.service"),))))

    assert [problem.message for problem in found if problem.code == "service"] == [
        "supervisor keeps python3 x (process 7 of netpoint) running, and supervisor is not supported"
    ]


def test_a_rollback_is_open_to_a_server_whose_services_are_down() -> None:
    found = find_problems(case(facts(units=units(active="failed"))), for_goal="rollback")

    assert [(problem.code, problem.blocks) for problem in found] == [("service", False)]


def test_a_healthy_server_has_no_problems() -> None:
    assert [find_problems(case(seen)) for seen in (facts(), facts(git=True), facts("2.11.12"))] == [(), (), ()]


def test_a_healthy_netbox_has_no_problems() -> None:
    product = Product(name="netbox")
    on = host(product=product, root=PurePosixPath("/opt/netbox"), services=product.services)
    both = tuple(replace(unit(name), command=f"/opt/netbox/venv/bin/{name}") for name in product.services)

    assert find_problems(case(facts(real="/opt/netbox-3.4.9", link="/opt/netbox-3.4.9", units=both), on=on)) == ()


@pytest.mark.promise(1)
def test_all_problems_are_shown_at_once_and_errors_first() -> None:
    seen = facts("2.10.10", python="3.5.3", complete=False, units=units(enabled="disabled"), redis=(("tasks", "3.2"),))

    found = find_problems(case(seen))

    assert [problem.code for problem in found] == ["probe", "version-path", "python", "redis", "service"]
    assert [problem.blocks for problem in found] == sorted((problem.blocks for problem in found), reverse=True)


def test_a_violated_path_names_the_one_that_would_work() -> None:
    (problem,) = installation.path_is_allowed(case(facts("2.10.10"), to="3.5.0"))

    assert "2.10.10 → 2.11.x → 3.5.0" in problem.remedy


def test_a_fitting_python_beside_the_old_one_is_named() -> None:
    (problem,) = needs.python_is_right(case(facts(interpreters=(OLD_PYTHON, NEW_PYTHON))))

    assert "python: /usr/bin/python3.11" in problem.remedy


def test_what_the_release_itself_asks_for_counts() -> None:
    asking = requirements(python_min=Version("3.12"), redis_min=Version("8"), postgresql_min=Version("16"))

    assert {problem.code for problem in find_problems(case(to=asking))} == {"python", "postgresql", "redis"}


def test_a_host_that_is_only_looked_at_is_not_judged_by_a_release() -> None:
    seen = facts("2.10.10", python="2.7.18", database=database("2.10.10", server_version_num=80000))

    assert find_problems(case(seen, to=None)) == ()


def test_hosts_on_one_database_are_told_of_each_other() -> None:
    seen = {"np1": facts(), "np2": facts(), "np3": facts(database=database(identity="another"))}

    found = shared_databases(seen)

    assert {name: problem.message for name, problem in found.items()} == {
        "np1": "np2 works on the same database",
        "np2": "np1 works on the same database",
    }


def test_what_a_full_disk_would_get_is_named() -> None:
    full = case(facts(disks=(disk("/opt", free_mb=5000),), local_mb=(("old.sql", 6000), ("small.sql", 20))))

    (problem,) = server.disk_is_large_enough(full)

    assert problem.remedy.endswith("; the new release gets a copy of old.sql (5.9 GB)")


def test_hosts_whose_databases_are_unknown_share_none() -> None:
    unknown = facts(database=database(identity=""))

    assert shared_databases({"np1": unknown, "np2": unknown}) == {}


# ---- whatever a server says

FACT_NAMES = (
    "probe.complete", "host.uid", "install.link", "install.real", "install.folder", "install.git", "install.tree",
    "install.upgrade_script", "version.disk", "beside", "git.commit", "git.trouble", "git.dirty", "git.own_commit",
    "python", "tool", "pg_dump.version", "unit.netpoint.service.Id", "unit.netpoint.service.ActiveState", "unit..",
    "unit.netpoint.service.NRestarts",
    "disk", "size", "local", "unmeasured", "linked", "inside", "run.id",
    "configuration", "configuration.secret_key_length",
    "db.server_version_num",
    "db.applied_count", "db.ahead", "redis.tasks", "page.login", "page.version.page", "housekeeping", "unwritable",
    "unwritable_units", "unwritable_cron", "address",
    "outdated_unit", "weak", "exposed", "lock.held", "lock.owner", "run.result", "run.unsettled", "run.about",
    "rolled_back",
    "git.origin", "db.unreadable", "db.lock_table", "db.built_on", "db.view", "db.scratch_refused",
    "backup.b1.made", "backup.b1.version", "backup.b1.size.database.dump", "backup..made", "local_requirement",
    "process", "tree_unit", "cron_job", "mention", "session", "mount", "middle_link", "stray_package", "git.mode",
    "db.changes.b1", "db.error", "page.error", "page.static", "host.time", "host.memory_mb",
)  # fmt: skip
values = (
    st.text(st.characters(), max_size=20)
    | st.sampled_from(
        (
            "yes",
            "3.4.9",
            "3.4.9-dev",
            "2.10",
            "0",
            "/opt/netpoint-3.4.9",
            "²",
            "15beta1 3",
            "[1, {}]",
            "/usr/bin/python3 3.x venv",
            "/usr/bin/python3 3.11.2 venv",
            "pg_dump (PostgreSQL) x",
        )
    )
    | st.integers().map(str)
    | st.just('{"name": "netpoint-rq2.service", "active": "active", "in_tree": true, "kind": 3, "triggers": ["x", 7]}')
    | st.just('{"kind": "unit", "unit": "a@.service", "tree": "/opt/netpoint-3.4.9", "line": -1, "often": true}')
    | st.just('{"PLUGINS": [1, null], "MEDIA_ROOT": 7, "REMOTE_AUTH_BACKEND": ["x"]}')
)
hosts = st.sampled_from((host(), host(python="/usr/bin/python3.11"), host(services=("netpoint.service", "x@1"))))


@given(st.lists(st.tuples(st.sampled_from(FACT_NAMES), values), max_size=30), hosts)
def test_no_answer_of_a_server_breaks_the_pre_flight(said: list[tuple[str, str]], on: Host) -> None:
    seen = parse_facts("".join(f"{name}={value}\n" for name, value in said))

    assert all(isinstance(found, Problem) for found in find_problems(case(seen, on=on)))
