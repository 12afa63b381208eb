"""What ask.py says of a database's migrations, compared with the files of a tree."""

import runpy
from pathlib import Path

import pytest

ASK = runpy.run_path(str(Path(__file__).parents[2] / "netpoint_remote/remote/ask.py"))

SQUASHED = """
class Migration(migrations.Migration):
    replaces = [
        ('tenancy', '0001_initial'),
        ('tenancy', '0012_standardize_models'),
    ]
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Give a release that squashed twelve migrations into its first and has only reached number two since."""
    folder = tmp_path / "tenancy/migrations"
    folder.mkdir(parents=True)
    (folder / "0001_squashed_0012.py").write_text(SQUASHED)
    (folder / "0002_contacts.py").touch()
    return tmp_path


APPLIED = ("0001_initial", "0012_standardize_models", "0001_squashed_0012", "0002_contacts")


def test_what_a_squashed_migration_replaced_is_not_newer_than_the_code(tree: Path) -> None:
    assert _facts(tree, *APPLIED) == {"db.applied_count": 4, "db.unapplied": "", "db.ahead": ""}


def test_a_migration_the_code_does_not_know_is_newer_than_the_code(tree: Path) -> None:
    assert _facts(tree, *APPLIED, "0003_contact_link")["db.ahead"] == "tenancy.0003_contact_link"


def test_a_file_the_database_has_no_record_of_is_not_applied(tree: Path) -> None:
    assert _facts(tree, *APPLIED[:-1])["db.unapplied"] == "tenancy.0002_contacts"


def _facts(tree: Path, *applied: str) -> dict[str, object]:
    return dict(ASK["migration_facts"](str(tree), [f"tenancy.{name}" for name in applied]))
