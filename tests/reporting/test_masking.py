"""What we know to be secret is in nothing that is quoted of a server."""

import json
import shlex
import urllib.parse
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netpoint_remote.reporting.event import Event, Kind
from netpoint_remote.reporting.masking import mask, masked
from tests.reporting import samples

pytestmark = pytest.mark.promise(7)
passwords = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=5, max_size=20).filter(
    lambda text: text.strip("*") and text.strip()
)


@given(password=passwords, before=st.sampled_from(["", " ", "not: ", "\n", '"']))
def test_a_password_is_masked_however_it_is_written(password: str, before: str) -> None:
    ways = (
        password,
        repr(password),
        json.dumps(password),
        shlex.quote(password),
        urllib.parse.quote(password, safe=""),
    )
    for way in ways:
        shown = mask(f"{before}{way}{before}", [password])
        assert "***" in shown
        assert password not in shown.replace("***", "")


def test_what_is_short_is_a_secret_only_as_a_word_of_its_own() -> None:
    assert mask("pw was refused (pw); power is on", ["pw"]) == "*** was refused (***); power is on"


def test_no_secret_is_no_mask() -> None:
    assert mask("as it was", ["", ""]) == "as it was"


def test_a_report_is_masked_wherever_a_server_has_a_word_in_it_and_keeps_its_hosts() -> None:
    host = replace(
        samples.UPGRADE.hosts[0], name="hush-hush", reason="zsh: command not found: hush-hush",
        facts=(("user", "hush-hush"),),
    )  # fmt: skip
    report = masked(replace(samples.UPGRADE, hosts=(host,)), ["hush-hush"])

    assert report.hosts[0].name == "hush-hush"
    assert "hush-hush" not in repr(replace(report.hosts[0], name=""))
    assert report.hosts[0].status is host.status


def test_an_event_is_masked() -> None:
    event = Event(at=1.0, host="np1", kind=Kind.NOTE, detail="sudo: hush-hush")

    assert masked(event, ["hush-hush"]) == replace(event, detail="sudo: ***")
    assert masked(event, []) is event
