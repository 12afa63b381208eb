"""Thousands of hosts in thousands of groups are read in seconds, and in memory that the file's size explains."""

import time
import tracemalloc
from collections.abc import Callable

import pytest

from netpoint_remote.errors import InventoryError, UsageError
from netpoint_remote.planning.hosts_file import LARGEST, MOST_FAULTS, parse_hosts_file
from netpoint_remote.planning.selection import select

pytestmark = pytest.mark.promise(8)
MANY = 2000
SECONDS = 60  # of CPU, for what takes a few
MB = 2**20


def quick(work: Callable[[], object]) -> None:
    begun = time.process_time()
    work()
    assert time.process_time() - begun < SECONDS


def text(group: Callable[[int], str], host: Callable[[int], str] = lambda _: "") -> str:
    hosts = "".join(f"  h{number}: {host(number)}\n" for number in range(MANY))
    return f"hosts:\n{hosts}groups:\n" + "".join(f"  g{number}: {group(number)}\n" for number in range(MANY))


@pytest.mark.parametrize(
    "group",
    [
        lambda _: "{hosts: ['*']}",
        lambda n: f"{{hosts: ['*'], environment: {{V{n}: x}}}}",
        lambda n: f"{{hosts: ['h*', 'h?*', '*{n}*'], user: u{n}}}",
        lambda n: f"{{hosts: ['*', '[!g]*', 'h{n}'], health: {{headers: {{X-{n}: x}}}}}}",
        lambda n: f"{{hosts: ['[!x]*{n % 10}', 'h{n}'], environment: {{V: x{n}}}}}",
    ],
    ids=["every host", "a variable each", "patterns", "nested", "one set of groups for each host"],
)
def test_every_host_in_thousands_of_groups(group: Callable[[int], str]) -> None:
    """It was over a minute, and with a variable in each group it was hours."""

    def work() -> None:
        inventory = parse_hosts_file(text(group), "hosts.yaml")
        assert len(inventory.hosts) == MANY
        assert len(select(inventory, None, "h*,!h1,g1*")) == MANY - 1
        with pytest.raises(UsageError):
            select(inventory, None, "nothing")

    quick(work)


def test_hosts_of_the_same_groups_share_what_these_say() -> None:
    hosts = "".join(f"  h{number}:\n" for number in range(500))
    variables = f"hosts:\n{hosts}groups:\n" + "".join(
        f"  g{number}: {{hosts: ['*'], environment: {{V{number}: x}}}}\n" for number in range(500)
    )
    tracemalloc.start()
    try:
        inventory = parse_hosts_file(variables, "hosts.yaml")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert dict(inventory.hosts[7].environment)["V499"] == "x"
    assert peak < 32 * MB


def test_a_host_of_its_own_is_what_it_says() -> None:
    inventory = parse_hosts_file(
        "defaults: {environment: {A: '0', Z: '0'}}\nhosts:\n  h1:\n  h2: {environment: {A: '2'}}\n  h3:\n"
        "groups: {g: {hosts: ['h*'], environment: {A: '1', B: '1'}}}\n",
        "hosts.yaml",
    )

    assert [dict(host.environment) for host in inventory.hosts] == [
        {"A": "1", "Z": "0", "B": "1"}, {"A": "2", "Z": "0", "B": "1"}, {"A": "1", "Z": "0", "B": "1"},
    ]  # fmt: skip


def test_thousands_of_faults_are_told_in_seconds_and_bounded() -> None:
    def work() -> None:
        with pytest.raises(InventoryError) as error:
            parse_hosts_file(text(lambda n: f"{{hosts: [hh{n}, hx{n}]}}", lambda n: f"{{usr: u{n}}}"), "hosts.yaml")
        assert len(error.value.faults) == MOST_FAULTS + 1
        assert error.value.faults[-1] == f"hosts.yaml: and {3 * MANY - MOST_FAULTS} more"

    quick(work)


def test_a_file_beyond_all_reason_is_refused_before_it_is_read() -> None:
    with pytest.raises(InventoryError, match="larger than 8 MB"):
        parse_hosts_file("#" * (LARGEST + 1), "hosts.yaml")


@pytest.mark.parametrize(
    "bomb",
    [
        "hosts:\n" + "".join(f"  h{number}-[1-9999]:\n" for number in range(MANY)),
        "hosts: {h1: }\ngroups:\n" + "".join(f"  g{number}: {{hosts: ['h[1-9999]']}}\n" for number in range(MANY)),
    ],
    ids=["hosts", "groups"],
)
def test_sets_of_millions_of_hosts_are_refused_before_they_are_made(bomb: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(InventoryError, match="more than 1000000 names") as refused:
            parse_hosts_file(bomb, "hosts.yaml")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert len(refused.value.faults) == 1
    assert peak < 64 * MB
