"""A server in a folder: NetPoint's trees, units and database, and the stand-ins in `bin` for what asks for root.

Everything lies under a folder whose name has blanks, quotes and `$(...)` in it, so that no test
passes by the grace of a plain path.
"""

import copy
import getpass
import os
import shlex
import shutil
import signal
import stat
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from io import BytesIO
from pathlib import Path

from netpoint_remote.running.bundle import BUNDLED, assignments

BIN = Path(__file__).parent / "bin"
REMOTE = Path(__file__).parents[2] / "netpoint_remote/remote"
REAL_PATH = os.pathsep.join(path for path in ("/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin"))
REAL_PYTHON = shutil.which("python3", path=REAL_PATH) or sys.executable
AWKWARD = """-it's a "$(touch x)" `server`"""
BIRTHDAY = 1_700_000_000  # every file of a release has one time, as in a real archive
MUTATING = (
    "chmod",
    "chown",
    "cp",
    "git",
    "ln",
    "mkdir",
    "mv",
    "pg_dump",
    "psql",
    "python3",
    "rm",
    "sed",
    "systemctl",
    "tar",
    "wget",
)
UPGRADE = r"""#!/bin/sh
# Does and prints what the official one does, and fails at the part that it is told.
cd "$(dirname "$0")" || exit 1
env >"$WORLD/upgrade.env"
part() {
    echo "$1..."
    if [ "$1" = "$(cat "$WORLD/upgrade.fails" 2>/dev/null)" ]; then echo 'no luck today'; exit 1; fi
    if [ "$1" = "$(cat "$WORLD/upgrade.leaves" 2>/dev/null)" ]; then exit 0; fi
    if [ "$1" = "$(cat "$WORLD/upgrade.hangs" 2>/dev/null)" ]; then : >"$WORLD/hangs"; tail -f /dev/null; fi
}
echo 'Using Python 3.11.2'
part 'Removing old virtual environment'
rm -rf venv
part "Creating a new virtual environment at $(pwd -P)/venv"
mkdir -p venv/bin
cp "$STAND_INS/python3" "$STAND_INS/gunicorn" venv/bin
part 'Installing core dependencies (pip install -r requirements.txt)'
part 'Applying database migrations (python3 netpoint/manage.py migrate)'
grep -q -x 'dcim|0172_new' "$WORLD/database" || echo 'dcim|0172_new' >>"$WORLD/database"
part 'Building documentation (mkdocs build)'
part 'Collecting static files (python3 netpoint/manage.py collectstatic --no-input)'
mkdir -p netpoint/static
echo new >netpoint/static/x.css
echo "Upgrade complete! Don't forget to restart the NetPoint services:"
echo '  > sudo systemctl restart netpoint netpoint-rq'
"""
UNIT = """[Service]
User=netpoint
Group=netpoint
ExecStart={command}
"""


HOUSEKEEPING = """#!/bin/sh
/opt/netpoint/venv/bin/python /opt/netpoint/netpoint/manage.py housekeeping
"""
PASSWORD = """it's "$1" \\ `x` ä"""
CONFIGURATION = f"""
DATABASE = {{'NAME': 'netpoint', 'USER': 'np', 'PASSWORD': {PASSWORD!r}}}
"""
ENVIRONMENT = (
    ("ARCHIVE_URL", "https://user:hunter2@example.org/v3.5.0.tar.gz"),
    ("PIP_INDEX_URL", "https://pip:hunter2@pip.example.org"),
)
FOLDERS = "netpoint/media\nnetpoint/scripts\nnetpoint/reports"
IGNORED = """/venv/
/netpoint/static
/netpoint/netpoint/configuration.py
gunicorn.py
/netpoint/media/*
/netpoint/scripts/*
!__init__.py
!.gitignore
/netpoint/project-static/docs/*
!.info
"""


