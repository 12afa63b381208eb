"""What a release asks for, by its own tree and by the table."""

import pytest
from packaging.version import Version

from netpoint_remote.planning.requirements import ANY, requirements_of_tree, requirements_of_version

MINIMUMS = """
| Dependency | Minimum Version |
|------------|-----------------|
| Python     | 3.8             |
| PostgreSQL | 12              |
| Redis      | 4.0             |
"""

SUPPORTED = """
=== "Current"

    | Dependency | Supported Versions |
    |------------|--------------------|
    | Python     | 3.12, 3.13, **3.14** |
    | PostgreSQL | 14+ [^1]           |
    | Redis      | 5.0+               |

[^1]: Support for PostgreSQL 14 ends with 4.7, which needs 15.

| NetBox Version | Python min | Python max | PostgreSQL min | Redis min |
|:--------------:|:----------:|:----------:|:--------------:|:---------:|
|      3.5       |    3.8     |    3.10    |       11       |    4.0    |
"""


def versions(*texts: str) -> tuple[Version, ...]:
    return tuple(Version(text) for text in texts)


def test_the_table_of_minimum_versions_is_read() -> None:
    found = requirements_of_tree({"docs/installation/upgrading.md": MINIMUMS}, Version("3.5.0"))

    assert (found.python_min, found.postgresql_min, found.redis_min) == versions("3.8", "12", "4.0")


def test_the_table_of_supported_versions_is_read_with_its_newest_python() -> None:
    found = requirements_of_tree({"docs/installation/upgrading.md": SUPPORTED}, Version("4.6.8"))

    assert (found.python_min, found.python_max, found.postgresql_min, found.redis_min) == versions(
        "3.12", "3.14", "14", "5.0"
    )


def test_the_index_speaks_where_the_upgrade_document_has_no_table() -> None:
    files = {"docs/installation/upgrading.md": "# Upgrading", "docs/installation/index.md": MINIMUMS}

    assert requirements_of_tree(files, Version("3.5.0")).source.startswith("docs/installation/index.md")


def test_the_check_in_upgrade_sh_raises_what_the_document_says() -> None:
    files = {
        "docs/installation/upgrading.md": MINIMUMS,
        "upgrade.sh": """COMMAND="${PYTHON} -c 'import sys; exit(1 if sys.version_info < (3, 10) else 0)'" """,
    }

    assert requirements_of_tree(files, Version("3.5.0")).python_min == Version("3.10")


def test_a_check_that_is_too_low_does_not_lower_what_the_document_says() -> None:
    """As in 3.2.0 (netbox-community/netbox#9133)."""
    files = {
        "docs/installation/upgrading.md": MINIMUMS,
        "upgrade.sh": "'import sys; exit(1 if sys.version_info < (3, 7) else 0)'",
    }

    assert requirements_of_tree(files, Version("3.2.0")).python_min == Version("3.8")


def test_a_document_that_was_corrected_later_is_not_believed() -> None:
    """4.2.0 was shipped with PostgreSQL 12 in its text; its Django refuses 12."""
    files = {"docs/installation/upgrading.md": MINIMUMS}

    assert requirements_of_tree(files, Version("4.2.0")).postgresql_min == Version("13")


def test_a_silent_tree_leaves_the_word_to_the_table() -> None:
    assert requirements_of_tree({}, Version("2.7.12")) == requirements_of_version(Version("2.7.12"))


@pytest.mark.parametrize(
    ("release", "python_min", "python_max", "postgresql_min"),
    [
        ("2.8.4", "3.6", "3.8", "9.4"),
        ("2.8.5", "3.6", "3.8", "9.6"),
        ("2.11.12", "3.6", "3.9", "9.6"),
        ("3.5.0", "3.8", "3.11", "11"),
        ("3.7.3.dev0", "3.8", "3.11", "12"),
        ("4.5.0b1", "3.12", "3.14", "14"),
        ("9.9.9", "3.12", "3.14", "15"),
    ],
)
def test_the_table_knows(release: str, python_min: str, python_max: str, postgresql_min: str) -> None:
    found = requirements_of_version(Version(release))

    assert (found.python_min, found.python_max, found.postgresql_min) == versions(
        python_min, python_max, postgresql_min
    )


def test_any_redis_will_do_before_2_9() -> None:
    assert requirements_of_version(Version("2.8.9")).redis_min == ANY
