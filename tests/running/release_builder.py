"""Builds small releases: archives, broken and hostile ones, git remotes."""

import io
import os
import subprocess
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

DOCUMENT = """
| Dependency | Minimum Version |
|------------|-----------------|
| Python     | 3.8             |
| PostgreSQL | 11              |
| Redis      | 4.0             |
"""


def tree(version: str = "3.5.0", product: str = "netpoint") -> dict[str, str]:
    """Return the files of a small release."""
    return {
        "upgrade.sh": "#!/bin/bash\necho 'Upgrade complete!'\n",
        "requirements.txt": "Django==4.1.8\n",
        "docs/installation/upgrading.md": DOCUMENT,
        "docs/release-notes/version-3.4.md": "# 3.4\n",
        "docs/release-notes/version-3.5.md": "# 3.5\n",
        f"{product}/{product}/settings.py": f"VERSION = '{version}'\n",
        f"{product}/dcim/migrations/0130_sitegroup.py": "",
    }


def member(name: str, text: str = "", **changes: object) -> tuple[tarfile.TarInfo, bytes]:
    """Return one entry of a tar archive; `changes` are set on its header."""
    data = text.encode()
    header = tarfile.TarInfo(name)
    header.size = len(data)
    header.mode = 0o755 if name.endswith(".sh") else 0o644
    for key, value in changes.items():
        setattr(header, key, value)
    return header, data


def members(files: Mapping[str, str], top: str) -> list[tuple[tarfile.TarInfo, bytes]]:
    return [member(f"{top}/{path}", text) for path, text in files.items()]


def write_tar(path: Path, entries: list[tuple[tarfile.TarInfo, bytes]], mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as tar:
        for header, data in entries:
            tar.addfile(header, io.BytesIO(data))
    return path


def write_release(path: Path, version: str = "3.5.0", *extra: tuple[tarfile.TarInfo, bytes]) -> Path:
    """Write a release as GitHub does: its top folder is named as the repository, not as the product."""
    mode = "w:xz" if path.name.endswith(".xz") else "w:gz"
    return write_tar(path, [*members(tree(version), f"NetPoint-{version}"), *extra], mode)


def write_zip(path: Path, version: str = "3.5.0") -> Path:
    """Write a zip without any modes, as some other systems do."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in tree(version).items():
            archive.writestr(f"netpoint-{version}/{name}", text)
    return path


def release_bytes(folder: Path, version: str = "3.5.0") -> bytes:
    return write_release(folder / "served.tar.gz", version).read_bytes()


def git(folder: Path, *arguments: str) -> str:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "GIT_CONFIG_NOSYSTEM": "1",
        **{f"GIT_{role}_{what}": "x@example.org" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
    }
    done = subprocess.run(["git", *arguments], cwd=folder, env=environment, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def git_remote(folder: Path, versions: tuple[str, ...]) -> Path:
    """Make a repository with one commit and one annotated tag for each version."""
    folder.mkdir()
    git(folder, "init", "-q")
    for version in versions:
        for path, text in tree(version).items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
        git(folder, "add", ".")
        git(folder, "commit", "-q", "-m", version)
        git(folder, "tag", "-a", "-m", version, f"v{version}")
    return folder
