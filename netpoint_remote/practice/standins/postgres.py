"""psql, pg_dump and pg_restore of a practice server, over databases that are SQLite files in their socket folder.

Statements go to SQLite after a few words that it does not know are exchanged. What PostgreSQL keeps
in its catalogues is offered as views and functions, as far as NetPoint's admins and tools ask for it.
"""

import contextlib
import sys

from catalogue import VERSION
from libpq import Refused

BANNER = f"(PostgreSQL) {VERSION} (Debian {VERSION}-0+deb12u1)"


def main() -> int:
    root, program, *arguments = sys.argv[1:]
    if {"--version", "-V"} & set(arguments):
        print(f"{program} {BANNER}")
        return 0
    try:
        return run(program, root, arguments)
    except Refused as error:
        print(f"{program}: error: {error}", file=sys.stderr)
        return 2 if program == "psql" else 1


def run(program: str, root: str, arguments: list[str]) -> int:
    if program == "psql":
        from session import psql  # noqa: PLC0415  a quick start

        return int(psql(root, arguments))
    import dump  # noqa: PLC0415

    return int({"pg_dump": dump.pg_dump, "pg_restore": dump.pg_restore}[program](root, arguments))


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        sys.exit(main())
