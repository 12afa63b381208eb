"""A connector whose only server gives the answers of a list, one for each visit, and then fails."""

from collections.abc import Callable, Iterable

from netpoint_remote.running.wire import Completed


class ScriptedServer:
    """Stands for a connector and for its line: it answers in order, whatever it is asked."""

    def __init__(self, answers: Iterable[str], error: Exception | None = None) -> None:
        self.answers = [*answers]
        self._error = error

    def open(self, _host: object, **_: object) -> "ScriptedServer":
        return self

    def visit(self, _script: str, *, on_line: Callable[[str], None] | None = None, **_: object) -> Completed:
        if self._error and not self.answers:
            raise self._error
        answer = self.answers.pop(0)
        for line in answer.splitlines() if on_line else ():
            on_line(line)
        return Completed(0, answer)

    def close(self) -> None:
        pass
