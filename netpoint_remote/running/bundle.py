"""What travels to a server: scripts for a visit, and the bundle that carries out a plan by itself.

The shell is in `remote/`; here it is only put together. Values become variables by quoting, and nothing else.
"""

import io
import shlex
import tarfile
import urllib.parse
from collections.abc import Iterable, Mapping
from functools import lru_cache
from importlib.resources import files
from pathlib import PurePosixPath

from netpoint_remote.planning.case import Case
from netpoint_remote.planning.constraints import constraints_file
from netpoint_remote.planning.inventory import Host
from netpoint_remote.planning.method import Method
from netpoint_remote.planning.plan import Plan
from netpoint_remote.running.accounts import take_accounts_out

BUNDLED = (
    "lib.sh",
    "main.sh",
    "ended.sh",
    "prepare.sh",
    "step.sh",
    "locks.sh",
    "guard.sh",
    "units.sh",
    "as_unit.sh",
    "proofs.sh",
    "secrets.sh",
    "packages.sh",
    "schedule.sh",
    "folders.sh",
    "local_files.sh",
    "aside.sh",
    "git_locks.sh",
    "backup.sh",
    "dumps.sh",
    "ownership.sh",
    "losses.sh",
    "dump.sql",
    "clean.sql",
    "objects.sql",
    "defaults.sql",
    "compare.sql",
    "sessions.sql",
    "ask.py",
    "tree_users.py",
    "beside.py",
    "environment.py",
    "known_secrets.py",
    "files.py",
)
LIBRARIES = {"probe.sh": ("ownership.sh",), "prune.sh": ("ownership.sh",)}
"""What a visit needs besides lib.sh."""
CARRIED = {"prune.sh": ("files.py",)}
"""The programs that a visit carries."""
PROBED = ("ask.py", "environment.py", "facts.sql", "sessions.sql", "tree_users.py")
"""What the probe carries."""
END = "END_OF_A_BUNDLED_FILE"
Variables = Iterable[tuple[str, str]]


@lru_cache(maxsize=64)
def text_of(name: str) -> str:
    """Return one file of `remote/`."""
    return files("netpoint_remote").joinpath("remote", name).read_text(encoding="utf-8")


def assignments(variables: Variables, *, export: bool = False) -> str:
    """Return shell assignments; any text but NUL arrives unchanged on the other side.

    Raises:
        ValueError: for a NUL, which no variable can hold.
    """
    lines = []
    for name, value in variables:
        if "\0" in value:
            raise ValueError(f"{name} holds a NUL")
        lines.append(f"{'export ' if export else ''}{name}={shlex.quote(value)}\n")
    return "".join(lines)


def visit_script(name: str, variables: Variables, *, bundled: tuple[str, ...] = ()) -> str:
    """Return the script of one visit: its variables, the libraries, the files it carries, and `remote/<name>`."""
    return assignments(variables) + _visit_text(name, bundled or CARRIED.get(name, ()))


@lru_cache(maxsize=16)
def _visit_text(name: str, bundled: tuple[str, ...]) -> str:
    carried = "".join(f"{file}) cat <<'{END}'\n{text_of(file)}{END}\n;;\n" for file in bundled)
    function = f"bundled() {{\ncase $1 in\n{carried}*) return 1 ;;\nesac\n}}\n"
    libraries = "".join(text_of(library) for library in ("lib.sh", *LIBRARIES.get(name, ())))
    return libraries + (function if bundled else "") + text_of(name)


def probe_script(host: Host, version: str | None, *, backups: bool = False, scratch: bool = False) -> str:
    """Return the probe of one host, which shall be upgraded to `version`.

    `backups` asks for those too, `scratch` for who may make a database to try a dump in.
    """
    variables = (
        ("ROOT", str(host.root)),
        ("PRODUCT", host.product.name),
        ("SERVICES", " ".join(host.services)),
        ("STATE_DIR", str(host.state_dir)),
        ("BACKUP_DIR", str(host.backup_dir)),
        ("CRON_DIR", str(host.cron_dir)),
        ("PYTHON", host.python or ""),
        ("HEALTH_URL", host.health_url or ""),
        ("HEALTH_HEADERS", _headers(host)),
        ("VERSION", version or ""),
        ("BACKUPS", "yes" if backups else ""),
        ("SCRATCH", "yes" if scratch else ""),
        # What gives root its way to the database may be in it, and a secret: it is no variable of the whole visit.
        ("ENVIRONMENT", assignments(host.environment, export=True)),
    )
    return visit_script("probe.sh", variables, bundled=PROBED)


def _headers(host: Host) -> str:
    return "\n".join(f"{name}: {value}" for name, value in host.health_headers)


def plan_lines(plan: Plan) -> str:
    """Return the plan as `main.sh` reads it: name, phase, limit in seconds, tries."""
    return "".join(f"{step.name} {step.phase} {step.limit} {step.tries}\n" for step in plan.steps)


def bundle_files(
    case: Case, plan: Plan, *, run_id: str, operator: str, about: str, constraints: bool
) -> Mapping[str, str]:
    """Return the files of a run's folder, by name relative to it; `about` says who asked for what."""
    run = case.host.state_dir / "runs" / run_id
    variables = (
        *plan.variables,
        ("RUN_ID", run_id),
        ("OPERATOR", operator),
        ("RUN_URL", f"file://{urllib.parse.quote(str(run))}"),
    )
    named = {f"bundle/{name}": text_of(name) for name in BUNDLED}
    named |= {f"bundle/steps/{step.name}.sh": text_of(f"steps/{step.name}.sh") for step in plan.steps}
    named["bundle/plan"] = plan_lines(plan)
    named["bundle/vars.sh"] = assignments(variables)
    environment, accounts = take_accounts_out(dict(_environment(case, run, constraints=constraints)))
    if accounts:
        named["bundle/netrc"] = accounts
        environment["NETRC"] = str(run / "bundle" / "netrc")
    named["bundle/environment.sh"] = assignments(environment.items(), export=True)
    if constraints and case.target is not None:
        named["bundle/constraints.txt"] = constraints_file(case.target.constraints)
    named["about"] = f"{about}\n"
    return named


def _environment(case: Case, run: PurePosixPath, *, constraints: bool) -> Variables:
    """Return what upgrade.sh and pip get: the operator's, the constraints, and addresses that may hold credentials."""
    given = dict(case.host.environment)
    if case.host.health_headers:
        given["HEALTH_HEADERS"] = _headers(case.host)
    if constraints:
        ours = f"file://{urllib.parse.quote(str(run / 'bundle' / 'constraints.txt'))}"
        given["PIP_CONSTRAINT"] = f"{ours} {given.get('PIP_CONSTRAINT', '')}".strip()
    target = case.target
    if target is not None:
        given["ARCHIVE_URL" if case.method is Method.ARCHIVE else "GIT_REMOTE"] = (
            (target.url or "") if case.method is Method.ARCHIVE else target.remote
        )
    return given.items()


def to_tar(named: Mapping[str, str]) -> bytes:
    """Return the files as a tar, root's and for nobody else's eyes."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, text in named.items():
            data = text.encode()
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(data), 0o600
            tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def shown_shell(plan: Plan) -> str:
    """Return the very shell that would run, for reading: the variables, then every step in order."""
    parts = [f"# ---- variables\n{assignments(plan.variables)}"]
    parts += [f"# ---- {step.name}\n{text_of(f'steps/{step.name}.sh')}" for step in plan.steps]
    parts += [f"# ---- {name}\n{text_of(name)}" for name in ("lib.sh", "step.sh", "main.sh")]
    return "\n".join(parts)
