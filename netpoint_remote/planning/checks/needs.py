"""What the release needs of its server: Python, PostgreSQL, Redis, configuration, packages, rows it can migrate."""

import re
from collections.abc import Iterable

from packaging.version import Version

from netpoint_remote.planning.case import Case
from netpoint_remote.planning.checks.finding import DOCUMENT, Problems, error, warning
from netpoint_remote.planning.facts import Interpreter
from netpoint_remote.planning.method import Method
from netpoint_remote.planning.version import NotAVersion, parse_version


def python_is_right(case: Case) -> Problems:
    if case.target is None:
        return
    needs, chosen = case.target.requirements, _chosen_python(case)
    source = f"{DOCUMENT}, step 2 ({needs.source})"
    if chosen is None:
        yield error(
            "python",
            f"there is no {case.host.python or 'python3'}",
            "install Python, or set `python` to its path",
            source,
        )
        return
    version = Version(chosen.version)
    if version < needs.python_min:
        fitting = [
            other.path
            for other in case.facts.interpreters
            if Version(other.version) >= needs.python_min and other.makes_venv
        ]
        remedy = (
            f"set `python: {fitting[-1]}` in the hosts file"
            if fitting
            else f"install Python {needs.python_min} or newer"
        )
        yield error(
            "python", f"Python {chosen.version} is too old: {case.target.text} needs {needs.python_min}", remedy, source
        )
    elif needs.python_max and version.release[:2] > needs.python_max.release[:2]:
        yield warning(
            "python",
            f"Python {chosen.version} is newer than {case.target.text} was made for ({needs.python_max})",
            "packages may need to be built, or may fail; set `python` to an older version if there is one",
            source,
        )
    if not chosen.makes_venv:
        yield error(
            "venv",
            f"{chosen.path} cannot make virtual environments",
            "install its venv module (Debian: python3-venv)",
            f"{DOCUMENT}, step 4 (netbox-community/netbox#5491)",
        )


def _chosen_python(case: Case) -> Interpreter | None:
    """Return the interpreter that upgrade.sh would be given: the probe lists it first, when it exists at all."""
    first = next(iter(case.facts.interpreters), None)
    if first is None:
        return None
    is_it = first.path == case.host.python if case.host.python else first.path.endswith("/python3")
    return first if is_it else None


def postgresql_is_right(case: Case) -> Problems:
    database = case.facts.database
    if database.error:
        yield error(
            "database",
            f"the database does not answer: {database.error}",
            "look at PostgreSQL and DATABASE in configuration.py",
        )
        return
    if case.target is None or not database.server_version_num:
        return
    major = _postgresql_version(database.server_version_num)
    if major < case.target.requirements.postgresql_min:
        yield error(
            "postgresql",
            f"PostgreSQL {major} is too old: {case.target.text} needs {case.target.requirements.postgresql_min}",
            "upgrade PostgreSQL first",
            f"{DOCUMENT}, step 2 ({case.target.requirements.source})",
        )


def _postgresql_version(number: int) -> Version:
    """Read server_version_num: 90624 is 9.6, 150018 is 15."""
    major, minor = number // 10000, number // 100 % 100
    return Version(str(major)) if major >= FIRST_WITHOUT_MINOR else Version(f"{major}.{minor}")


FIRST_WITHOUT_MINOR = 10  # PostgreSQL counts 9.5, 9.6, 10, 11


def database_can_be_migrated(case: Case) -> Problems:
    database = case.facts.database
    if database.error:
        return
    if not database.can_create:
        yield error(
            "database",
            "NetPoint's role may not create tables in its schema",
            "GRANT CREATE ON SCHEMA public TO the role (needed since PostgreSQL 15)",
            "netbox-community/netbox#13679",
        )
    if database.foreign_owned:
        yield error(
            "database",
            f"tables belong to another role than NetPoint's: {', '.join(database.foreign_owned)}",
            "ALTER TABLE ... OWNER TO NetPoint's role where they are NetPoint's own; else move them to another schema",
            "netbox-community/netbox#11846",
        )
    if database.in_recovery:
        yield error("database", "the database is a read-only replica", "upgrade the server that uses the primary")
    if database.ahead and not (case.facts.interrupted or case.facts.lock_held):
        yield error(
            "database",
            f"the database is newer than the installed code: {database.ahead}",
            "a newer dump was restored, or an upgrade was reverted without its database: restore the matching dump",
            "netbox-community/netbox#14928",
        )


