"""Sizes as people write them."""

import pytest

from netpoint_remote.planning.sizes import MEBI, human_mb, human_size


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 bytes"), (1, "1 byte"), (1023, "1023 bytes"), (1536, "1.5 kB"), (50 * MEBI, "50.0 MB"),
     (81 * 1024 * MEBI, "81.0 GB"), (3 * 1024**4, "3.0 TB"), (5000 * 1024**4, "5000.0 TB")],
)  # fmt: skip
def test_a_size_has_a_unit_that_people_use(size: int, text: str) -> None:
    assert human_size(size) == text
    assert human_mb(size) == human_size(size * MEBI)
