"""The program `netpoint-remote`: the same tasks as in `fab`, from any folder."""

import difflib
import inspect
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from typing import Any

import fabric
from fabric.main import Fab
from invoke.exceptions import Exit, ParseError
from invoke.parser.argument import Argument
from invoke.parser.context import ParserContext

from netpoint_remote import __version__
from netpoint_remote.cli.executor import REFUSED, FleetExecutor
from netpoint_remote.cli.exits import STOPPED
from netpoint_remote.cli.streams import unwritten
from netpoint_remote.cli.tasks import namespace

NAME = "netpoint-remote"

# options of invoke and Fabric that mean something here; the others stay out of the help
SHOWN = ("hosts", "identity", "help", "list", "list-format", "version", "debug")
SHOWN_COMPLETION = ("print-completion-script",)

METAVARS = {"help": "TASK", "list": "NAME", "list-format": "FORMAT", "print-completion-script": "SHELL"} | {
    option.name.replace("_", "-"): option.metadata["metavar"]
    for task in namespace.tasks.values()
    for option in fields(task.options)
    if "metavar" in option.metadata
}
# of invoke's parser
UNKNOWN = re.compile(r"No idea what '(.*)' is!")
VALUELESS = re.compile(r"Flag <Argument: (?P<name>[a-z-]+).*> needed value and was not given one!")


class Config(fabric.Config):  # type: ignore[misc]  # Fabric has no types
    """Fabric's configuration under our own names, so that a ~/.fabric.yaml does not reach in here."""

    prefix = "netpoint-remote"
    env_prefix = "NETPOINT_REMOTE_CONFIG"

    @staticmethod
    def global_defaults() -> dict[str, Any]:
        """Return Fabric's defaults; ssh_config is ours to read, and as OpenSSH does."""
        return {**fabric.Config.global_defaults(), "load_ssh_configs": False}


class Program(Fab):  # type: ignore[misc]  # Fabric has no types
    """Fabric's program with our tasks in it, and without its traps."""

    def core_args(self) -> list[Argument]:
        """Return Fabric's options, with a -H that may be given several times."""
        hosts = Argument(
            names=("hosts", "H"),
            kind=list,
            help="Hosts to work on, separated by commas: user@host:port, [::1]:22. Example: -H np1,np2",
        )
        return [hosts if "hosts" in argument.names else argument for argument in super().core_args()]

    def parse_core_args(self) -> None:
        """Read what precedes the task, refusing a release there: `--version 3.5.0 upgrade` would do nothing."""
        with _sentences():
            super().parse_core_args()
        if self.args.version.value and self.core.unparsed:
            raise Exit(f"error: {REFUSED['version'].replace('fab', NAME)}", code=1)

    def parse_tasks(self) -> None:
        """Read the tasks and their options."""
        with _sentences():
            super().parse_tasks()

    def no_tasks_given(self) -> None:
        """Show the help; hosts without a task are a mistake."""
        if self.args.hosts.value or self.core.remainder:
            raise Exit(f"error: no task given, such as {NAME} -H np1,np2 check; {NAME} --list shows all", code=1)
        super().no_tasks_given()

    def print_version(self) -> None:
        """Print our own version only."""
        print(f"{NAME} {__version__}")

    def print_help(self) -> None:
        """Print what can precede the task, and the tasks."""
        known = [argument for argument in self.core_args() if {*SHOWN, *SHOWN_COMPLETION} & set(argument.names)]
        print(f"Usage: {NAME} [-H HOSTS] TASK [OPTIONS]\n\nBefore the task:\n")
        self.print_columns(ParserContext(args=known).help_tuples())
        self.list_tasks()
        print(f"{NAME} TASK --help shows the options of a task.")

    def print_task_help(self, name: str) -> None:
        """Print what a task does, and its options."""
        print(f"Usage: {NAME} [-H HOSTS] {name} [OPTIONS]\n\n{inspect.getdoc(self.collection[name])}\n\nOptions:\n")
        self.print_columns(self.parser.contexts[name].help_tuples())

    def print_columns(self, tuples: Sequence[tuple[str, str | None]]) -> None:
        """Print options with what to give in place of STRING."""
        super().print_columns([(_with_metavar(option), text) for option, text in tuples])


def _with_metavar(option: str) -> str:
    name = re.search(r"--([a-z-]+)", option)
    return option.replace("STRING", METAVARS.get(name[1], "VALUE")) if name else option


@contextmanager
def _sentences() -> Iterator[None]:
    """Turn what invoke's parser says into our form of an error."""
    try:
        yield
    except ParseError as error:
        task = f" {error.context.name}" if error.context and error.context.name else ""
        message = VALUELESS.sub(r"--\g<name> needs a value", str(error))
        message = UNKNOWN.sub(lambda found: _unknown(found[1]), message)
        raise Exit(f"error: {message} ({NAME}{task} --help shows what is allowed)", code=1) from None


def _unknown(word: str) -> str:
    if word.startswith("-"):
        return f"unknown option {word!r}"
    near = difflib.get_close_matches(word, namespace.task_names, n=1)
    return f"unknown task {word!r}{f'; did you mean {near[0]}?' if near else ''}"


def make_program() -> Program:
    return Program(
        name=NAME,
        binary=NAME,
        version=__version__,
        namespace=namespace,
        executor_class=FleetExecutor,
        config_class=Config,
    )


def main(argv: list[str] | None = None) -> Any:  # noqa: ANN401  exits
    """Run the program; leaves through `SystemExit`."""
    try:
        code = _run(argv)
        sys.stdout.flush()
    except OSError as error:
        code = unwritten(error)
    sys.exit(code)


def _run(argv: list[str] | None) -> int | str | None:
    try:
        make_program().run(argv)
    except SystemExit as leave:
        return leave.code
    except KeyboardInterrupt:
        return STOPPED
    return 0


if __name__ == "__main__":
    main()
