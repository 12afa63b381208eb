"""Releases of a small NetPoint of our own: archives as GitHub makes them, and a git repository with their tags.

All releases grow from one tree (`tree/`). A line `#@ from 3.4.5 to 3.6.9` opens a part that only those releases have,
`#@ end` closes it; `FILES` says which releases have a file at all.

    make_release("3.5.0", folder)                                  # folder/v3.5.0.tar.gz
    make_release("3.5.0", folder, faults=(Fault.MIGRATION_FAILS,))
    make_git(("3.4.9", "3.5.0"), folder / "netpoint.git")
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
import tempfile
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.version import Version
from tests.lab.cache import digest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

TREE = Path(__file__).parent / "tree"
VERSIONS = ("2.10.10", "2.11.12", "3.4.9", "3.5.0", "3.7.2")

FIRST, LAST = Version("0"), Version("99")
MIGRATIONS = "netpoint/dcim/migrations"
FILES = {
    f"{MIGRATIONS}/0003_device_serial.py": (FIRST, Version("2.99")),
    f"{MIGRATIONS}/0122_cable.py": (FIRST, Version("2.99")),
    f"{MIGRATIONS}/0130_sitegroup.py": (Version("2.11"), Version("2.99")),
    f"{MIGRATIONS}/0003_squashed_0130.py": (Version("3.0"), LAST),
    f"{MIGRATIONS}/0131_site_description.py": (Version("3.0"), LAST),
    f"{MIGRATIONS}/0167_device_status.py": (Version("3.0"), LAST),
    f"{MIGRATIONS}/0168_device_label.py": (Version("3.5"), LAST),
    f"{MIGRATIONS}/0169_move_serials.py": (Version("3.5"), LAST),
    f"{MIGRATIONS}/0170_slow_recount.py": (Version("3.5"), LAST),
    f"{MIGRATIONS}/0171_remove_device_serial.py": (Version("3.5"), LAST),
    f"{MIGRATIONS}/0182_zero_length_cable_fix.py": (Version("3.7"), LAST),
    "netpoint/extras/migrations/0091_create_managedfiles.py": (Version("3.5"), LAST),
    "netpoint/extras/management/commands/clearcache.py": (Version("2.0"), LAST),
    "netpoint/extras/management/commands/invalidate.py": (FIRST, Version("2.99")),
    "netpoint/extras/management/commands/housekeeping.py": (Version("3.0"), LAST),
    "contrib/gunicorn.py": (FIRST, Version("3.6")),
    "contrib/netpoint-housekeeping.sh": (Version("3.0"), LAST),
    "contrib/netpoint-housekeeping.service": (Version("3.6"), LAST),
    "contrib/netpoint-housekeeping.timer": (Version("3.6"), LAST),
    "docs/release-notes/version-2.11.md": (Version("2.11"), LAST),
    "docs/release-notes/version-3.4.md": (Version("3.4"), LAST),
    "docs/release-notes/version-3.5.md": (Version("3.5"), LAST),
    "docs/release-notes/version-3.7.md": (Version("3.7"), LAST),
}
"""Files only some releases have: from the first version to the second. All others are in every release."""

REPORTED = {"3.7.2": "3.7.3-dev"}
"""What a release says it is, where that is not its number: as the only released NetPoint does."""

TOP_FOLDERS = {"3.7.2": "NetPoint-3.7.2"}
PROGRAMS = ("upgrade.sh", "contrib/netpoint-housekeeping.sh", "netpoint/manage.py", "netpoint/generate_secret_key.py")
REQUIREMENTS = """\
Django==4.2.16
gunicorn==22.0.0
lab-mkdocs==1.0
psycopg2-binary==2.9.10
redis==5.0.8
"""
EPOCH = 1_700_000_000
GO_ON = "go_on"
"""The database role for which the last migration of a release may wait; any session sees it as soon as it exists."""

WAIT_FOR_ROLE = f"""\
DO $$ BEGIN
    FOR seconds IN 1..3600 LOOP
        FOR tenths IN 1..10 LOOP
            IF EXISTS (SELECT FROM pg_roles WHERE rolname = '{GO_ON}') THEN RETURN; END IF;
            PERFORM pg_sleep(0.1);
        END LOOP;
    END LOOP;
    RAISE EXCEPTION 'waited an hour for the role {GO_ON}';
