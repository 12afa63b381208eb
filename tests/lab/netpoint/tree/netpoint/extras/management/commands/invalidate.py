from extras.management.commands.clearcache import Command  # noqa: F401  the same by its old name
