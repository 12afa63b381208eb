"""Whatever a server, a clock or an operator may put into a report."""

from datetime import timezone

from hypothesis import strategies as st

from netpoint_remote.planning.problem import Problem, Severity
from netpoint_remote.reporting.event import Event, Kind
from netpoint_remote.reporting.report import (
    BackupReport,
    FleetReport,
    HostReport,
    PartReport,
    Phase,
    PlanReport,
    PlanStep,
    RunReport,
    Status,
    StepReport,
    StepStatus,
)

hostile = st.text(
    st.one_of(
        st.characters(categories=["Cc", "Cf", "Cs", "Zl", "Zp", "Zs"]),
        st.characters(),
        st.sampled_from("\x1b\r\n\x9b\u202e[]|,<"),
    ),
    max_size=60,
)
numbers = st.floats(allow_nan=True, allow_infinity=True)
problems = st.builds(
    Problem, code=hostile, severity=st.sampled_from(Severity), message=hostile, remedy=hostile, source=hostile
)
parts = st.builds(PartReport, name=hostile, seconds=numbers)
steps = st.builds(
    StepReport,
    name=hostile,
    status=st.sampled_from(StepStatus),
    seconds=numbers,
    attempts=st.integers(0, 9),
    parts=st.lists(parts, max_size=2).map(tuple),
)
moments = st.none() | st.datetimes(timezones=st.just(timezone.utc))
backups = st.builds(
    BackupReport,
    id=hostile,
    made=numbers,
    purpose=hostile,
    version=hostile,
    leads_to=hostile,
    operator=hostile,
    verified=hostile,
    size=st.integers(0, 2**60),
    changes=st.none() | st.integers(0, 2**40),
    damage=hostile,
)
runs = st.builds(
    RunReport,
    run_id=hostile,
    operator=hostile,
    task=hostile,
    began=moments,
    ended=moments,
    seconds=st.none() | numbers,
    step=hostile,
    undoing=st.booleans(),
    steps_done=st.integers(0, 20),
    total=st.integers(0, 20),
    result=hostile,
    stop=hostile,
)
plans = st.builds(
    PlanReport,
    hops=st.lists(hostile, max_size=2).map(tuple),
    steps=st.lists(
        st.builds(
            PlanStep,
            name=hostile,
            title=hostile,
            phase=st.sampled_from(Phase),
            expected_seconds=st.none() | numbers,
        ),
        max_size=2,
    ).map(tuple),
    notes=st.lists(hostile, max_size=2).map(tuple),
)
hosts = st.builds(
    HostReport,
    name=hostile,
    status=st.sampled_from(Status),
    reason=hostile,
    from_version=st.none() | hostile,
    to_version=st.none() | hostile,
    method=st.none() | hostile,
    problems=st.lists(problems, max_size=2).map(tuple),
    steps=st.lists(steps, max_size=3).map(tuple),
    seconds=st.none() | numbers,
    window_seconds=st.none() | numbers,
    log=st.none() | hostile,
    run=st.none() | runs,
    backups=st.lists(backups, max_size=2).map(tuple),
    plan=st.none() | plans,
)
reports = st.builds(
    FleetReport,
    run_id=hostile.filter(bool),
    command=hostile.filter(bool),
    target=st.none() | hostile,
    started=st.datetimes(timezones=st.just(timezone.utc)),
    seconds=numbers,
    hosts=st.lists(hosts, max_size=4).map(tuple),
    stopped=st.booleans(),
)
events = st.builds(
    Event,
    at=numbers,
    host=st.sampled_from(["np1", "np2", "[2001:db8::1]:22"]) | hostile,
    kind=st.sampled_from(Kind),
    step=hostile,
    detail=hostile,
    position=st.integers(-1, 20),
    total=st.integers(0, 20),
)
