"""What a tree says about itself."""

import pytest
from packaging.version import Version

from netpoint_remote.errors import ReleaseError
from netpoint_remote.planning.inventory import NETPOINT, Product
from netpoint_remote.planning.tree import check_tree, check_version, migrations, notes_since, version_inside

SETTINGS = "netpoint/netpoint/settings.py"


def test_the_version_is_in_settings() -> None:
    assert version_inside({SETTINGS: "import os\nVERSION = '3.5.0'\n"}, NETPOINT) == "3.5.0"


def test_the_version_is_in_release_yaml_since_4_1() -> None:
    files = {SETTINGS: "VERSION = RELEASE.full_version\n", "netpoint/release.yaml": 'version: "4.1.0"\nedition: "X"\n'}

    assert version_inside(files, NETPOINT) == "4.1.0"


def test_a_designation_belongs_to_the_version() -> None:
    files = {"netpoint/release.yaml": 'version: "4.3.0"\ndesignation: "beta2"  # not yet\n'}

    assert version_inside(files, NETPOINT) == "4.3.0-beta2"


def test_a_tree_without_version_is_refused() -> None:
    with pytest.raises(ReleaseError, match="tells its version"):
        version_inside({SETTINGS: "VERSION = RELEASE.full_version\n"}, NETPOINT)


@pytest.mark.parametrize(("asked", "inside"), [("3.5.0", "3.5.0"), ("v3.5", "3.5.0"), ("4.0-beta1", "4.0.0b1")])
def test_the_same_version_needs_no_remark(asked: str, inside: str) -> None:
    assert check_version(asked, inside) == ()


@pytest.mark.parametrize("inside", ["3.7.3-dev", "3.7.2-dev"])
def test_a_release_that_calls_itself_its_next_patch_is_let_through_with_a_remark(inside: str) -> None:
    """The only released NetPoint, 3.7.2, calls itself 3.7.3-dev."""
    (remark,) = check_version("3.7.2", inside)

    assert inside in remark


@pytest.mark.parametrize("inside", ["3.5.1", "3.5.2-dev", "3.4.9", "3.6.0-dev", "latest"])
def test_another_version_inside_is_refused(inside: str) -> None:
    with pytest.raises(ReleaseError, match="inside"):
        check_version("3.5.0", inside)


def test_a_tree_of_another_product_is_refused() -> None:
    with pytest.raises(ReleaseError, match="no release of netbox"):
        check_tree(["upgrade.sh", "requirements.txt", SETTINGS], Product(name="netbox"))


def test_migrations_are_named_by_application() -> None:
    members = ["netpoint/dcim/migrations/0130_sitegroup.py", "netpoint/dcim/migrations/__init__.py", "upgrade.sh"]

    assert migrations(members, NETPOINT) == (("dcim", "0130_sitegroup"),)


def test_release_notes_are_sorted_by_number_from_the_installed_minor_on() -> None:
    paths = [f"docs/release-notes/version-{minor}.md" for minor in ("2.9", "2.11", "3.0", "2.10")]

    assert notes_since([*paths, "docs/release-notes/index.md"], Version("2.10.10")) == (paths[3], paths[1], paths[2])