END $$"""
DYING_SECONDS = 8


class Fault(Enum):
    """What can be wrong with a release."""

    MIGRATION_FAILS = "its last migration deletes half of the devices and then fails"
    MIGRATION_WAITS = f"its last migration waits until the database has the role {GO_ON}"
    SERVICE_DIES = f"its web service dies {DYING_SECONDS} s after a start by its unit"
    WORKER_DIES = f"its worker dies {DYING_SECONDS} s after a start by its unit"
    WORKER_UNPINNED = "it does not say which rq it needs, and the newest one breaks its worker"
    DOCS_FAIL = "its documentation cannot be built"
    OLD_VERSION = "it serves pages that say 3.4.9"


def generator() -> str:
    """Return a short name for the present state of this generator."""
    trunk = Path(__file__).parent
    sources = sorted(path for path in (*TREE.rglob("*"), Path(__file__)) if path.is_file() and path.suffix != ".pyc")
    return digest(*(f"{path.relative_to(trunk)}\n{path.read_text()}" for path in sources))


def make_release(version: str, folder: Path, *, faults: Iterable[Fault] = ()) -> Path:
    """Write the release's archive, as GitHub names and packs it, into a folder; return its path."""
    archive = folder / f"v{version}.tar.gz"
    with tempfile.TemporaryDirectory(dir=folder, prefix=".") as scratch:
        top = Path(scratch) / top_folder(version)
        write_tree(version, top, faults=faults)
        with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
            tar.add(top, top.name, filter=_as_published)
    return archive


def make_git(versions: Iterable[str], path: Path, *, faults: Mapping[str, Iterable[Fault]] | None = None) -> Path:
    """Write a bare repository with a tag for each version, the last one on `master`; return its path."""
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".") as scratch:
        work = Path(scratch) / "work"
        _git("init", "--quiet", "--initial-branch=master", str(work))
        for version in versions:
            _commit_release(version, work, (faults or {}).get(version, ()))
        _git("clone", "--quiet", "--bare", str(work), str(path))
        _git("update-server-info", folder=path)
    return path


def write_tree(version: str, folder: Path, *, faults: Iterable[Fault] = ()) -> None:
    """Write the release's files into a folder that may already have some."""
    for source in sorted(TREE.rglob("*")):
        name = source.relative_to(TREE)
        if source.is_file() and "__pycache__" not in name.parts and _has(version, str(name)):
            _write_file(version, source, folder / name.parent / name.name.replace("gitignore", ".gitignore"))
    (folder / "requirements.txt").write_text(_requirements(version))
    for program in PROGRAMS:
        if (folder / program).exists():
            (folder / program).chmod(0o755)
    for fault in faults:
        _add_fault(fault, folder)


def top_folder(version: str) -> str:
    """Return the folder a release's archive unpacks to."""
    return TOP_FOLDERS.get(version, f"netpoint-{version}")


def reported_version(version: str) -> str:
    """Return what a release says it is."""
    return REPORTED.get(version, version)


def _has(version: str, name: str) -> bool:
    first, last = FILES.get(name, (FIRST, LAST))
    return first <= Version(version) <= last