def release(version: str) -> dict[str, str]:
    """Return the files of a small release."""
    return {
        "upgrade.sh": UPGRADE,
        "requirements.txt": "Django==4.1.8\n",
        "README.md": f"NetPoint {version}\n",
        f"docs/{version}.md": "notes\n",
        "contrib/netpoint.service": UNIT.format(command="/opt/netpoint/venv/bin/gunicorn netpoint.wsgi"),
        "contrib/netpoint-rq.service": UNIT.format(command="/opt/netpoint/venv/bin/python3 manage.py rqworker"),
        "contrib/netpoint-housekeeping.sh": HOUSEKEEPING,
        "netpoint/manage.py": f"# {version}\n",
        "netpoint/netpoint/__init__.py": "",
        "netpoint/netpoint/settings.py": f"VERSION = '{version}'\n",
        "netpoint/media/.gitignore": "*\n",
        "netpoint/scripts/__init__.py": f"# {version}\n",
        "netpoint/reports/__init__.py": "",
        "netpoint/project-static/docs/.info": f"docs of {version}\n",
    }


def write_files(folder: Path, named: Mapping[str, str], *, at: int | None = None) -> None:
    """Write files, executable where they begin with `#!`; `at` is their time."""
    for name, text in named.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755 if text.startswith("#!") else 0o644)
        if at is not None:
            os.utime(path, (at, at))


def pack(named: Mapping[str, str], top: str = "NetPoint-3.5.0") -> bytes:
    """Return a release's archive."""
    buffer = BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, text in named.items():
            member = tarfile.TarInfo(f"{top}/{name}")
            member.size, member.mtime = len(text.encode()), BIRTHDAY
            member.mode = 0o755 if text.startswith("#!") else 0o644
            tar.addfile(member, BytesIO(text.encode()))
    return buffer.getvalue()


def run_git(folder: Path, *words: str) -> str:
    """Run git as nobody in particular."""
    who = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "safe.directory=*")
    environment = {"PATH": REAL_PATH, "HOME": str(folder), "GIT_CONFIG_NOSYSTEM": "1"}
    command = ["git", *who, "-C", str(folder), *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()


def make_checkout(folder: Path) -> Path:
    """Make a checkout of 3.4.9 whose origin has the tag v3.5.0 too, and return it."""
    checkout, remote = folder / "netpoint", folder / "remote"
    write_files(checkout, {**release("3.4.9"), ".gitignore": IGNORED})
    for line in (
        "init -q -b master",
        "add .",
        "commit -q -m 3.4.9",
        "tag v3.4.9",
        "checkout -q -b next",
        "rm -q -r docs",
    ):
        run_git(checkout, *line.split())
    write_files(checkout, release("3.5.0"))
    for line in ("add -A", "commit -q -m 3.5.0", "tag v3.5.0", f"clone -q --bare {checkout} {remote}",
                 f"remote add origin {remote}", "checkout -q master", "branch -q -D next", "tag -d v3.5.0",
                 "fetch -q --no-tags origin"):  # fmt: skip
        run_git(checkout, *line.split())
    return checkout


PATIENCE = 300.0  # seconds; on a quiet machine nothing takes more than five


def eventually(condition: Callable[[], bool], seconds: float = PATIENCE) -> bool:
    """Wait for something, and tell whether it came."""
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.005)
    return condition()


Seen = dict[str, tuple[object, ...]]


def look(base: Path, *names: str, leave_out: Iterable[Path] = ()) -> Seen:
    """Return all that is in some folders of a folder: kind, mode, owner, and content or target of each entry."""
    left_out = {base / path for path in leave_out}
    return {
        str(path.relative_to(base)): _entry(path)
        for name in names
        for path in [base / name, *(base / name).rglob("*")]
        if path not in left_out and left_out.isdisjoint(path.parents)
    }


def differences(before: Seen, after: Seen) -> list[str]:
    """Return what is not as before, in words."""
    gone = [f"{name} is gone" for name in before if name not in after]
    new = [f"{name} is new" for name in after if name not in before]
    other = [name for name in before if name in after and before[name] != after[name]]
    return [*gone, *new, *(f"{name}: {before[name]} became {after[name]}" for name in other)]


