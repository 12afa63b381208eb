"""The fixed values that the golden files show: one host in each status, one plan of each kind."""

from dataclasses import replace
from datetime import datetime, timezone

from netpoint_remote.planning.problem import Problem, Severity
from netpoint_remote.reporting.plan_view import HostPlan, Phase, PlanStep
from netpoint_remote.reporting.report import (
    BackupReport,
    FleetReport,
    HostReport,
    PartReport,
    RunReport,
    Status,
    StepReport,
    StepStatus,
    Typed,
)

STARTED = datetime(2030, 1, 2, 3, 4, 5, tzinfo=timezone.utc)

PATH = Problem(
    code="version-path",
    severity=Severity.ERROR,
    message="2.10.10 cannot go to 3.5.0 in one step: a major is left only from its last minor release, here 2.11.",
    remedy="Upgrade to any 2.11 release first, then to 3.5.0:\n"
    "    fab upgrade --version 2.11.12\n"
    "    fab upgrade --version 3.5.0",
    source="the upgrade document, introduction",
)
UNIT = Problem(
    code="old-folder",
    severity=Severity.WARNING,
    message="netpoint.service names the folder of a release, /opt/netpoint-3.4.9, and would start the old one.",
    remedy="Point it at /opt/netpoint in /etc/systemd/system/netpoint.service, then systemctl daemon-reload.",
    source="the upgrade document, 5. Restart the NetPoint Services",
)


def step(name: str, seconds: float, status: StepStatus = StepStatus.DONE, **more: object) -> StepReport:
    return StepReport(name=name, seconds=seconds, status=status, **more)


UPGRADE_STEPS = (
    step("fetch_release", 6.2, attempts=2),
    step("carry_over", 0.4, StepStatus.UNCHANGED),
    step("dump_database", 3.1),
    step(
        "run_upgrade",
        38.5,
        parts=(
            PartReport(name="Building Python environment", seconds=21.04),
            PartReport(name="Applying database migrations", seconds=9.3),
        ),
    ),
    step("start_services", 4.8),
)
BROKEN_STEPS = (
    *UPGRADE_STEPS[:3],
    step(
        "run_upgrade",
        31.7,
        StepStatus.FAILED,
        parts=(PartReport(name="Applying database migrations", seconds=8.2),),
    ),
)

UPGRADE = FleetReport(
    run_id="20300102-030405-k7qd",
    command="upgrade",
    target="3.5.0",
    started=STARTED,
    seconds=184.25,
    typed=Typed(before=("fab",), task="upgrade", common=("--hosts-file", "lab.yaml"), own=("--version", "3.5.0")),
    hosts=(
        HostReport(
            name="np1",
            status=Status.UPGRADED,
            from_version="3.4.9",
            to_version="3.5.0",
            method="archive",
            problems=(UNIT,),
            steps=UPGRADE_STEPS,
            seconds=96.5,
            window_seconds=54.2,
            log="np1.log",
        ),
        HostReport(
            name="np2",
            status=Status.UNCHANGED,
            reason="3.5.0 was already installed and healthy",
            from_version="3.5.0",
            to_version="3.5.0",
            method="git",
            problems=(UNIT,),
        ),
        HostReport(
            name="np3",
            status=Status.REFUSED,
            reason="the version path: 2.11 comes first",
            from_version="2.10.10",
            to_version="2.10.10",
            method="archive",
            problems=(PATH,),
        ),
        HostReport(
            name="np4",
            status=Status.REVERTED,
            reason="a migration failed; the database was restored and 3.4.9 serves again",
            from_version="3.4.9",
            to_version="3.4.9",
            method="archive",
            steps=tuple(
                step(each.name, each.seconds, StepStatus.FAILED if each is BROKEN_STEPS[-1] else StepStatus.UNDONE)
                for each in BROKEN_STEPS
            ),
            seconds=88.0,
            window_seconds=71.9,
            log="np4.log",
        ),
        HostReport(
            name="np5",
            status=Status.FAILED,
            reason="upgrade.sh ended with status 1 and the dump could not be restored: the disk is full",
            from_version="3.4.9",
            method="git",
            steps=(*BROKEN_STEPS, step("dump_database", 2.0, StepStatus.UNDO_FAILED)),
            seconds=4050.0,
            window_seconds=4021.0,
            log="np5.log",
        ),
        HostReport(
            name="np6",
            status=Status.UNREACHABLE,
            reason="192.0.2.6 port 22: connection refused",
            problems=(),
        ),
        HostReport(
            name="np7",
            status=Status.NOT_STARTED,
            reason="the canary np5 failed",
            from_version="3.4.9",
            to_version="3.4.9",
            method="archive",
        ),
        HostReport(name="np8", status=Status.READY, from_version="3.4.9", to_version="3.5.0", method="archive"),
        HostReport(name="np9", status=Status.CURRENT, from_version="3.5.0", to_version="3.5.0", method="git"),
    ),
)

CHECK = FleetReport(
    run_id="20300102-030405-a2mm",
    command="check",
    target="3.5.0",
    started=STARTED,
    seconds=1.8,
    hosts=(
        *(
            HostReport(
                name=f"np{number}",
                status=Status.READY,
                from_version="3.4.9",
                to_version="3.5.0",
                method="archive",
                problems=(UNIT,),
            )
            for number in (1, 2, 3)
        ),
        HostReport(name="np4", status=Status.CURRENT, from_version="3.5.0", to_version="3.5.0", method="git"),
        *(
            HostReport(name=name, status=Status.REFUSED, from_version="2.10.10", to_version="3.5.0", problems=(PATH,))
            for name in ("np5", "old.example.net")
        ),
        HostReport(
            name="[2001:db8::6]:2222",
            status=Status.UNREACHABLE,
            reason="its host key is not the one in known_hosts: somebody may be in between",
        ),
    ),
)

