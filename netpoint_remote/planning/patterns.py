"""Names that patterns of the shell choose: each pattern is read once, however often it is asked for."""

import re
from collections.abc import Iterable
from fnmatch import translate

WILD = frozenset("*?[")


class Names:
    """Some names, of which patterns choose."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = frozenset(names)
        self._matching: dict[str, frozenset[str]] = {}

    def matching(self, pattern: str) -> frozenset[str]:
        """Return the names that a pattern, or a name, stands for."""
        if not WILD.intersection(pattern):
            return frozenset({pattern}) & self._names
        if pattern not in self._matching:
            matches = re.compile(translate(pattern)).match
            self._matching[pattern] = frozenset(name for name in self._names if name == pattern or matches(name))
        return self._matching[pattern]
