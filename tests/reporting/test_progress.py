from collections.abc import Iterable
from datetime import timezone

from hypothesis import given
from hypothesis import strategies as st
from strategies import events

from netpoint_remote.reporting.event import Event, Kind
from netpoint_remote.reporting.layout import cells
from netpoint_remote.reporting.lines import PlainLines
from netpoint_remote.reporting.progress import HostProgress, Line, advance, frame


def event(kind: Kind, at: float = 0.0, **more: object) -> Event:
    return Event(kind=kind, at=at, host=str(more.pop("host", "np1")), **more)


def after(*happened: Event, lag: float = 0.0) -> HostProgress:
    host = HostProgress(name="np1")
    for each in happened:
        host = advance(host, each, each.at + lag)
    return host


def shown(hosts: Iterable[HostProgress], *, now: float = 0.0, width: int = 80, height: int = 24) -> list[str]:
    lines = frame(tuple(hosts), now=now, since=0.0, width=width, height=height)
    return [f"{line.mark} {line.text}".rstrip() for line in lines]


def test_a_host_that_was_not_heard_of_waits() -> None:
    assert shown([HostProgress(name="np1")]) == ["  np1         waiting", "  1 host: 1 waiting · 0:00"]


def test_a_step_shows_its_number_its_part_and_its_time() -> None:
    host = after(
        event(Kind.WINDOW_OPEN, 100),
        event(Kind.STEP, 110, step="run_upgrade", position=6, total=14),
        event(Kind.PART, 120, detail="Applying database migrations of plugins", position=6, total=14),
    )

    assert shown([host], now=165) == [
        "> np1   7/14  run_upgrade · Applying database migrations of…   0:55  window 1:05",
        "  1 host: 1 in progress · 2:45",
    ]


def test_a_clock_of_the_server_that_is_an_hour_off_changes_nothing() -> None:
    host = after(event(Kind.STEP, 3610, step="dump_database", position=0, total=2), lag=-3600)

    assert "0:05" in shown([host], now=15)[0]


def test_the_age_of_a_loss_counts_from_the_first_one_until_the_line_is_back() -> None:
    begun = event(Kind.STEP, 1, step="dump_database")
    lost = after(begun, event(Kind.LINE_LOST, 2), event(Kind.CONNECTING, 3), event(Kind.LINE_LOST, 30))
    back = after(begun, event(Kind.LINE_LOST, 2), event(Kind.CONNECTING, 3), event(Kind.LINE_BACK, 30))

    assert "disconnected for 1:00; Ctrl-C detaches" in shown([lost], now=62)[0]
    assert "dump_database   " in shown([back], now=62)[0]


def test_who_comes_later_sees_how_long_a_step_has_been_at_work() -> None:
    """`attach` says first what the server's clock says now; the journal it then reads may be hours old."""
    host = HostProgress(name="np1")
    for each in (event(Kind.STARTED, 8000), event(Kind.STEP, 400, step="dump_database")):
        host = advance(host, each, 9000)

    assert "2:06:41" in shown([host], now=9001)[0]


def test_a_journal_read_again_shows_the_true_age_of_a_step() -> None:
    """After a pause all events come at once; the freshest tells how the clocks stand."""
    host = HostProgress(name="np1")
    for each in (
        event(Kind.WINDOW_OPEN, 5),
        event(Kind.STEP, 10, step="dump_database"),
        event(Kind.PART, 70, detail="half"),
    ):
        host = advance(host, each, 70)

    assert shown([host], now=72)[0].endswith("1:02  window 1:07")


def test_a_lost_line_is_shown_until_the_server_is_heard_of_again() -> None:
    begun = event(Kind.STEP, 1, step="dump_database")
    lost = after(begun, event(Kind.LINE_LOST, 2))
    back = after(begun, event(Kind.LINE_LOST, 2), event(Kind.PART, 3, detail="half"))

    assert "disconnected for 0:40; Ctrl-C detaches" in shown([lost], now=42)[0]
    assert "dump_database · half" in shown([back])[0]


def test_a_failed_step_and_its_undoing_are_shown() -> None:
    failed = after(
        event(Kind.STEP, 1, step="flip_link"), event(Kind.STEP_FAILED, 2, step="flip_link", detail="status 1")
    )
    undoing = advance(failed, event(Kind.UNDO, 3, step="flip_link"), 3)

    assert "flip_link failed · status 1" in shown([failed])[0]
    assert "undoing flip_link" in shown([undoing])[0]


def test_a_finished_host_keeps_its_status_and_its_window() -> None:
    host = after(
        event(Kind.WINDOW_OPEN, 10), event(Kind.WINDOW_CLOSED, 64), event(Kind.FINISHED, 70, detail="upgraded")
    )

    line, counts = shown([host], now=500)

    assert line.split() == ["✓", "np1", "upgraded", "window", "0:54"]
    assert counts.startswith("  1 host: 1 upgraded · ")