RUN = RunReport(
    run_id="20300102T030215Z-5f00aa",
    operator="alice@ws1",
    task="from 3.4.9 to 3.5.0",
    began=datetime(2030, 1, 2, 3, 2, 15, tzinfo=timezone.utc),
    seconds=110.4,
    step="run_upgrade",
    steps_done=9,
    total=16,
)
STATUS = FleetReport(
    run_id="20300102-030405-s3wx",
    command="status",
    target=None,
    started=STARTED,
    seconds=0.4,
    hosts=(
        HostReport(
            name="np1",
            status=Status.RUNNING,
            reason="from 3.4.9 to 3.5.0, for 1 min 50 s; users are without NetPoint for 42 s",
            run=RUN,
        ),
        HostReport(
            name="np2",
            status=Status.IDLE,
            reason="no run in progress; the last run (from 3.4.9 to 3.5.0, by alice@ws1) ended as upgraded at "
            "2030-01-02 03:04 UTC, 3 h 05 min ago",
            run=replace(
                RUN, result="upgraded", ended=datetime(2030, 1, 2, 3, 4, 5, tzinfo=timezone.utc), steps_done=16
            ),
        ),
        HostReport(
            name="np3",
            status=Status.INTERRUPTED,
            reason="the run was cut off in dump_database: the server went down, or the run was killed there",
            run=replace(RUN, step="dump_database", steps_done=8, seconds=None),
            problems=(
                Problem(
                    code="interrupted",
                    severity=Severity.ERROR,
                    message="the run 20300102T030215Z-5f00aa (from 3.4.9 to 3.5.0, by alice@ws1) was cut off",
                    remedy="run the same command again: it settles the interrupted run first",
                    source="docs/reliability.md",
                ),
            ),
        ),
        HostReport(name="np4", status=Status.IDLE, reason="no run in progress, none recorded"),
    ),
)

BACKUP = BackupReport(
    id="20300101T220000Z-0b51de",
    made=1893535200.0,
    purpose="backup",
    version="3.4.9",
    leads_to="3.4.9",
    operator="alice@ws1",
    verified="full",
    size=734_003_200,
    changes=214,
)
BACKUPS = replace(
    STATUS,
    command="backups",
    hosts=(
        HostReport(
            name="np1",
            status=Status.DONE,
            from_version="3.5.0",
            method="archive",
            backups=(
                replace(
                    BACKUP,
                    id="20300102T030215Z-5f00aa",
                    made=1893553335.0,
                    purpose="upgrade",
                    leads_to="3.5.0",
                    verified="read",
                    size=52_428_800,
                    changes=1,
                ),
                BACKUP,
            ),
        ),
        HostReport(
            name="np2",
            status=Status.DONE,
            from_version="3.4.9",
            method="git",
            backups=(
                replace(BACKUP, changes=None, verified="read"),
                replace(BACKUP, id="20291231T220000Z-7a11ed", made=1893448800.0, damage="database.dump is missing"),
            ),
        ),
        HostReport(name="np3", status=Status.DONE, reason="there is no backup", from_version="3.4.9", method="git"),
        HostReport(name="np4", status=Status.UNREACHABLE, reason="cannot be reached"),
    ),
)


def plan_step(name: str, title: str, phase: Phase, seconds: float | None = None) -> PlanStep:
    return PlanStep(name=name, title=title, phase=phase, expected_seconds=seconds)


STEPS = (
    plan_step("fetch_release", "Download release 3.5.0 and compare its checksum", Phase.STAGE, 6.0),
    plan_step("unpack_release", "Unpack it beside the old release", Phase.STAGE, 1.5),
    plan_step(
        "carry_over",
        "Copy configuration.py, local_requirements.txt, gunicorn.py, media, scripts and reports",
        Phase.STAGE,
    ),
    plan_step("stop_services", "Stop netpoint and netpoint-rq", Phase.WINDOW, 2.0),
    plan_step("dump_database", "Dump the database and read the dump back", Phase.WINDOW, 12.0),
    plan_step("run_upgrade", "Run upgrade.sh of the new release", Phase.WINDOW, 40.0),
    plan_step("flip_link", "Point /opt/netpoint to the new release", Phase.WINDOW, 0.1),
    plan_step("start_services", "Start netpoint and netpoint-rq and prove them healthy", Phase.WINDOW, 8.0),
    plan_step("schedule_housekeeping", "Link the nightly housekeeping into cron", Phase.AFTER, 0.1),
)


def slower(steps: tuple[PlanStep, ...], factor: float) -> tuple[PlanStep, ...]:
    return tuple(
        plan_step(each.name, each.title, each.phase, each.expected_seconds and each.expected_seconds * factor)
        for each in steps
    )


PLANS = (
    HostPlan(
        name="np1",
        from_version="3.4.9",
        to_version="3.5.0",
        hops=("3.5.0",),
        method="archive",
        steps=STEPS,
        notes=("django-rq is held below 2.9: later ones break this release (the package's own table of bounds)",),
    ),
    HostPlan(
        name="np2",
        from_version="3.4.9",
        to_version="3.5.0",
        hops=("3.5.0",),
        method="archive",
        steps=slower(STEPS, 2),
        notes=("django-rq is held below 2.9: later ones break this release (the package's own table of bounds)",),
    ),
    HostPlan(name="np3", from_version="2.10.10", to_version="2.11.12", hops=("2.11.12", "3.5.0"), steps=STEPS[3:5]),
    HostPlan(name="np4", from_version="3.5.0", to_version="3.5.0", method="git"),
)
