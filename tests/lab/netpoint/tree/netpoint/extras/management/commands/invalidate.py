from extras.management.commands.clearcache import Command  # noqa: F401
