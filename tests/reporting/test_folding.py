import pytest
from ClusterShell.NodeSet import RESOLVER_NOGROUP, NodeSet
from hypothesis import given
from hypothesis import strategies as st
from strategies import hostile

from netpoint_remote.planning.problem import Problem, Severity
from netpoint_remote.reporting.folding import SharedProblem, fold, fold_problems
from netpoint_remote.reporting.report import HostReport, Status


@pytest.mark.parametrize(
    ("names", "folded"),
    [
        ([], ""),
        (["np1"], "np1"),
        (["np1", "np2", "np3"], "np[1-3]"),
        (["np3", "np1", "np1"], "np[1,3]"),
        ([f"np{number:02}" for number in range(1, 13)], "np[01-12]"),
        (["np9", "np10"], "np[9-10]"),
        (["web", "np1", "np2"], "np[1-2],web"),
        (["np1.a.example.net", "np2.a.example.net"], "np[1-2].a.example.net"),
        (["10.0.0.1", "10.0.0.2"], "10.0.0.[1-2]"),
        (["np1", "[2001:db8::1]:22", "np2", "2001:db8::2"], "np[1-2],[2001:db8::1]:22,2001:db8::2"),
        (["a b", "c,d", 'e"f', ""], '"a b","c,d","e\\"f",""'),
        (["@all", "np[1-3]", "!np1", "-v", "np*"], "@all,np[1-3],!np1,-v,np*"),
        (["np1\x1b[2J"], r"np1\x1b[2J"),
    ],
)
def test_names_are_folded_where_they_allow_it(names: list[str], folded: str) -> None:
    assert fold(names) == folded


plain_names = st.from_regex(r"[a-z]{1,2}[0-9]{0,3}(-[a-z][0-9]{1,2})?", fullmatch=True)


@given(st.lists(plain_names, max_size=12))
def test_folded_names_unfold_to_the_same_hosts(names: list[str]) -> None:
    unfolded = NodeSet(fold(names), resolver=RESOLVER_NOGROUP)

    assert set(unfolded) == set(names)


@given(st.lists(hostile | plain_names, max_size=8))
def test_no_name_makes_folding_fail(names: list[str]) -> None:
    assert fold(names).isprintable()


def test_ranges_stay_whole_when_hosts_are_listed_with_blanks() -> None:
    assert fold(["np1", "np3", "web"], ", ") == "np[1,3], web"


def problem(code: str, severity: Severity = Severity.ERROR) -> Problem:
    return Problem(code=code, severity=severity, message="m", remedy="r")


def host(name: str, *problems: Problem) -> HostReport:
    return HostReport(name=name, status=Status.REFUSED, problems=problems)


def test_the_same_problem_of_many_hosts_is_told_once_and_what_blocks_comes_first() -> None:
    disk, unit = problem("disk"), problem("unit", Severity.WARNING)

    shared = fold_problems([host("np1", unit), host("np2", unit, disk), host("np3", disk, disk)])

    assert shared == (
        SharedProblem(problem=disk, hosts=("np2", "np3")),
        SharedProblem(problem=unit, hosts=("np1", "np2")),
    )