def _entry(path: Path) -> tuple[object, ...]:
    known = path.lstat()
    owner = (known.st_uid, known.st_gid)
    if stat.S_ISLNK(known.st_mode):
        return ("link", owner, path.readlink())
    if stat.S_ISDIR(known.st_mode):
        return ("folder", owner, oct(known.st_mode))
    return ("file", owner, oct(known.st_mode), path.read_bytes())


WRITTEN = """for number in /proc/$$/fd/*; do
    if [ -f "$number" ] && grep -q '^flags:.*[12]$' "/proc/$$/fdinfo/${number##*/}"; then
        file=$(readlink "$number")
        echo "$file" >>"$WORLD/written"
    fi
done
exec "$STAND_INS/%s" "$@"
"""


@dataclass
class Server:
    """One server, of a release archive or (`checkout`: a folder to copy) of git."""

    base: Path
    checkout: Path | None = None
    run_id: str = "r1"
    shell: tuple[str, ...] = ("sh",)
    changed: dict[str, str] = field(default_factory=dict)  # variables that differ from what plan.py would say
    archive: bytes = b""

    def __post_init__(self) -> None:
        self.folder = self.base / AWKWARD
        self.world = self.base / "world"
        for path in (
            "opt",
            "etc/systemd/system",
            "etc/cron.daily",
            "run/systemd/system",
            "var/backups",
            "var/state/runs",
        ):
            (self.folder / path).mkdir(parents=True)
        (self.world / "units").mkdir(parents=True)
        (self.world / "ours").mkdir()
        (self.world / "web").mkdir()
        (self.world / "bin").mkdir()  # what does something else than the stand-ins, see `replace`
        write_files(self.world, {
            "clock": "0\n", "pace": "1\n", "said": "", "rows": "7\n", "sessions": "0\n", "web.fails": "0\n", "page": "",
            "changelog": "extras_objectchange 12 2030-01-02T03:04:05.6+00\n", "changes": "", "views": "",
            "showmigrations": "[X]  dcim.0001_initial\n", "database": "dcim|0001_initial\n", "trip.count": "0\n",
        })  # fmt: skip
        self._install()
        for unit in ("netpoint", "netpoint-rq"):
            self.unit(unit, f"{self.root}/venv/bin/{unit}")
        self.bundle()

    @property
    def git(self) -> bool:
        return self.checkout is not None

    # ---- places

    @property
    def root(self) -> Path:
        return self.folder / "opt/netpoint"

    @property
    def link(self) -> str:
        """What the root points to, with the slash at its end that a Path would not show."""
        return os.readlink(self.root)  # noqa: PTH115  Path would take its last slash away

    @property
    def old(self) -> Path:
        return self.root if self.git else self.folder / "opt/netpoint-3.4.9"

    @property
    def new(self) -> Path:
        return self.root if self.git else self.folder / "opt/netpoint-3.5.0"

    @property
    def state(self) -> Path:
        return self.folder / "var/state"

    @property
    def run(self) -> Path:
        return self.state / "runs" / self.run_id

    @property
    def dump(self) -> Path:
        return self.folder / "var/backups" / self.run_id / "database.dump"

    @property
    def archived(self) -> Path:
        return self.state / "archives" / f"{self.sha256}.tar.gz"

    @property
    def sha256(self) -> str:
        return sha256(self.archive).hexdigest()

    # ---- what is there

    def _install(self) -> None:
        self.archive = pack(release("3.5.0"))
        write_files(self.world / "web", {"v3.5.0.tar.gz": ""})
        (self.world / "web/v3.5.0.tar.gz").write_bytes(self.archive)
        if self.checkout:
            shutil.copytree(self.checkout, self.old, symlinks=True)
            self.changed["COMMIT"] = run_git(self.checkout, "rev-parse", "origin/next")
        else:
            write_files(self.old, release("3.4.9"), at=BIRTHDAY)
            self.root.symlink_to("netpoint-3.4.9/")
        write_files(self.old, {
            "netpoint/netpoint/configuration.py": CONFIGURATION,
            "gunicorn.py": "bind = '127.0.0.1:8001'\n",
            "netpoint/media/image-attachments/switch.png": "PNG",
            "netpoint/scripts/move.py": "print('moved')\n",
            "netpoint/static/x.css": "old\n",
        })  # fmt: skip
        (self.old / "netpoint/netpoint/configuration.py").chmod(0o640)
        (self.old / "venv/bin").mkdir(parents=True)
        # A service's process has nothing of our environment.
        known = {name: self.environment[name] for name in ("STAND_INS", "REAL_PATH", "REAL_PYTHON", "WORLD")}
        text = f'#!/bin/sh\n{assignments(known.items(), export=True)}exec {shlex.quote(str(BIN / "python3"))} "$@"\n'
        write_files(self.old, {"venv/bin/python3": text})

    def run_git(self, *words: str) -> str:
        return run_git(self.old, *words)

    def unit(self, name: str, command: str, *, active: bool = True, **properties: str) -> Path:
        """Let systemd know a unit."""
        path = self.folder / "etc/systemd/system" / f"{name}.service"
        settings = ("Environment", "EnvironmentFile", "WorkingDirectory")
        path.write_text(
            UNIT.format(command=command)
            + "".join(f"{key}={properties[key]}\n" for key in settings if key in properties)
        )
        told = {
            "FragmentPath": str(path),
            "User": getpass.getuser(),
            "RestartUSec": "100ms",
            "MainPID": "7",
            **properties,
        }
        write_files(self.world / "units", {f"{name}.service": "".join(f"{key}={text}\n" for key, text in told.items())})
        running = self.world / "units" / f"{name}.service.active"
        running.touch() if active else running.unlink(missing_ok=True)
        return path

    @property
    def active(self) -> list[str]:
        return sorted(path.name.removesuffix(".service.active") for path in (self.world / "units").glob("*.active"))

    @property
    def said(self) -> list[str]:
        """The calls of stand-ins, in order."""
        return (self.world / "said").read_text().splitlines()

    @property
    def migrations(self) -> list[str]:
        return (self.world / "database").read_text().splitlines()

    def tell(self, **files: str) -> None:
        """Tell the stand-ins how to behave: `tell(upgrade_fails=...)` writes the file upgrade.fails."""
        write_files(self.world, {name.replace("_", "."): text for name, text in files.items()})

    def replace(self, program: str, text: str) -> None:
        """Let a stand-in do something else."""
        write_files(self.world, {f"bin/{program}": f"#!/bin/sh\n{text}\n"})

    def record_written(self, *programs: str) -> Path:
        """Let stand-ins write down which files they can write to by a descriptor that they were given."""
        for program in programs:
            self.replace(program, WRITTEN % program)
        written = self.world / "written"
        written.touch()
        return written

    def look(self, *leave_out: str) -> Seen:
        """Return all that a step may change and its undo has to put back; `leave_out` counts from the new tree."""
        left_out = [self.old / ".git", *(self.new / name for name in leave_out)]
        seen = look(self.folder, "opt", "etc", leave_out=left_out) | look(self.world, "units")
        seen["database"] = tuple(self.migrations)
        if self.git:
            seen["git"] = tuple(self.run_git("status", "--porcelain", "--branch").splitlines())
            seen["aside"] = ((self.old / ".git/netpoint-remote").exists(),)
        return seen

    # ---- the run

    @property
    def variables(self) -> dict[str, str]:
        return {
            "PRODUCT": "netpoint", "METHOD": "git" if self.git else "archive", "ROOT": str(self.root),
            "OLD": str(self.old), "NEW": str(self.new), "OLD_VERSION": "3.4.9", "VERSION": "3.5.0",
            "TREE_VERSION": "3.5.0", "SERVICES": "netpoint netpoint-rq", "STATE_DIR": str(self.state),
            "BACKUP_DIR": str(self.folder / "var/backups"), "CRON_DIR": str(self.folder / "etc/cron.daily"),
            "PYTHON": "", "PLUGINS": "", "HEALTH_URL": "", "HEALTH_HEADERS": "", "BACKUPS": "", "FOLDERS": FOLDERS,
            "ARCHIVE_SHA256": self.sha256,
            "ASIDE": f"{self.old}/{'.git/netpoint-remote' if self.git else '.netpoint-remote'}/3.4.9",
            "TAG": "v3.5.0", "COMMIT": "", "RUN_ID": self.run_id, "OPERATOR": "t",
            "HOST": "np1", "GOAL": "upgraded", "PURPOSE": "upgrade",
            "RUN_URL": f"file://{self.run}", **self.changed,
        }  # fmt: skip

    def bundle(self, **changed: str) -> None:
        """Write the run's bundle with some variables changed."""
        self.changed.update(changed)
        bundle = self.run / "bundle"
        bundle.mkdir(parents=True, exist_ok=True)
        for name in (*BUNDLED, "steps"):
            if not (bundle / name).exists():
                (bundle / name).symlink_to(REMOTE / name)
        variables = assignments(self.variables.items())
        write_files(bundle, {"vars.sh": variables, "environment.sh": assignments(ENVIRONMENT, export=True)})
        (self.run / "journal").touch()
        (self.run / "log").touch()

    def repack(self, more: Mapping[str, str]) -> None:
        """Have another archive, with some files more, where the first one was."""
        self.archive = pack({**release("3.5.0"), **more})
        self.archived.write_bytes(self.archive)
        self.bundle()

    def set_environment(self, variables: Iterable[tuple[str, str]]) -> None:
        """Give upgrade.sh and the downloads other variables than usual."""
        write_files(self.run, {"bundle/environment.sh": assignments(variables, export=True)})

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PATH": f"{self.world}/bin:{BIN}:{REAL_PATH}", "STAND_INS": str(BIN),
            "REAL_PATH": REAL_PATH, "REAL_PYTHON": REAL_PYTHON,
            "WORLD": str(self.world), "RUN": str(self.run), "HOME": str(self.base), "GIT_CONFIG_NOSYSTEM": "1",
        }  # fmt: skip

    # ---- acts

    def keep(self) -> None:
        """Keep all of it next to its folder, as it is now, for `as_kept`."""
        subprocess.run(["cp", "-a", "--", self.base, f"{self.base}.kept"], check=True)

    def as_kept(self) -> "Server":
        """Put back what was kept, at the same place: many files name it. Return it as another server of that place."""
        shutil.rmtree(self.base)
        subprocess.run(["cp", "-a", "--", f"{self.base}.kept", self.base], check=True)
        return copy.deepcopy(self)

    def record(self) -> None:
        """Write down what prepare.sh and the step record_before would, at once."""
        write_files(self.run, {
            "python": str(BIN / "python3"),
            "settings": "",
            "upgrade.env": "",
            "database.env": assignments((("PGDATABASE", "netpoint"), ("PGPASSWORD", PASSWORD)), export=True),
            "before/user": f"{getpass.getuser()}\n",
            "before/active": "".join(f"{name}\n" for name in self.active),
            "before/migrations": "".join(f"{line}\n" for line in self.migrations),
            "before/link": "" if self.git else f"{self.link}\n",
            "before/ref": "master\n",
            "before/views": "", "before/page": "page.login=200\n",
            "before/complete": "",
        })  # fmt: skip
        (self.run / "before/units").mkdir(exist_ok=True)

    def prepare(self) -> "subprocess.CompletedProcess[str]":
        """Do what main.sh does before the first step."""
        return self.sh([str(self.run / "bundle/prepare.sh")])

    def step(self, name: str, verb: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        """Run one verb of one step, as main.sh does but for its limit."""
        (self.run / "reason").unlink(missing_ok=True)
        return self.sh([str(self.run / "bundle/step.sh"), name, verb], **environment)

    def visit(self, script: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        """Run the script of a visit as our reader does: it may be too long for an argument."""
        return self.sh(["-c", 'eval "$(cat)"'], text=script, **environment)

    def sh(
        self, words: list[str], *, text: str | bytes = "", detaches: bool = False, **environment: str
    ) -> "subprocess.CompletedProcess[str]":
        """Run a script with this server's PATH; what it leaves running ends with it, unless it `detaches`."""
        with subprocess.Popen(
            [*self.shell, *words], env={**self.environment, **environment}, stdin=subprocess.PIPE, cwd=self.base,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        ) as process:  # fmt: skip
            try:
                output, _ = process.communicate(text.encode() if isinstance(text, str) else text, timeout=PATIENCE)
            finally:
                if not detaches:
                    with suppress(ProcessLookupError):
                        os.killpg(process.pid, signal.SIGKILL)
        return subprocess.CompletedProcess(words, process.returncode, output.decode(errors="replace"))

    def tree_users(self, verb: str) -> str:
        """Return what tree_users.py prints of this server."""
        return self.in_run(f"tree_users {verb}").stdout

    def in_run(self, command: str, *, text: str = "", **environment: str) -> "subprocess.CompletedProcess[str]":
        """Run a command of ours with a run's variables, as a step does."""
        begin = 'BUNDLE=$RUN/bundle; . "$BUNDLE/vars.sh"; . "$BUNDLE/lib.sh"; '
        return self.sh(["-c", begin + command], text=text, **environment)

    def apply(self, *names: str) -> None:
        """Carry out steps that have to go well."""
        for name in names:
            done = self.step(name, "apply")
            assert done.returncode == 0, f"{name}: {done.stdout}"

    @property
    def reason(self) -> str:
        path = self.run / "reason"
        return path.read_text().strip() if path.exists() else ""

    @property
    def journal(self) -> list[str]:
        """The journal without its times."""
        return [line.partition(" ")[2] for line in (self.run / "journal").read_text().splitlines()]

    def fill_disks(self, blocks: int = 0) -> None:
        """Let no script write more than so many 512-byte blocks to any file, as on a disk without room for more."""
        self.shell = ("dash", "-c", f'trap \'\' XFSZ; ulimit -f {blocks}; exec dash "$0" "$@"')

    def free_disks(self) -> None:
        self.shell = ("dash",)

    def arm_trip(self) -> None:
        """Put a trip before every command that changes something."""
        folder = self.world / "trips"
        folder.mkdir()
        for name in MUTATING:
            (folder / name).symlink_to(BIN / "trip")

    def trip(self, name: str, at: int, *, verb: str = "apply") -> bool:
        """Carry out a step that is killed at its n-th change; tell whether there was one."""
        self.tell(trip_count="0\n")
        done = self.step(name, verb, PATH=f"{self.world}/trips:{self.environment['PATH']}", TRIP_AT=str(at))
        return done.returncode == -signal.SIGKILL


def make_git_a_file(server: Server, *, worktree: bool) -> Path:
    """Let the checkout have its repository elsewhere, and return where."""
    if worktree:
        moved = server.folder / "opt/main"
        server.old.rename(moved)
        run_git(moved, "checkout", "-q", "--detach")
        run_git(moved, "worktree", "add", "-q", str(server.old), "master")
        shutil.copytree(moved, server.old, dirs_exist_ok=True, symlinks=True, ignore=shutil.ignore_patterns(".git"))
        return moved / ".git/worktrees" / server.old.name
    elsewhere = server.folder / "opt/netpoint.git"
    run_git(server.old, "init", "-q", f"--separate-git-dir={elsewhere}")
    return elsewhere
