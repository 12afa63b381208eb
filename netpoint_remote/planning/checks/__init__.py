"""The pre-flight: what stands in the way of an upgrade, each finding with its remedy and its source.

A check is a function from a `Case` to problems. All run, whatever the others found: an operator at
night wants the whole list, once. A new check is one function and its name in `CHECKS`.
"""

from collections.abc import Callable, Mapping

from netpoint_remote.planning.case import Case
from netpoint_remote.planning.checks import installation, needs, server, tree
from netpoint_remote.planning.checks.finding import Problems, error
from netpoint_remote.planning.facts import Facts
from netpoint_remote.planning.problem import Problem


def find_problems(case: Case, *, for_goal: str = "upgrade") -> tuple[Problem, ...]:
    """Return every problem of one host, blocking ones first; `for_goal` is upgrade, backup or rollback.

    A way back is gone when NetPoint is ill, so what only makes it ill does not stand in its way.
    """
    checks = CHECKS if for_goal == "upgrade" else (*CHECKS_OF_ALL, *CHECKS_OF_OTHERS[for_goal])
    found = [problem for check in checks for problem in check(case)]
    return tuple(sorted(found, key=lambda problem: not problem.blocks))


def shared_databases(facts: Mapping[str, Facts]) -> dict[str, Problem]:
    """Return a problem for each host whose database another host of the run has too (netbox-community/netbox#17136)."""
    owners: dict[str, list[str]] = {}
    for name, seen in facts.items():
        # Servers of one deployment share their SECRET_KEY; a database service may not tell who it is.
        shared = seen.database.instance or seen.database.identity or seen.secret_key_print
        if shared:
            owners.setdefault(shared, []).append(name)
    return {
        name: error(
            "shared-database",
            f"{' and '.join(other for other in names if other != name)} works on the same database",
            "stop the services of all but one and upgrade that one alone (--limit); "
            "a deployment of several servers is not handled yet",
            "netbox-community/netbox#17136",
        )
        for names in owners.values()
        if len(names) > 1
        for name in names
    }


# What would write while nobody may.
GOES_ON: tuple[Callable[[Case], Problems], ...] = (
    tree.tree_users_are_known,
    tree.nothing_goes_on,
    tree.nobody_else_is_connected,
    tree.nothing_is_mounted,
)
TREE: tuple[Callable[[Case], Problems], ...] = (
    *GOES_ON,
    tree.nothing_names_the_old_release,
    tree.link_is_direct,
    tree.packages_belong_here,
)
CHECKS: tuple[Callable[[Case], Problems], ...] = (
    installation.probe_is_whole,
    installation.places_are_writable,
    installation.units_are_writable,
    installation.schedule_is_writable,
    installation.places_are_safe,
    installation.installation_is_known,
    installation.folder_is_plain,
    installation.installation_is_safe,
    installation.version_is_known,
    installation.path_is_allowed,
    installation.database_is_at_the_door,
    installation.release_remarks,
    needs.python_is_right,
    needs.postgresql_is_right,
    needs.root_reaches_database,
    needs.database_can_be_migrated,
    needs.database_can_be_dumped,
    needs.dump_can_be_restored,
    needs.rows_fit_the_migrations,
    needs.pg_dump_is_right,
    needs.redis_is_right,
    needs.configuration_is_right,
    needs.local_packages_are_listed,
    server.tools_are_there,
    server.units_are_right,
    server.services_are_running,
    *TREE,
    server.paths_are_lasting,
    server.socket_has_its_place,
    server.folder_is_free,
    server.checkout_is_clean,
    server.disk_is_large_enough,
    server.nobody_else_is_at_it,
    server.release_was_not_rolled_back,
    server.release_is_in_service,
)

CHECKS_OF_ALL: tuple[Callable[[Case], Problems], ...] = (
    installation.probe_is_whole,
    installation.places_are_writable,
    installation.places_are_safe,
    installation.installation_is_known,
    needs.postgresql_is_right,
    needs.database_can_be_dumped,
    needs.pg_dump_is_right,
    needs.configuration_is_right,
    server.tools_are_there,
    server.nobody_else_is_at_it,
)
CHECKS_OF_OTHERS: Mapping[str, tuple[Callable[[Case], Problems], ...]] = {
    "backup": (server.backup_has_room, needs.scratch_can_be_made),
    "rollback": (
        installation.units_are_writable,
        server.units_are_right,
        server.services_may_be_down,
        server.checkout_is_clean,
        needs.dump_can_be_restored,
        *GOES_ON,
    ),
}
