"""Make a virtual environment with a pip of our own: what takes `python3 -m venv` seconds takes this none."""

import os
import shutil
import sys

HERE = os.path.dirname(os.path.abspath(__file__))

if __name__ == "__main__":
    from scripts import write, write_script
else:
    from netpoint_remote.practice.standins.scripts import write, write_script

PIP_VERSION = "23.0.1"

ACTIVATE = """\
deactivate () {{ PATH=$_OLD_VIRTUAL_PATH; export PATH; unset VIRTUAL_ENV _OLD_VIRTUAL_PATH; unset -f deactivate; }}
VIRTUAL_ENV='{folder}'
export VIRTUAL_ENV
_OLD_VIRTUAL_PATH=$PATH
PATH=$VIRTUAL_ENV/bin:$PATH
export PATH
hash -r 2>/dev/null || :
"""


def main(arguments: list[str]) -> int:
    python, *rest = arguments
    folders = [argument for argument in rest if not argument.startswith("-")]
    if not folders:
        print("usage: venv [-h] [--without-pip] ENV_DIR [ENV_DIR ...]", file=sys.stderr)
        return 2
    for folder in folders:
        make_environment(python, os.path.abspath(folder), clear="--clear" in rest, pip="--without-pip" not in rest)
    return 0


def make_environment(python: str, folder: str, *, clear: bool = False, pip: bool = True) -> None:
    """Make the environment of an interpreter in a folder, new or there already."""
    if clear:
        shutil.rmtree(folder, ignore_errors=True)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = os.path.join(folder, "lib", version, "site-packages")
    for needed in (packages, os.path.join(folder, "bin"), os.path.join(folder, "include")):
        os.makedirs(needed, exist_ok=True)
    for name, target in (("python3", python), ("python", "python3"), (version, "python3")):
        place = os.path.join(folder, "bin", name)
        if os.path.lexists(place):
            os.unlink(place)
        os.symlink(target, place)
    number = ".".join(map(str, sys.version_info[:3]))
    write(
        os.path.join(folder, "pyvenv.cfg"),
        f"home = {os.path.dirname(python)}\ninclude-system-site-packages = false\nversion = {number}\n",
    )
    write(os.path.join(folder, "bin", "activate"), ACTIVATE.format(folder=folder.replace("'", "'\\''")))
    if pip:
        _give_pip(folder, packages)


def _give_pip(folder: str, packages: str) -> None:
    os.makedirs(os.path.join(packages, "pip"), exist_ok=True)
    write(os.path.join(packages, "pip", "__init__.py"), f'__version__ = "{PIP_VERSION}"\n')
    shutil.copyfile(os.path.join(HERE, "pip.py"), os.path.join(packages, "pip", "__main__.py"))
    shutil.copyfile(os.path.join(HERE, "scripts.py"), os.path.join(packages, "pip", "scripts.py"))
    record = os.path.join(packages, f"pip-{PIP_VERSION}.dist-info")
    os.makedirs(record, exist_ok=True)
    write(os.path.join(record, "METADATA"), f"Metadata-Version: 2.1\nName: pip\nVersion: {PIP_VERSION}\n")
    for name in ("pip", "pip3"):
        write_script(folder, name, "pip.__main__", "main")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
