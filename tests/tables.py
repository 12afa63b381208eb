"""Tables in the docs that a program writes, each between two markers of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Place:
    """Where a table stands: `<!-- name: begin -->` to `<!-- name: end -->` on a page."""

    page: Path
    name: str

    def filled(self, table: str) -> str:
        """Return the page's text with this table."""
        begin, end = f"<!-- {self.name}: begin -->", f"<!-- {self.name}: end -->"
        before, _, rest = self.page.read_text().partition(begin)
        _, _, after = rest.partition(end)
        return f"{before}{begin}\n{table}{end}{after}"

    def has(self, table: str) -> bool:
        return self.page.read_text() == self.filled(table)

    def write(self, table: str) -> None:
        self.page.write_text(self.filled(table))
