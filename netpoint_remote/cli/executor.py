"""How `-H np1,np2 upgrade` calls a fleet task: once, with all hosts, where Fabric calls it once for each.

Stock `fab` takes the executor from `tasks.executor_class` in fabric.yaml, or, without one, from the
program object, where `use_in_fab` puts it. Tasks that are not ours are left to Fabric.
"""

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import fabric
from invoke.context import Context
from invoke.parser.argument import Argument
from invoke.tasks import Call, Task

from netpoint_remote.cli.exits import exit_codes
from netpoint_remote.cli.options import arguments
from netpoint_remote.errors import UsageError

Options = TypeVar("Options")

HINT = "netpoint_remote.cli.executor.FleetExecutor"

# options of the program that would be passed over in silence, and what to do instead
REFUSED: Mapping[str, str] = {
    "version": "a release goes after the task: upgrade --version 3.5.0 (-V only prints fab's own version)",
    "dry": "--dry (-R) does nothing here; to change nothing use upgrade --dry-run",
    "ssh-config": "-S is not used here; ~/.ssh/config is, and it can Include your file",
    "connect-timeout": "-t is not used here; set ConnectTimeout in ~/.ssh/config",
    "command-timeout": "-T is not used here; each step of an upgrade has its own time limit",
    "prompt-for-login-password": "logging in with a password is not supported; use a key or the agent",
    "prompt-for-passphrase": "leave it out: the passphrase of a locked key is asked for when it is needed",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CoreOptions:
    """What was typed before the task, or what the configuration says there; `hosts` is -H as typed."""

    hosts: str | None = None
    identity: tuple[str, ...] = ()
    sudo_password: str | None = None


class FleetTask(Task[Callable[..., None]], Generic[Options]):
    """A task that is called once for all hosts, with its options as one value.

    Declared options are all there is: nothing is positional (a required positional would swallow
    `--help`) and nothing has a short form (`--hosts-file` would take `-h` from help).
    """

    def __init__(self, body: Callable[[CoreOptions, Options], None], *, options: type[Options]) -> None:
        super().__init__(body, positional=[], auto_shortflags=False)
        self.options = options

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:  # noqa: ARG002, FBT001  the signature is invoke's
        """Return the arguments that the parser shall know."""
        return arguments(self.options)

    def __call__(self, context: Context, *, core: CoreOptions | None = None, **typed: Any) -> None:  # type: ignore[override]  # noqa: ANN401  invoke calls it with what it parsed
        """Carry the task out; its failures are invoke's `Exit`, with our codes."""
        with exit_codes():
            self.body(core or _core_without_executor(context), self.options(**typed))
            self.times_called += 1


def _core_without_executor(context: Context) -> CoreOptions:
    """Return what is known when somebody else calls a fleet task: nothing, which suits a task with a hosts file."""
    if isinstance(context, fabric.Connection):
        raise UsageError(
            "this task needs all hosts at once, but Fabric would call it once per host: "
            f"set 'tasks: {{executor_class: {HINT}}}' in fabric.yaml, or use netpoint-remote"
        )
    return CoreOptions()


class FleetExecutor(fabric.Executor):  # type: ignore[misc]  # Fabric has no types
    """Fabric's executor, but one call for a fleet task."""

    def expand_calls(self, calls: Iterable[Call | Task[Any]], apply_hosts: bool = True) -> list[Call]:  # noqa: FBT001, FBT002  the signature is Fabric's
        """Return the calls to make, in order."""
        wanted = [call if isinstance(call, Call) else Call(call) for call in calls]
        if not any(isinstance(call.task, FleetTask) for call in wanted):
            expanded: list[Call] = super().expand_calls(wanted, apply_hosts)
            return expanded
        with exit_codes():
            core = self._core_options()
            if len(wanted) > 1:  # the exit code of a command is that of one task
                raise UsageError(_one_task_only([call.called_as or call.task.name for call in wanted]))
        return [call.clone(with_={"kwargs": {**call.kwargs, "core": core}}) for call in wanted]

    def _core_options(self) -> CoreOptions:
        """Read what precedes the task, refusing what we would otherwise have to pass over."""
        typed = self.core[0].args
        for name, advice in REFUSED.items():
            if name in typed and typed[name].value:
                raise UsageError(advice)
        if self.core.remainder:
            raise UsageError(f"'-- {self.core.remainder}' cannot be used with a task of netpoint_remote")
        return CoreOptions(
            hosts=_joined(typed.hosts.value),
            identity=tuple(typed.identity.value or ()),
            sudo_password=self.config.sudo.password or None,
        )


def _one_task_only(names: list[str]) -> str:
    return f"one command runs one task, not {len(names)}: {', '.join(names)}; run them one after the other"


def _joined(hosts: str | list[str] | None) -> str | None:
    """Return -H as one text; our own program takes it several times, and then an empty list is none."""
    if isinstance(hosts, list):
        return ",".join(hosts) if hosts else None
    return hosts


def use_in_fab() -> None:
    """Let the running `fab`, if there is one, use our executor also where fabric.yaml is missing."""
    fab = sys.modules.get("fabric.main")
    if fab is not None:
        fab.program.executor_class = FleetExecutor
