"""User and password of a package index go to pip by a file and not by its address."""

import netrc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from netpoint_remote.running.accounts import take_accounts_out

INDEX = "PIP_INDEX_URL"


def test_the_account_of_an_index_is_moved_to_a_netrc_file() -> None:
    given, text = take_accounts_out({INDEX: "https://me:p%40ss@pypi.example.org:8443/simple", "A": "https://a:b@c/"})

    assert given == {INDEX: "https://pypi.example.org:8443/simple", "A": "https://a:b@c/"}
    assert text == "machine pypi.example.org login me password p@ss\n"


def test_several_addresses_may_have_one_account() -> None:
    environment = {INDEX: "https://me:pass@x.org/a", "PIP_EXTRA_INDEX_URL": "https://me:pass@x.org/b https://y.org/c"}

    given, text = take_accounts_out(environment)

    assert given == {INDEX: "https://x.org/a", "PIP_EXTRA_INDEX_URL": "https://x.org/b https://y.org/c"}
    assert text.count("\n") == 1


@pytest.mark.parametrize(
    "environment",
    [
        {INDEX: "https://pypi.example.org/simple"},
        {INDEX: "https://token@pypi.example.org/simple"},
        {INDEX: "https://me:two%20words@pypi.example.org/simple"},
        {INDEX: 'https://me:"quoted"@pypi.example.org/simple'},
        {INDEX: "https://me:back%5Cslash@pypi.example.org/simple"},
        {INDEX: "https://me:p%C3%A4ss@pypi.example.org/simple"},
        {INDEX: "https://me:pass@pypi.example.org/simple", "NETRC": "/etc/netrc"},
    ],
)
def test_what_a_netrc_file_cannot_hold_stays_where_it_is(environment: dict[str, str]) -> None:
    assert take_accounts_out(environment) == (environment, "")


def test_a_second_account_of_the_same_server_stays_where_it_is() -> None:
    second = "https://you:word@x.org/b"

    given, text = take_accounts_out({INDEX: "https://me:pass@x.org/a", "PIP_EXTRA_INDEX_URL": second})

    assert given == {INDEX: "https://x.org/a", "PIP_EXTRA_INDEX_URL": second}
    assert text == "machine x.org login me password pass\n"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(password=st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="/?#@%[]:"), min_size=1))
def test_python_reads_what_was_written(tmp_path: Path, password: str) -> None:
    text = take_accounts_out({INDEX: f"https://me:{password}@x.org/a"})[1]
    (tmp_path / "netrc").write_text(text)

    accounts = netrc.netrc(str(tmp_path / "netrc")).hosts

    assert accounts == ({"x.org": ("me", "", password)} if text else {})


@given(
    st.dictionaries(
        st.sampled_from([INDEX, "PIP_FIND_LINKS", "X"]), st.text() | st.text("a:/[]@%. ").map("http://{}".format)
    )
)
def test_any_address_is_taken(environment: dict[str, str]) -> None:
    assert set(take_accounts_out(environment)[0]) == set(environment)
