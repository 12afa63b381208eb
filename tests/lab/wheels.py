"""The package index of the lab servers: one folder of wheels, fetched once from this machine's ordinary index.

They are repacked (`repacking.py`), and pip is the one that `venv` brings, so that upgrade.sh finds it up to date.
`mkdocs` is a stand-in of ours: the real one brings thirty packages, and no test looks at what it builds.
"""

from __future__ import annotations

import platform
import shutil
import sys
import zipfile
from typing import TYPE_CHECKING

from tests.lab.cache import built_once, digest
from tests.lab.repacking import repack
from tests.lab.rootfs import ENSURED_WHEELS, key, python_version, rootfs

if TYPE_CHECKING:
    from pathlib import Path

    from tests.lab.slots import Slot

REQUIREMENTS = (
    ("Django==4.2.16", "gunicorn==22.0.0", "psycopg2-binary==2.9.10", "redis==5.0.8", "rq==1.13.0", "wheel"),
    ("async-timeout", "setuptools<81", "typing-extensions"),  # asked for on some Pythons, or by who builds packages
    ("redis==5.0.8", "rq==1.16.2"),
    ("redis==5.0.8", "rq==2.0.0"),
)
"""Sets that are resolved one by one: they differ in their rq."""

DOCS_PACKAGE = "lab_mkdocs"
DOCS_BUILDER = '''\
"""Writes each page of the documentation as plain HTML."""

import html
import sys
from pathlib import Path


def main():
    for page in sorted(Path("docs").rglob("*.md")):
        text = page.read_text()
        if "::: broken" in text:
            sys.exit(f"ERROR - Error reading page '{page}': 'dict' object has no attribute 'link_titles'")
        target = Path("netpoint/project-static/docs", page.relative_to("docs")).with_suffix(".html")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(f"<pre>{html.escape(text)}</pre>")
    print("INFO    -  Documentation built")
'''


def wheels() -> Path:
    """Return the folder of wheels for the lab's Python, fetching it when it is not in the cache."""
    return built_once(f"wheels-{recipe()}", lambda slot: _fetch(slot, rootfs()))


def recipe() -> str:
    """Return the name of how the wheels are made at present, and the root filesystem that they are made for."""
    return digest(key(), platform.machine(), DOCS_BUILDER, repr(REQUIREMENTS))


def _fetch(slot: Slot, root: Path) -> None:
    pip = _whole_pip(root)
    python = python_version(root)
    for requirements in (*REQUIREMENTS, *(() if pip else (("pip",),))):
        slot.run(
            [
                *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"),
                *("--only-binary=:all:", "--implementation=cp", f"--python-version={python}", f"--dest={slot.folder}"),
                *(f"--platform={name}_{platform.machine()}" for name in ("manylinux2014", "manylinux_2_28", "linux")),
                *requirements,
            ]
        )
    _write_docs_wheel(slot.folder)
    for wheel in slot.folder.glob("*.whl"):
        repack(wheel, root)
    if pip:
        shutil.copy(pip, slot.folder)


def _whole_pip(root: Path) -> Path | None:
    """Return the wheel of pip that `venv` installs, unless its libraries are in wheels of their own (Debian 11)."""
    for wheel in (root / ENSURED_WHEELS).glob("pip-*.whl"):
        if "pip/_vendor/requests/__init__.py" in zipfile.ZipFile(wheel).namelist():
            return wheel
    return None


def _write_docs_wheel(folder: Path) -> None:
    about = f"{DOCS_PACKAGE}-1.0.dist-info"
    files = {
        f"{DOCS_PACKAGE}.py": DOCS_BUILDER,
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {DOCS_PACKAGE}\nVersion: 1.0\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nGenerator: lab\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{about}/entry_points.txt": f"[console_scripts]\nmkdocs = {DOCS_PACKAGE}:main\n",
    }
    files[f"{about}/RECORD"] = "".join(f"{path},,\n" for path in [*files, f"{about}/RECORD"])
    with zipfile.ZipFile(folder / f"{DOCS_PACKAGE}-1.0-py3-none-any.whl", "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)
