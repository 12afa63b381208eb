"""The version-path rule, by its own words and on any two releases."""

from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from netpoint_remote.planning.version import LAST_MINOR, Hop, NotAVersion, last_minor, next_hop, parse_version, path

majors = st.integers(1, 4)  # 4 is the newest whose predecessors' last minors are all known
releases = st.builds(
    lambda major, minor, patch: Version(f"{major}.{min(minor, LAST_MINOR.get(major, minor))}.{patch}"),
    majors,
    st.integers(0, 12),
    st.integers(0, 12),
)


def ways(installed: str, target: str) -> list[str]:
    return [str(hop) for hop in path(Version(installed), Version(target))]


def lowest(hop: Hop) -> Version:
    return hop.to or Version(hop.minor)


# ---- the document's own examples


def test_2_11_8_can_be_upgraded_to_3_3_2() -> None:
    assert ways("2.11.8", "3.3.2") == ["3.3.2"]


def test_2_10_10_must_first_be_upgraded_to_any_2_11_release() -> None:
    assert ways("2.10.10", "3.5.0") == ["2.11.x", "3.5.0"]


def test_within_a_major_any_newer_release_is_one_hop() -> None:
    assert [ways("3.0.0", "3.7.2"), ways("3.4.9", "3.5.0"), ways("2.7.4", "2.11.12")] == [
        ["3.7.2"], ["3.5.0"], ["2.11.12"],
    ]  # fmt: skip


def test_two_majors_are_two_doors() -> None:
    assert [ways("2.9.3", "4.0.5"), ways("2.11.12", "4.0.5")] == [["2.11.x", "3.7.x", "4.0.5"], ["3.7.x", "4.0.5"]]


# ---- on any two releases


@given(releases, releases)
def test_the_hops_end_at_the_target(installed: Version, target: Version) -> None:
    hops = path(installed, target)

    assert (hops[-1].to == target) if installed < target else not hops


@given(releases, releases)
def test_the_hops_strictly_climb(installed: Version, target: Version) -> None:
    if installed < target:
        climbed = [lowest(hop) for hop in path(installed, target)]

        assert climbed == sorted(set(climbed))
        assert climbed[0].release[:2] >= installed.release[:2]


@pytest.mark.promise(1)
@given(releases, releases)
def test_a_major_is_entered_only_from_the_last_minor_of_the_one_before(installed: Version, target: Version) -> None:
    stations = [installed, *(lowest(hop) for hop in path(installed, target))]

    for left, entered in pairwise(stations):
        if left.major != entered.major:
            assert (entered.major, left.minor) == (left.major + 1, last_minor(left.major))


@given(releases, releases)
def test_the_next_hop_is_the_first_of_the_path(installed: Version, target: Version) -> None:
    assert next_hop(installed, target) == next(iter(path(installed, target)), None)


@given(releases)
def test_a_release_is_there_already(installed: Version) -> None:
    assert path(installed, installed) == ()


def test_there_is_no_path_out_of_a_major_whose_last_minor_is_unknown() -> None:
    with pytest.raises(ValueError, match=r"the last minor release of 4\.x is unknown"):
        path(Version("4.6.0"), Version("5.0.0"))


def test_the_hosts_file_can_say_what_the_last_minor_is() -> None:
    hops = path(Version("4.2.0"), Version("5.0.1"), extra={4: 6})

    assert [str(hop) for hop in hops] == ["4.6.x", "5.0.1"]


# ---- reading


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("3.5.0", "3.5.0"),
        ("v3.5.0", "3.5.0"),
        (" v2.11.12\n", "2.11.12"),
        ("3.7.3-dev", "3.7.3.dev0"),
        ("3.5.0-Docker-2.5", "3.5.0"),
        ("v4.3.0-beta1", "4.3.0b1"),
        ("v4.6.8-rc1", "4.6.8rc1"),
    ],
)
def test_the_ways_releases_are_named_are_read(text: str, version: str) -> None:
    assert parse_version(text) == Version(version)


@pytest.mark.parametrize(
    "text", ["", "v", "latest", "master", "Solcon-2020-01-06", "1.6.1-2016-09-21", "3.5.x", "9" * 5000]
)
def test_odd_tags_are_not_versions(text: str) -> None:
    with pytest.raises(NotAVersion):
        parse_version(text)


@given(st.text() | st.from_regex(r"v?\d+(\.\d+){0,3}[-+.a-z]{0,4}\d*", fullmatch=True))
def test_no_text_raises_anything_else(text: str) -> None:
    with suppress(NotAVersion):
        parse_version(text)


def test_versions_are_ordered_as_numbers() -> None:
    named = ["3.10.0", "2.11.0", "3.7.3-dev", "2.9.11", "3.5.0", "3.5.0-beta2", "3.7.2", "2.10.0"]

    assert sorted(named, key=parse_version) == [
        "2.9.11", "2.10.0", "2.11.0", "3.5.0-beta2", "3.5.0", "3.7.2", "3.7.3-dev", "3.10.0",
    ]  # fmt: skip
