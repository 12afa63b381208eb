"""What a release's tree says about itself, whether it came from an archive or from git."""

import re
from collections.abc import Iterable, Mapping

from packaging.version import Version

from netpoint_remote.errors import ReleaseError
from netpoint_remote.planning.inventory import Product
from netpoint_remote.planning.version import NotAVersion, parse_version

_SETTINGS_VERSION = re.compile(r"""^VERSION\s*=\s*(['"])([^'"]+)\1""", re.MULTILINE)
_YAML_VALUE = r"""^{key}:\s*(['"]?)([^'"\s#]+)\1\s*(?:#.*)?$"""
_NOTES = re.compile(r"docs/release-notes/version-(\d+\.\d+)\.md")
_MIGRATION = re.compile(r"([a-z_]\w*)/migrations/(\d\w*)\.py")

_TEXTS = ("requirements.txt", "upgrade.sh", "docs/installation/upgrading.md", "docs/installation/index.md")


def texts_of_interest(product: Product) -> tuple[str, ...]:
    """Name the files that planning reads."""
    return (*_TEXTS, _settings(product), _release_file(product))


def check_tree(members: Iterable[str], product: Product) -> None:
    """Refuse a tree that is no release of the product.

    Raises:
        ReleaseError: naming what is missing.
    """
    paths = set(members)
    missing = [path for path in ("upgrade.sh", "requirements.txt") if path not in paths]
    if not paths & {_settings(product), _release_file(product)}:
        missing.append(_settings(product))
    if missing:
        raise ReleaseError(f"it is no release of {product.name}: {' and '.join(missing)} not in it")


def version_inside(texts: Mapping[str, str], product: Product) -> str:
    """Return the version the tree gives itself: release.yaml since 4.1, settings.py before.

    Raises:
        ReleaseError: when there is none.
    """
    release = texts.get(_release_file(product), "")
    if version := _yaml_value(release, "version"):
        designation = _yaml_value(release, "designation")
        return f"{version}-{designation}" if designation else version
    if found := _SETTINGS_VERSION.search(texts.get(_settings(product), "")):
        return found[2]
    raise ReleaseError(f"neither {_release_file(product)} nor {_settings(product)} tells its version")


def check_version(asked: str, inside: str) -> tuple[str, ...]:
    """Compare the version asked for with the one found inside; return what the operator should know.

    A tree that is one commit ahead of its own number is let through: the released NetPoint 3.7.2
    calls itself 3.7.3-dev.

    Raises:
        ReleaseError: when it is another release.
    """
    try:
        found = parse_version(inside)
    except NotAVersion as error:
        raise ReleaseError(f"the version inside: {error}") from None
    wanted = parse_version(asked)
    if found == wanted:
        return ()
    if found.is_devrelease and Version(found.base_version) in {wanted, _next_patch(wanted)}:
        return (f"release {wanted} calls itself {inside}; servers will report that version",)
    raise ReleaseError(f"asked for {wanted}, but inside it is {inside}")


def migrations(members: Iterable[str], product: Product) -> tuple[tuple[str, str], ...]:
    """Return (app, migration) of every migration the tree brings, such as ("dcim", "0130_sitegroup")."""
    found = (_MIGRATION.fullmatch(path.removeprefix(f"{product.name}/")) for path in members)
    return tuple(sorted((match[1], match[2]) for match in found if match))


def notes_since(paths: Iterable[str], after: Version | None) -> tuple[str, ...]:
    """Pick the release notes among the paths, oldest first, from the minor release of `after` on."""
    first = Version(f"{after.major}.{after.minor}") if after else Version("0")
    minors = {path: Version(match[1]) for path in paths if (match := _NOTES.fullmatch(path))}
    return tuple(sorted((path for path, minor in minors.items() if minor >= first), key=lambda path: minors[path]))


def _next_patch(version: Version) -> Version:
    return Version(f"{version.major}.{version.minor}.{version.micro + 1}")


def _yaml_value(text: str, key: str) -> str | None:
    found = re.search(_YAML_VALUE.format(key=key), text, re.MULTILINE)
    return found[2] if found else None


def _settings(product: Product) -> str:
    return f"{product.name}/{product.name}/settings.py"


def _release_file(product: Product) -> str:
    return f"{product.name}/release.yaml"