def database_can_be_dumped(case: Case) -> Problems:
    database = case.facts.database
    if database.unreadable:
        what = ", ".join(database.unreadable)
        yield error(
            "database",
            f"NetPoint's role may not read all of its database, so it cannot be dumped: {what}",
            "GRANT USAGE ON SCHEMA and SELECT to the role, or move what is not NetPoint's to a database of its own",
            "pg_dump stops at what it may not read",
        )
    if database.built_on:
        yield warning(
            "database",
            f"{', '.join(database.built_on)} of another role is built on NetPoint's tables: "
            "it would be lost if the database is restored",
            "keep its definition, or ALTER VIEW ... OWNER TO NetPoint's role",
        )
    if database.views and case.target is not None:
        yield warning(
            "database",
            f"views read NetPoint's tables: {', '.join(database.views)}; "
            "a migration that removes a column removes them with it, and one that changes its type fails on them",
            "drop them before the upgrade and make them again afterwards",
            "Django drops a column with CASCADE",
        )


CROWDED = 1.25  # objects for each lock that there is room for: at 1.18 a restore went well, at 1.31 it did not


def dump_can_be_restored(case: Case) -> Problems:
    """Compare the objects of the database with the lock table: a restore is one transaction, which locks each."""
    match case.facts.database.lock_table:
        case (objects, room, per_transaction) if room and objects > CROWDED * room:
            enough = per_transaction * -(-objects // room)
            yield error(
                "database",
                f"its {objects} tables, indexes and other objects are too many for the lock table of PostgreSQL "
                f"({room} locks): a dump could not be restored if the upgrade fails",
                f"set max_locks_per_transaction to {enough} or more in postgresql.conf, and restart PostgreSQL",
            )
        case _:
            pass


def scratch_can_be_made(case: Case) -> Problems:
    if case.facts.database.scratch == "nobody":
        yield error(
            "scratch-database",
            "--verify full restores the dump into a scratch database, and NetPoint's role may not create one "
            "(nor is the database on this server, where its superuser could)",
            "ALTER ROLE ... CREATEDB on the database server, or leave --verify full out",
        )
    if case.facts.database.scratch_refused:
        yield error(
            "scratch-database",
            "--verify full restores the dump as NetPoint's role, which may log in to its own database only: "
            f"{case.facts.database.scratch_refused}",
            "allow the role every database in pg_hba.conf (all in place of the name) and in the password file, "
            "or leave --verify full out",
            "what lies in a dump never runs as a superuser",
        )


def rows_fit_the_migrations(case: Case) -> Problems:
    """Rows that known migrations stop at (release notes of 3.2 and 3.4)."""
    database, prefix = case.facts.database, case.host.product.environment_prefix
    bypass = f"{prefix}_DELETE_LEGACY_DATA" in dict(case.host.environment)
    twice = database.duplicate_devices + database.duplicate_vms
    if case.crosses("3.4.0") and twice:
        yield error(
            "data",
            f"{twice} device or machine names differ only in upper and lower case",
            "rename them: 3.4 makes them unique",
            "netbox-community/netbox#11266",
        )
    for release, count, what in (
        ("3.2.0", database.legacy_sites, "sites"),
        ("3.4.0", database.legacy_providers, "providers"),
    ):
        if case.crosses(release) and count and not bypass:
            yield error(
                "data",
                f"{count} {what} still hold ASN or contact data that {release[:3]} removes",
                f"move it to the new models first, or set {prefix}_DELETE_LEGACY_DATA in `environment` to lose it",
                f"release notes of {release[:3]}",
            )


def pg_dump_is_right(case: Case) -> Problems:
    tools, number = case.facts.tools, case.facts.database.server_version_num
    missing = [tool for tool in ("pg_dump", "pg_restore", "psql") if tool not in tools]
    if missing:
        yield error(
            "pg_dump",
            f"{', '.join(missing)} not found",
            "install the PostgreSQL client (Debian: postgresql-client)",
            DOCUMENT,
        )
    elif number and case.facts.pg_dump_version:
        client = re.search(r"\) ([0-9]{1,3})\S*", case.facts.pg_dump_version)  # pg_dump (PostgreSQL) 16beta1
        if client and int(client[1]) < number // 10000:
            yield error(
                "pg_dump",
                f"pg_dump {client[0][2:]} cannot dump PostgreSQL {number // 10000}",
                f"install the client of PostgreSQL {number // 10000} or newer",
                "pg_dump refuses newer servers",
            )


def root_reaches_database(case: Case) -> Problems:
    """See that upgrade.sh will be let in: it runs as root, and a socket may trust NetPoint's user alone."""
    withheld = ", ".join(f"{name}: {path}" for name, path in case.facts.withheld_files)
    if case.facts.database.root_error and not case.facts.database.error:
        yield error(
            "database",
            f"upgrade.sh runs as root, and root is not let into the database: {case.facts.database.root_error}",
            "upgrade.sh gets no file of the unit that others can write; if root may read it, set in the hosts file: "
            f"`environment: {{{withheld}}}`"
            if withheld
            else "give DATABASE a HOST and a PASSWORD, or let root be NetPoint's role: a map in pg_ident.conf for its "
            "line in pg_hba.conf",
            f"{DOCUMENT}, step 4",
        )


def redis_is_right(case: Case) -> Problems:
    for name, answer in case.facts.redis:
        if answer.startswith("unknown (") and "sentinels" not in answer:
            yield warning(
                "redis",
                f"Redis ({name}) answers and does not tell its version: {answer}",
                "see that it is new enough: redis-server --version",
                f"{DOCUMENT}, step 2",
            )
        if answer.startswith("error"):
            yield error(
                "redis",
                f"Redis ({name}) does not answer: {answer}",
                "look at Redis and REDIS in configuration.py",
                f"{DOCUMENT}, step 2",
            )
            continue
        try:
            version = parse_version(answer)
        except NotAVersion:
            continue
        if case.target and version < case.target.requirements.redis_min:
            yield error(
                "redis",
                f"Redis {answer} ({name}) is too old: {case.target.text} needs {case.target.requirements.redis_min}",
                "upgrade Redis first",
                f"{DOCUMENT}, step 2 ({case.target.requirements.source})",
            )


def configuration_is_right(case: Case) -> Problems:
    facts = case.facts
    if case.method is Method.FOREIGN:
        return
    if facts.configuration_error:
        yield error(
            "configuration", f"configuration.py cannot be read: {facts.configuration_error}", "fix it on the server"
        )
        return
    if facts.missing_keys:
        yield error(
            "configuration", f"configuration.py lacks {', '.join(facts.missing_keys)}", "set them on the server"
        )
    if case.crosses("3.5.0") and 0 < facts.secret_key_length < SHORTEST_SECRET_KEY:
        yield error(
            "configuration",
            f"SECRET_KEY has {facts.secret_key_length} characters, and releases since 3.5 want {SHORTEST_SECRET_KEY}",
            "set a new one (all users must log in again)",
            "netbox-community/netbox#12449",
        )


SHORTEST_SECRET_KEY = 50


def local_packages_are_listed(case: Case) -> Problems:
    """Verify "that any optional Python packages required by your deployment are listed" (step 4)."""
    listed, configuration = case.facts.local_requirements, case.facts.configuration
    if case.facts.ldap and "django-auth-ldap" not in listed:
        uses = "ldap" in str(configuration.get("REMOTE_AUTH_BACKEND", "")).lower()
        make = error if uses else warning
        yield make(
            "packages",
            "ldap_config.py is there, and django-auth-ldap is not in local_requirements.txt",
            "add it, or LDAP logins fail after the upgrade",
            f"{DOCUMENT}, step 4 (netbox-community/netbox#4328)",
        )
    plugins = configuration.get("PLUGINS")
    unlisted = (
        [str(plugin) for plugin in plugins if not _is_listed(str(plugin), listed)] if isinstance(plugins, list) else []
    )
    if unlisted:
        yield warning(
            "packages",
            f"no package in local_requirements.txt looks like the plugins {', '.join(unlisted)}",
            "list the packages that bring them; the new environment has only what is listed",
            f"{DOCUMENT}, step 4 (netbox-community/netbox#23024)",
        )


def _is_listed(plugin: str, listed: Iterable[str]) -> bool:
    name = plugin.lower().replace("_", "-").split(".", maxsplit=1)[0]
    return any(name in package or package in name for package in listed)
