"""Releases of a small NetPoint of our own: trees, archives, a git repository, and the wheels they ask for.

The tree comes from the folder `netpoint`. Its files end in `-tpl`, `dot.` stands for a leading dot,
`@WORDS@` depend on the version, and lines (or, in the first two lines, whole files) that end in
`#@ LOW-HIGH` are there only in releases from LOW on and before HIGH.
"""

import gzip
import os
import re
import subprocess
import tarfile
import zipfile
from collections.abc import Iterable, Mapping
from io import BytesIO
from pathlib import Path

from packaging.version import Version

HERE = Path(__file__).parent
MARK = re.compile(r"[ \t]*#@ (?P<low>[\d.]*)-(?P<high>[\d.]*)$")
USUAL = ("2.10.10", "2.11.12", "3.4.9", "3.5.0", "3.7.2")
BIRTHDAY = 1_700_000_000  # every file of a release has one time, as in a real archive
REPORTED = {"3.7.2": "3.7.3-dev"}  # what the released 3.7.2 calls itself
# releases before: Python, PostgreSQL and Redis they ask for at least, and their Django
REQUIREMENTS = (
    ("3.0", "3.6", "9.6", "4.0", "3.2.18"),
    ("3.1", "3.7", "9.6", "4.0", "3.2.18"),
    ("3.2", "3.7", "10", "4.0", "3.2.18"),
    ("3.4", "3.8", "10", "4.0", "4.0.10"),
    ("3.6", "3.8", "11", "4.0", "4.1.9"),
    ("4.0", "3.8", "12", "4.0", "4.2.9"),
    ("9999", "3.10", "12", "4.0", "5.0.6"),
)
# what pip finds in the folder of wheels; the first three are names only
WHEELS = {"pip": "9.0.3", "setuptools": "65.5.0", "wheel": "0.40.0", "gunicorn": "20.1.0", "mkdocs": "1.4.2"}


def write_release(version: str, folder: Path) -> None:
    """Write the tree of a release into a new folder."""
    words = _words(version)
    for source in sorted((HERE / "netpoint").rglob("*-tpl")):
        name = str(source.relative_to(HERE / "netpoint")).removesuffix("-tpl")
        name = name.replace("dot.", ".").replace("@MINOR@", words["@MINOR@"])
        text = _render(source.read_text("utf-8"), Version(version), words)
        if text is not None:
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, "utf-8")
            target.chmod(0o755 if text.startswith("#!") else 0o644)
    give_one_time(folder)


def give_one_time(folder: Path) -> None:
    """Set the time of everything in a folder to the day of the release."""
    for path in (folder, *folder.rglob("*")):
        os.utime(path, (BIRTHDAY, BIRTHDAY), follow_symlinks=False)


def _render(text: str, version: Version, words: Mapping[str, str]) -> str | None:
    lines = text.splitlines(keepends=True)
    for line in lines[:2]:
        whole = MARK.fullmatch(line.rstrip("\n"))
        if whole:
            lines.remove(line)
            if not _covers(whole, version):
                return None
    kept = []
    for line in lines:
        mark = MARK.search(line.rstrip("\n"))
        if mark is None:
            kept.append(line)
        elif _covers(mark, version):
            kept.append(line[: mark.start()] + "\n")
    return re.sub("|".join(words), lambda word: words[word.group()], "".join(kept))


def _covers(mark: re.Match[str], version: Version) -> bool:
    low, high = mark["low"] or "0", mark["high"] or "9999"
    return Version(low) <= version < Version(high)


def _words(version: str) -> dict[str, str]:
    parsed = Version(version)
    row = next(row for row in REQUIREMENTS if parsed < Version(row[0]))
    _, python, postgresql, redis, django = row
    return {
        "@VERSION@": version,
        "@REPORTED@": REPORTED.get(version, version),
        "@MINOR@": f"{parsed.major}.{parsed.minor}",
        "@PYTHON_MINIMUM@": python,
        "@PYTHON@": python.replace(".", ", "),
        "@POSTGRESQL_MINIMUM@": postgresql,
        "@REDIS_MINIMUM@": redis,
        "@DJANGO@": django,
    }


def write_archive(tree: Path, archive: Path, top: str) -> None:
    """Pack a tree as GitHub packs a tag: one folder at the top, the same bytes every time."""

    def plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.uid = member.gid = 0
        member.uname = member.gname = "root"
        return member

    packed = BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        tar.add(tree, arcname=top, filter=plain)
    archive.write_bytes(gzip.compress(packed.getvalue(), 6, mtime=0))


def write_repository(trees: Mapping[str, Path], repository: Path) -> None:
    """Make a bare repository with a commit and a tag for each version; `master` is at the newest."""
    _git("init", "--quiet", "--bare", "--initial-branch=master", str(repository))
    for version in sorted(trees, key=Version):
        place = ("--git-dir", str(repository), "--work-tree", str(trees[version]))
        _git(*place, "add", "--all", "--force")
        _git(*place, "commit", "--quiet", "--message", f"Release v{version}")
        _git(*place, "tag", "--annotate", "--message", f"Version {version}", f"v{version}")


def clone(repository: Path, version: str, checkout: Path) -> None:
    """Make the checkout of someone who cloned `master` when this version was the newest."""
    _git("clone", "--quiet", "--no-checkout", "--branch", "master", str(repository), str(checkout))
    inside = ("-C", str(checkout))
    _git(*inside, "reset", "--quiet", "--hard", f"v{version}")
    newer = [tag for tag in _git(*inside, "tag").split() if Version(tag) > Version(version)]
    if newer:
        _git(*inside, "tag", "--delete", *newer)
    _git(*inside, "update-ref", "refs/remotes/origin/master", "HEAD")


def _git(*arguments: str) -> str:
    someone = {f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER") for what, value in SOMEONE.items()}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    quiet = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull, "LC_ALL": "C"}
    command = ["git", *arguments]
    return subprocess.run(command, env=kept | someone | quiet, check=True, capture_output=True, text=True).stdout


SOMEONE = {"NAME": "Practice", "EMAIL": "practice@localhost", "DATE": f"{BIRTHDAY} +0000"}


def write_wheels(folder: Path) -> None:
    """Write the small wheels that releases and pip itself ask for."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, version in WHEELS.items():
        module = HERE / "packages" / f"{name}.py"
        text = module.read_text("utf-8") if module.exists() else f'"""A stand-in for {name}."""\n'
        write_wheel(folder, name, version, text, commands=[name] if module.exists() else [])


def write_wheel(folder: Path, name: str, version: str, text: str, *, commands: Iterable[str] = ()) -> None:
    """Write a wheel of one module; each command calls the module's `main`."""
    record = f"{name}-{version}.dist-info"
    scripts = "".join(f"{command} = {name}:main\n" for command in commands)
    content = {
        f"{name}.py": text,
        f"{record}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{record}/WHEEL": "Wheel-Version: 1.0\nGenerator: practice\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{record}/entry_points.txt": f"[console_scripts]\n{scripts}",
    }
    content[f"{record}/RECORD"] = "".join(f"{path},,\n" for path in (*content, f"{record}/RECORD"))
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        for path, body in content.items():
            wheel.writestr(zipfile.ZipInfo(path, (2023, 11, 14, 22, 13, 20)), body)
