"""Which hosts a run is about."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netpoint_remote.errors import UsageError
from netpoint_remote.planning.inventory import Host, Inventory
from netpoint_remote.planning.selection import Place, parse_hosts_option, parse_place, select

FLEET = Inventory(
    hosts=(
        Host(name="np1", address="10.0.0.1", user="filed", groups=("core",)),
        Host(name="np2", address="10.0.0.2", groups=("core", "edge")),
        Host(name="np10", address="10.0.0.10", groups=("edge",)),
    ),
    defaults=Host(name="", address="", user="default", become=False),
)


def names(option: str | None, limit: str | None = None) -> list[str]:
    hosts = select(FLEET, None if option is None else parse_hosts_option(option), limit)
    return [host.name for host in hosts]


@pytest.mark.parametrize("text", ["np1,np2", "np1, np2", " np1 ,np2 ", "np1,,np2", "np1,np2,np1,"])
def test_blanks_empty_items_and_repetitions_mean_nothing(text: str) -> None:
    assert parse_hosts_option(text) == ("np1", "np2")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("np1", Place(name="np1")),
        ("np1:2222", Place(name="np1", port=2222)),
        ("admin@np1:22", Place(name="np1", user="admin", port=22)),
        ("me@corp.example@np1", Place(name="np1", user="me@corp.example")),
        ("10.0.0.1:22", Place(name="10.0.0.1", port=22)),
        ("::1", Place(name="::1")),
        ("fe80::1", Place(name="fe80::1")),
        ("fe80::1%eth0", Place(name="fe80::1%eth0")),
        ("[::1]", Place(name="::1")),
        ("[::1]:2222", Place(name="::1", port=2222)),
        ("root@[fe80::1]:22", Place(name="fe80::1", user="root", port=22)),
    ],
)
def test_a_place_is_taken_apart(text: str, place: Place) -> None:
    assert parse_place(text) == place


@pytest.mark.parametrize(
    "text",
    [
        "np1:",
        "np1:0",
        "np1:65536",
        "np1:ssh",
        "np1:²",
        "@np1",
        "-oX@np1",
        "-np1",
        "[::1",
        "[::1]2222",
        "[::1]:",
        "np1 np2",
        "np*",
        "!np1",
        "1:2:3",
        "np1/",
        "$(reboot)",
        "np1\x00",
        "größe",
    ],
)
def test_what_is_no_host_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_hosts_option(text)


@pytest.mark.parametrize("text", ["", " ", ",", " , "])
def test_an_empty_option_does_not_mean_the_whole_fleet(text: str) -> None:
    with pytest.raises(UsageError, match="-H names no host"):
        parse_hosts_option(text)


def test_a_host_of_the_file_brings_its_settings() -> None:
    (host,) = select(FLEET, ("np1",), None)

    assert host == FLEET.hosts[0]


def test_the_command_line_wins_over_the_file() -> None:
    (host,) = select(FLEET, ("typed@np1:2222",), None)

    assert (host.name, host.address, host.user, host.port) == ("np1", "10.0.0.1", "typed", 2222)


def test_a_host_that_is_not_in_the_file_gets_its_defaults() -> None:
    (host,) = select(FLEET, ("[::1]:2222",), None)

    assert host == Host(name="[::1]:2222", address="::1", port=2222, user="default", become=False)


@pytest.mark.parametrize("typed", ["10.0.0.1", "10.0.0.1:22", "np1,10.0.0.1"])
def test_a_host_of_the_file_is_known_by_its_address_too(typed: str) -> None:
    assert names(typed) == ["np1"]


def test_an_address_with_another_port_is_another_host() -> None:
    assert names("np1,10.0.0.1:2222") == ["np1", "10.0.0.1:2222"]


def test_an_address_of_several_hosts_is_refused() -> None:
    fleet = Inventory(hosts=tuple(Host(name=f"np{n}", address="127.0.0.1", port=2200 + n) for n in (1, 2)))

    with pytest.raises(UsageError, match="address of np1, np2"):
        select(fleet, ("127.0.0.1",), None)
    assert [host.name for host in select(fleet, ("127.0.0.1:2202",), None)] == ["np2"]


def test_two_ports_of_one_address_are_two_hosts() -> None:
    assert names("127.0.0.1:2201,127.0.0.1:2202") == ["127.0.0.1:2201", "127.0.0.1:2202"]


def test_one_host_in_two_ways_is_refused() -> None:
    with pytest.raises(UsageError, match="twice"):
        names("np1,root@np1")


def test_a_group_after_dash_h_points_to_limit() -> None:
    with pytest.raises(UsageError, match="--limit edge"):
        names("edge")


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        ("np1", ["np1"]),
        ("np10,np1", ["np1", "np10"]),
        ("np?", ["np1", "np2"]),
        ("np*", ["np1", "np2", "np10"]),
        ("all", ["np1", "np2", "np10"]),
        ("edge", ["np2", "np10"]),
        ("e*,np1", ["np1", "np2", "np10"]),
        ("!np1", ["np2", "np10"]),
        ("! np1", ["np2", "np10"]),
        ("core,!edge", ["np1"]),
        ("!edge, core", ["np1"]),
        ("all,!edge,!np10", ["np1"]),
    ],
)
def test_a_limit_chooses_in_the_order_of_the_file(limit: str, expected: list[str]) -> None:
    assert names(None, limit) == expected


def test_a_limit_chooses_among_the_hosts_of_the_command_line() -> None:
    assert names("np2,new,np1", "!np2") == ["new", "np1"]


@pytest.mark.parametrize("limit", ["np3", "!np3", "np1,ng*", "!", "np1,!edg"])
def test_a_limit_that_matches_nothing_is_refused(limit: str) -> None:
    with pytest.raises(UsageError):
        names(None, limit)


def test_a_misspelt_limit_suggests_what_is_near() -> None:
    with pytest.raises(UsageError, match="did you mean core"):
        names(None, "cora")


@pytest.mark.parametrize("limit", ["np1,!np1", "", " , ", "core,!core"])
def test_an_empty_selection_is_refused(limit: str) -> None:
    with pytest.raises(UsageError):
        names(None, limit)


def test_an_inventory_without_hosts_needs_dash_h() -> None:
    with pytest.raises(UsageError, match="-H"):
        select(Inventory(), None, None)


@given(st.text() | st.text(alphabet="np12@:[],.*! -"))
def test_any_option_gives_hosts_or_a_sentence(text: str) -> None:
    try:
        hosts = select(FLEET, parse_hosts_option(text), None)
    except UsageError:
        return
    assert len({host.name for host in hosts}) == len(hosts) > 0


@given(st.text() | st.text(alphabet="np12,.*!? core"))
def test_any_limit_gives_hosts_of_the_fleet_in_order_or_a_sentence(text: str) -> None:
    try:
        chosen = select(FLEET, None, text)
    except UsageError:
        return
    assert chosen
    assert chosen == tuple(host for host in FLEET.hosts if host in chosen)


@given(st.sets(st.sampled_from(["np1", "np2", "np10"]), min_size=1))
def test_naming_and_limiting_agree(chosen: set[str]) -> None:
    assert set(names(",".join(chosen))) == chosen == set(names(None, ",".join(chosen)))
