"""Say the same thing of many hosts once: `np[1-3]` instead of three lines."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from netpoint_remote.planning.host_sets import split_names
from netpoint_remote.planning.problem import Problem
from netpoint_remote.reporting.clean import clean
from netpoint_remote.reporting.report import HostReport

# what a node set reads as a plain name; everything else (IPv6, brackets, blanks) is listed as it is
FOLDABLE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}")
QUOTED = re.compile(r'[\s,"]|^$')


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedProblem:
    """One problem and all hosts that have it, in the operator's order."""

    problem: Problem
    hosts: tuple[str, ...]


def fold(names: Iterable[str], separator: str = ",") -> str:
    """Return host names in the shortest form that clush and other node set tools read.

    >>> fold(["np1", "np2", "np3", "web"])
    'np[1-3],web'
    """
    distinct = tuple(dict.fromkeys(names))
    plain = [name for name in distinct if FOLDABLE.fullmatch(name)]
    odd = [_quoted(clean(name)) for name in distinct if not FOLDABLE.fullmatch(name)]
    return separator.join([*_folded(plain), *odd])


def fold_problems(hosts: Iterable[HostReport]) -> tuple[SharedProblem, ...]:
    """Return each distinct problem once with the hosts that have it, what blocks first."""
    owners: dict[Problem, list[str]] = {}
    for host in hosts:
        for problem in dict.fromkeys(host.problems):
            owners.setdefault(problem, []).append(host.name)
    shared = (SharedProblem(problem=problem, hosts=tuple(names)) for problem, names in owners.items())
    return tuple(sorted(shared, key=lambda each: not each.problem.blocks))


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '\\"') + '"' if QUOTED.search(name) else name


def _folded(names: Sequence[str]) -> list[str]:
    if len(names) < 2:  # noqa: PLR2004  a single name is its own shortest form
        return list(names)
    from ClusterShell.NodeSet import RESOLVER_NOGROUP, NodeSet, NodeSetException  # noqa: PLC0415  `fab --list` must not pay for it

    try:
        nodes = NodeSet.fromlist(names, resolver=RESOLVER_NOGROUP)
        return list(split_names(str(nodes))) if set(nodes) == set(names) else list(names)
    except NodeSetException:
        return list(names)
