import json
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
import samples
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from strategies import events, hostile, reports

from netpoint_remote.reporting.clean import clean_report
from netpoint_remote.reporting.event import Event, Kind
from netpoint_remote.reporting.json import event_to_json, from_json, schema, to_json
from netpoint_remote.reporting.report import FleetReport, Status, StepStatus


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(schema())


def test_the_schema_knows_every_status() -> None:
    definitions = schema()["$defs"]

    assert definitions["host"]["properties"]["status"]["enum"] == list(Status)
    assert definitions["step"]["properties"]["status"]["enum"] == list(StepStatus)


@given(reports)
def test_a_report_comes_back_as_it_was_and_follows_the_schema(report: FleetReport) -> None:
    text = to_json(report)

    assert from_json(text) == clean_report(report)
    Draft202012Validator(schema()).validate(json.loads(text))
    assert text.isascii()
    assert text.replace("\n", "").isprintable()


def test_the_start_is_told_in_utc() -> None:
    summer = timezone(timedelta(hours=2))
    report = replace(samples.UPGRADE, started=datetime(2030, 7, 1, 12, 0, tzinfo=summer))

    assert json.loads(to_json(report))["started"] == "2030-07-01T10:00:00Z"


def sample() -> dict[str, Any]:
    return json.loads(to_json(samples.UPGRADE))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"hosts": 3}, "$.hosts"),
        ({"hosts": [{"name": "np1"}]}, "$.hosts[0]"),
        ({"hosts": [sample()["hosts"][0] | {"status": "fine"}]}, "$.hosts[0].status"),
        ({"seconds": -1}, "$.seconds"),
        ({"seconds": "3"}, "$.seconds"),
        ({"format": 2}, "$.format"),
        ({"started": "yesterday"}, "yesterday"),
        ({"started": "2030-01-02T03:04:05"}, "time zone"),
        ({"started": "0001-01-01T00:00:00+23:59"}, "not a report"),
        ({"run_id": ""}, "$.run_id"),
    ],
)
def test_a_wrong_report_is_refused_with_the_place(change: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match="not a report") as refused:
        from_json(json.dumps(sample() | change))

    assert told in str(refused.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[" * 100_000, '{"seconds": NaN}', "9" * 5_000, "\ud800"])
def test_what_is_no_report_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a report"):
        from_json(text)


values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | hostile,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*sample()]) | hostile, inner, max_size=4)
    ),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from([*sample()]), values, max_size=3))
def test_a_damaged_report_is_read_or_refused_but_never_crashes(damage: dict[str, Any]) -> None:
    with suppress(ValueError):
        to_json(from_json(json.dumps(sample() | damage)))


def test_unknown_keys_are_ignored() -> None:
    assert from_json(json.dumps(sample() | {"colour": "blue"})) == samples.UPGRADE


def test_an_event_is_one_line_with_its_time_in_utc() -> None:
    event = Event(at=1_893_553_445.5, host="np1", kind=Kind.STEP, step="dump_database", position=4, total=9)

    assert event_to_json(event) == (
        '{"at": "2030-01-02T03:04:05.500Z", "host": "np1", "kind": "step", "step": "dump_database", '
        '"detail": "", "position": 4, "total": 9}'
    )


@given(events)
def test_no_event_breaks_its_line(event: Event) -> None:
    line = event_to_json(event)

    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line)["kind"] == event.kind
