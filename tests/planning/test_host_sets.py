"""Sets of names: what our reports print is what -H, --limit and the hosts file take."""

import tracemalloc
from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netpoint_remote.errors import InventoryError, UsageError
from netpoint_remote.planning.host_sets import HostSetError, expand, split_names
from netpoint_remote.planning.hosts_file import parse_hosts_file
from netpoint_remote.planning.inventory import Host, Inventory
from netpoint_remote.planning.selection import parse_hosts_option, select
from netpoint_remote.reporting.folding import fold

digits = st.text("0123456789", min_size=1, max_size=3)
names = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(["np", "a-", "x.y", "_"]),
    digits,
    st.sampled_from(["", ".lan", "-"]),
    digits | st.just(""),
)
places = names | st.sampled_from(["web", "[2001:db8::6]:2222", "10.0.0.1", "np1:2222", "::1"])


@given(st.lists(places, min_size=1, max_size=30, unique=True), st.sampled_from([",", ", "]))
def test_what_is_printed_is_taken(hosts: list[str], separator: str) -> None:
    printed = fold(hosts, separator)
    fleet = Inventory(hosts=tuple(Host(name=name, address=name) for name in hosts))

    assert set(parse_hosts_option(printed)) == set(hosts)
    assert {host.name for host in select(fleet, None, printed)} == set(hosts)


@given(st.lists(names, min_size=1, max_size=30, unique=True))
def test_what_is_printed_is_a_key_of_the_hosts_file_and_a_member_of_a_group(hosts: list[str]) -> None:
    keys = split_names(fold(hosts))
    text = "hosts:\n" + "".join(f"  '{key}': {{user: ops}}\n" for key in keys)
    text += "groups:\n  all-of-them:\n    hosts:\n" + "".join(f"    - '{key}'\n" for key in keys)

    inventory = parse_hosts_file(text, "hosts.yaml")

    assert {(host.name, host.address, host.user, host.groups) for host in inventory.hosts} == {
        (name, name, "ops", ("all-of-them",)) for name in hosts
    }


@pytest.mark.parametrize(
    ("item", "expanded"),
    [
        ("np[1-3]", ("np1", "np2", "np3")),
        ("np[08-10,12]", ("np08", "np09", "np10", "np12")),
        ("np[0-6/3]", ("np0", "np3", "np6")),
        ("np[1-2]-[3,5].lan", ("np1-3.lan", "np1-5.lan", "np2-3.lan", "np2-5.lan")),
        ("admin@np[1,2]:2222", ("admin@np1:2222", "admin@np2:2222")),
        ("[::1]:22", ("[::1]:22",)),
        ("np[13]", ("np[13]",)),
        ("np[a-c]", ("np[a-c]",)),
        ("np[!1-3]", ("np[!1-3]",)),
        ("np[1-", ("np[1-",)),
        ("np[1-3-5]", ("np[1-3-5]",)),
    ],
)
def test_a_set_is_expanded_and_everything_else_is_left(item: str, expanded: tuple[str, ...]) -> None:
    assert expand(item) == expanded


@given(st.integers(0, 9), st.integers(0, 9), st.text("np0123456789x", max_size=4))
def test_a_set_of_single_digits_means_what_the_pattern_means(first: int, last: int, name: str) -> None:
    low, high = sorted((first, last))
    pattern = f"np[{low}-{high}]"

    assert (name in expand(pattern)) == fnmatchcase(name, pattern)


@pytest.mark.parametrize("item", ["np[5-3]", "np[1-99999999]", "np[1-999999999999]", "[0-99][0-99][0-99]x", "a[1-9/0]"])
def test_what_is_no_set_or_too_large_is_refused_before_it_takes_memory(item: str) -> None:
    tracemalloc.start()
    with pytest.raises(HostSetError):
        expand(item)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 2**22
    with pytest.raises(UsageError, match="-H: "):
        parse_hosts_option(item)
    with pytest.raises(InventoryError):
        parse_hosts_file(f"hosts:\n  'x{item}':\n", "hosts.yaml")


def test_a_pattern_may_hold_a_set_and_a_set_may_be_left_out() -> None:
    fleet = Inventory(hosts=tuple(Host(name=f"np{number}", address=f"np{number}") for number in range(1, 31)))

    def chosen(limit: str) -> list[str]:
        return [host.name for host in select(fleet, None, limit)]

    assert chosen("np[9-11]") == ["np9", "np10", "np11"]
    assert chosen("all,!np[2-30]") == ["np1"]
    assert chosen("!np[1-9],!np[2-3]*") == [f"np{number}" for number in range(10, 20)]
    with pytest.raises(UsageError, match="no host, group or pattern"):
        chosen("np[31-40]")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("hosts: {'np[1-3]': , np2: }", "hosts.np2 has 'np2', which is in 'np[1-3]' already"),
        ("hosts: {'np[13]': }", "hosts.np[13] is no set; write it as np[1-3,7]"),
        ("hosts: {'np[1-2]': {address: 10.0.0.1}}", "hosts.np2 has the address and port of 'np1'"),
        ("hosts: {'np[1-3]': }\ngroups: {np2: {hosts: [np1]}}", "'np2' is the name of a host and of a group"),
        ("hosts: {'np[1-3]': }\ngroups: {g: {hosts: ['np[4-5]']}}", "group 'g' names 'np[4-5]', which is no host"),
        ("hosts: {'np[1-3]': {prot: 1}}", "hosts.np[1-3].prot is not known"),
    ],
)
def test_a_fault_of_a_set_is_told_with_its_line(text: str, fault: str) -> None:
    with pytest.raises(InventoryError) as caught:
        parse_hosts_file(text, "hosts.yaml")

    assert len(caught.value.faults) == 1
    assert caught.value.faults[0].startswith(f"hosts.yaml:{2 if 'groups' in text else 1}: {fault}")
