"""A finding of the pre-flight with its remedy."""

from dataclasses import dataclass

from netpoint_remote.planning.word import Word


class Severity(Word):
    """An error blocks the host; a warning is shown and does not."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What stands in the way, what to do about it, and where the rule comes from.

    `code` names the kind of finding for programs (`version-path`, `disk`, ...); `source` is the
    section of the upgrade document or the thread that the rule is taken from.
    """

    code: str
    severity: Severity
    message: str
    remedy: str
    source: str = ""

    @property
    def blocks(self) -> bool:
        return self.severity is Severity.ERROR