def test_more_hosts_than_lines_are_counted_and_those_that_matter_most_are_shown() -> None:
    waiting = [HostProgress(name=f"w{number}") for number in range(50)]
    done = [HostProgress(name=f"d{number}", seen=True, status="upgraded") for number in range(50)]
    failed = HostProgress(name="bad", seen=True, status="failed")
    working = [HostProgress(name=f"a{number}", seen=True, doing="unpack_release") for number in range(3)]
    in_window = HostProgress(name="window", seen=True, doing="dump_database", window_since=0.0)

    lines = shown([*waiting, *done, failed, *working, in_window], height=8)

    assert [line.split()[1] for line in lines[:-1]] == ["bad", "a0", "a1", "a2", "window"]
    assert lines[-1] == "  105 hosts: 1 failed, 50 upgraded, 4 in progress, 50 waiting · 0:00"
    assert [line.split()[1] for line in shown([failed, *working, in_window], height=4)[:-1]] == ["a0", "window"]


def test_hosts_are_counted_by_where_they_stand() -> None:
    probed = event(Kind.PROBED, 1, detail="3.4.9")
    hosts = [
        HostProgress(name="a"),
        after(event(Kind.CONNECTING)),
        after(probed),
        after(probed, event(Kind.QUEUED, 2)),
        after(probed, event(Kind.QUEUED, 2), event(Kind.CONNECTING, 3)),
        after(probed, event(Kind.FINISHED, 2, detail="refused")),
        after(probed, event(Kind.FINISHED, 2, detail="unchanged")),
    ]

    counts = shown(hosts, width=120)[-1]

    assert counts == "  7 hosts: 1 refused, 1 unchanged, 2 in progress, 1 probed, 1 queued, 1 waiting · 0:00"


def test_a_queued_host_has_no_plain_line_of_its_own() -> None:
    assert plain(event(Kind.QUEUED)) == []


@given(st.lists(events, max_size=8), st.integers(20, 120), st.integers(1, 10))
def test_any_events_make_a_picture_that_fits(happened: list[Event], width: int, height: int) -> None:
    hosts: dict[str, HostProgress] = {}
    for each in happened:
        hosts[each.host] = advance(hosts.get(each.host) or HostProgress(name=each.host), each, 0.0)

    lines = frame(tuple(hosts.values()), now=1.0, since=0.0, width=width, height=height)

    assert len(lines) <= max(height, 2)
    assert all(line.text.isprintable() and cells(line.text) <= width - 2 for line in lines)
    assert all(isinstance(line, Line) for line in lines)


LOST = "connection lost; the run continues on the server, reconnecting (Ctrl-C detaches)"


def plain(*happened: Event) -> list[str]:
    lines = PlainLines(zone=timezone.utc)
    return [line for each in happened if (line := lines.line(each)) is not None]


def test_plain_lines_say_which_host_when_which_step_and_how_long() -> None:
    at = 1_893_553_384.0

    assert plain(
        event(Kind.CONNECTING, at),
        event(Kind.STARTED, at + 1, total=9),
        event(Kind.WINDOW_OPEN, at + 2),
        event(Kind.STEP, at + 2, step="dump_database"),
        event(Kind.PART, at + 3, step="run_upgrade", detail="Applying database migrations..."),
        event(Kind.STEP_DONE, at + 5.1, step="dump_database", detail="done"),
        event(Kind.STEP, at + 6, step="flip_link"),
        event(Kind.STEP_FAILED, at + 7, step="flip_link", detail="status 1"),
        event(Kind.UNDO, at + 8, step="flip_link"),
        event(Kind.UNDO_DONE, at + 9, step="flip_link"),
        event(Kind.WINDOW_CLOSED, at + 74),
        event(Kind.FINISHED, at + 75, detail="reverted"),
    ) == [
        "np1  03:03:04  connecting",
        "np1  03:03:05  the run continues on the server",
        "np1  03:03:06  window open: users are without NetPoint",
        "np1  03:03:06  dump_database  begun",
        "np1  03:03:07  run_upgrade  Applying database migrations...",
        "np1  03:03:09  dump_database  done 3.1 s",
        "np1  03:03:10  flip_link  begun",
        "np1  03:03:11  flip_link  failed status 1 1.0 s",
        "np1  03:03:12  flip_link  undoing",
        "np1  03:03:13  flip_link  undone 1.0 s",
        "np1  03:04:18  window closed 1 min 12 s",
        "np1  03:04:19  reverted",
    ]


def test_a_host_that_stays_away_is_told_once_a_minute() -> None:
    at = 1_893_553_384.0
    looked_for = [
        event(kind, at + second, detail="connection refused")
        for second in range(2, 70)
        for kind in (Kind.CONNECTING, Kind.RETRY, Kind.LINE_LOST)
    ]

    assert plain(
        event(Kind.CONNECTING, at),
        event(Kind.RETRY, at, detail="1"),
        event(Kind.LINE_LOST, at + 1, detail="hung up"),
        *looked_for,
        event(Kind.CONNECTING, at + 70),
        event(Kind.LINE_BACK, at + 71),
        event(Kind.LINE_LOST, at + 72, detail="hung up"),
    ) == [
        "np1  03:03:04  connecting",
        "np1  03:03:04  retrying 1",
        f"np1  03:03:05  {LOST} hung up",
        f"np1  03:04:05  {LOST} connection refused (away for 1 min 00 s)",
        "np1  03:04:15  reconnected",
        f"np1  03:04:16  {LOST} hung up",
    ]


@given(st.lists(events, max_size=5))
def test_any_event_makes_at_most_one_plain_line(happened: list[Event]) -> None:
    assert all(line.isprintable() for line in plain(*happened))
