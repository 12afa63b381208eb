"""The shapes of the zoo say what is asked of them, and the page shows them."""

from pathlib import Path

import jsonschema
import pytest

from tests.zoo.shapes import FOLDER, TABLE, all_shapes, read, render


def test_the_table_of_the_zoo_is_up_to_date() -> None:
    """`python -m tests.zoo.shapes` brings it up to date."""
    assert TABLE.has(render(all_shapes()))


def test_every_file_is_a_shape_and_has_its_name_once() -> None:
    names = [read(path)[0].name for path in FOLDER.iterdir()]

    assert len({*names}) == len(names)


@pytest.mark.parametrize(
    "text",
    [
        "name: x\nseen: y\nchange: z\n",
        "name: x\nseen: y\nchange: z\narchive: {ready: []}\n",
        "name: x\nchange: z\ngit: {upgraded: []}\n",
    ],
    ids=["no end", "no such end", "seen nowhere"],
)
def test_a_file_that_does_not_say_what_comes_out_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "shape.yaml").write_text(text)

    with pytest.raises(jsonschema.ValidationError):
        read(tmp_path / "shape.yaml")