def _write_file(version: str, source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    text = source.read_text().replace("@VERSION@", reported_version(version))
    target.write_text("".join(_lines_of(version, text)))


def _lines_of(version: str, text: str) -> Iterator[str]:
    inside = True
    for line in text.splitlines(keepends=True):
        if line.startswith("#@"):
            inside = _opens(version, line.split()[1:])
        elif inside:
            yield line


def _opens(version: str, words: list[str]) -> bool:
    bounds = dict(zip(words[::2], words[1::2], strict=False))
    return Version(bounds.get("from", "0")) <= Version(version) <= Version(bounds.get("to", "99"))


def _requirements(version: str) -> str:
    worker = "rq==1.16.2" if Version(version) >= Version("3.6") else "rq==1.13.0"
    return f"{REQUIREMENTS}{worker}\n"


def _add_fault(fault: Fault, folder: Path) -> None:
    if fault is Fault.MIGRATION_FAILS:
        _add_migration(folder, "fails", "DELETE FROM dcim_device WHERE id % 2 = 0", "SELECT 1 / 0")
    elif fault is Fault.MIGRATION_WAITS:
        _add_migration(folder, "waits", WAIT_FOR_ROLE)
    elif fault is Fault.SERVICE_DIES:
        _append(folder / "netpoint/netpoint/wsgi.py", _dying_in("netpoint.service", "os.kill(os.getppid(), 9)"))
    elif fault is Fault.WORKER_DIES:
        worker = folder / "netpoint/extras/management/commands/rqworker.py"
        _append(worker, f"import os\n{_dying_in('netpoint-rq.service', 'os.kill(os.getpid(), 9)')}")
    elif fault is Fault.WORKER_UNPINNED:
        _replace(folder / "requirements.txt", "rq==1.13.0", "rq")
    elif fault is Fault.DOCS_FAIL:
        _append(folder / "docs/index.md", "\n::: broken\n")
    elif fault is Fault.OLD_VERSION:
        _append(folder / "netpoint/netpoint/settings.py", '\nVERSION = "3.4.9"\n')


def _add_migration(folder: Path, name: str, *statements: str) -> None:
    migrations = folder / MIGRATIONS
    last = max(path.stem for path in migrations.glob("0*.py"))
    operations = "".join(f"        migrations.RunSQL({statement!r}),\n" for statement in statements)
    (migrations / f"0999_{name}.py").write_text(
        "from django.db import migrations\n\n\n"
        "class Migration(migrations.Migration):\n"
        "    atomic = False\n"
        f"    dependencies = [('dcim', '{last}')]\n"
        f"    operations = [\n{operations}    ]\n"
    )


def _dying_in(unit: str, action: str) -> str:
    return (
        "\nimport threading\nfrom pathlib import Path\n\n"
        f"if '/{unit}' in Path('/proc/self/cgroup').read_text():\n"
        f"    timer = threading.Timer({DYING_SECONDS}, lambda: {action})\n"
        "    timer.daemon = True\n"
        "    timer.start()\n"
    )


def _append(path: Path, text: str) -> None:
    path.write_text(path.read_text() + text)


def _replace(path: Path, old: str, new: str) -> None:
    path.write_text(path.read_text().replace(old, new))


def _as_published(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    member.mtime = EPOCH
    member.mode = 0o775 if member.isdir() or member.mode & 0o100 else 0o664
    return member


def _commit_release(version: str, work: Path, faults: Iterable[Fault]) -> None:
    for path in work.iterdir():
        if path.name != ".git":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    write_tree(version, work, faults=faults)
    _git("add", "--all", "--force", folder=work)
    _git("commit", "--quiet", f"--message=Release v{version}", folder=work)
    _git("tag", "--annotate", f"--message=v{version}", f"v{version}", folder=work)


def _git(*arguments: str, folder: Path | None = None) -> None:
    date = f"@{EPOCH} +0000"
    author = {f"GIT_{who}_{what}": "lab" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    environment = {
        **os.environ,
        **author,
        "GIT_AUTHOR_DATE": date,
        "GIT_COMMITTER_DATE": date,
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_SYSTEM": os.devnull,
    }
    subprocess.run(["git", *arguments], cwd=folder, env=environment, check=True)
