"""What is stopped and started with the services, what may not be pruned, and what a server can say of either."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netpoint_remote.planning.facts import parse_facts
from netpoint_remote.planning.inventory import Product
from netpoint_remote.planning.plan import make_plan
from netpoint_remote.planning.told import told_facts
from netpoint_remote.planning.tree_facts import CronJob, Mention, Process, Session, TreeUnit, read_facts
from netpoint_remote.planning.tree_users import companions, loose_processes, trees_in_use, unlisted_units
from tests.builders import case, facts, host, unit

WORKER = TreeUnit(name="netpoint-rq2.service", active="active", kind="simple", user="netpoint", in_tree=True)


@pytest.mark.parametrize(
    "unit",
    [
        WORKER,
        replace(WORKER, name="netpoint-rq@2.service"),
        replace(WORKER, name="netpoint-rq2.service", active="activating"),
    ],
)
def test_a_second_worker_is_stopped_and_started_with_the_services(unit: TreeUnit) -> None:
    plan = make_plan(case(facts(tree_units=(unit,))))

    assert dict(plan.variables)["SERVICES"] == f"netpoint netpoint-rq {unit.name.removesuffix('.service')}"


@pytest.mark.parametrize(
    ("name", "known"), [("web.service", "web"), ("web@1.service", "web@1"), ("web$(id).service", "netpoint")]
)
def test_a_service_that_is_named_by_an_alias_is_one_unit_with_its_own_name(name: str, known: str) -> None:
    """Whatever systemd says goes by that; it is a word of commands of root's."""
    seen = facts(
        units=(unit("web", name=name, names=("netpoint.service", name)), unit("netpoint-rq")),
        tree_units=(replace(WORKER, name=name),),
    )
    services = dict(make_plan(case(seen, on=host(services=("netpoint", "netpoint-rq", "web")))).variables)["SERVICES"]

    assert services.split()[:2] == [known, "netpoint-rq"]
    assert list(unlisted_units(case(seen))) == []


@pytest.mark.parametrize("name", ["netpoint.socket", "wake-up.path", "netpoint-rq.timer"])
def test_what_would_start_a_service_is_stopped_with_it(name: str) -> None:
    starter = TreeUnit(name=name, active="active", triggers=("netpoint.service",))

    assert companions(case(facts(tree_units=(starter,)))) == (name,)


@pytest.mark.parametrize(
    "unit",
    [
        replace(WORKER, name="netpoint-rq.service"),  # a service of the hosts file
        replace(WORKER, name="netpointer.service"),
        replace(WORKER, user="ann"),
        replace(WORKER, active="inactive"),
        replace(WORKER, in_tree=False),
        replace(WORKER, kind="oneshot"),
        replace(WORKER, name="netpoint-remote-recover.service"),
        TreeUnit(name="netpoint-housekeeping.timer", active="active", triggers=("netpoint-housekeeping.service",)),
    ],
)
def test_what_is_no_part_of_it_is_not(unit: TreeUnit) -> None:
    assert companions(case(facts(tree_units=(unit,)))) == ()


@pytest.mark.parametrize(
    ("job", "starter"),
    [
        ("netpoint-housekeeping", ""),
        ("netpoint-housekeeping", "netpoint-housekeeping.timer"),
        ("netpoint-sync", "netpoint-sync.timer"),
        ("netpoint-sync", "nightly.timer"),
        ("netpoint-sync", "drop-folder.path"),
        ("reports", "netpoint-reports.timer"),
    ],
)
@pytest.mark.parametrize("kind", ["simple", "exec", "oneshot"])
def test_a_job_that_runs_during_the_check_is_never_started(job: str, starter: str, kind: str) -> None:
    """It ends by itself: as a service it would be one that does not stay up, and a good upgrade would be undone."""
    running = replace(WORKER, name=f"{job}.service", kind=kind)
    begun_by = TreeUnit(name=starter, active="active", triggers=(running.name,))
    at = case(facts(
        tree_units=(running, *([begun_by] if starter else [])),
        processes=(Process(number=7, unit=running.name, tree="/opt/netpoint-3.4.9"),),
    ))  # fmt: skip

    assert job not in companions(at)
    assert running.name not in tuple(unlisted_units(at))
    assert tuple(loose_processes(at)) == ()


def test_a_worker_that_a_socket_starts_is_no_job() -> None:
    socket = TreeUnit(name="netpoint-rq2.socket", active="active", triggers=(WORKER.name,))

    assert companions(case(facts(tree_units=(WORKER, socket)))) == ("netpoint-rq2", "netpoint-rq2.socket")


def test_a_product_of_another_name_has_its_own_workers() -> None:
    on = host(product=Product(name="netbox"), services=("netbox", "netbox-rq"))

    assert companions(case(facts(tree_units=(WORKER,)), on=on)) == ()


def test_a_release_that_anything_uses_stays() -> None:
    seen = facts(
        mentions=(Mention(kind="other", tree="/opt/netpoint-3.4.7"),),
        processes=(Process(number=7, tree="/opt/netpoint-3.4.8"),),
    )

    assert trees_in_use(seen) == {"/opt/netpoint-3.4.7", "/opt/netpoint-3.4.8"}


def test_a_check_shows_what_runs_out_of_the_release() -> None:
    seen = facts(
        tree_units=(WORKER,),
        processes=(
            Process(number=7, unit="netpoint.service"), Process(number=8, unit="netpoint.service"), Process(number=9),
        ),
        mounts=("/opt/netpoint-3.4.9/netpoint/media",),
        cron_jobs=(CronJob(file="/etc/cron.d/x", line=2),),
        sessions=(Session(count=3), Session(count=1, address="10.0.0.2", application="pgadmin", elsewhere=True)),
    )  # fmt: skip

    told = dict(told_facts(case(seen)))

    assert {label: told[label] for label in ("with them", "processes", "mounts", "cron", "sessions")} == {
        "with them": "netpoint-rq2",
        "processes": "netpoint 2, no unit 1",
        "mounts": "/opt/netpoint-3.4.9/netpoint/media",
        "cron": "/etc/cron.d/x line 2",
        "sessions": "3 from a socket, 1 from 10.0.0.2 (pgadmin)",
    }


def test_facts_of_several_values_are_read() -> None:
    seen = parse_facts('process={"number": 7, "unit": "a", "user": "b", "tree": "/t", "command": "c", "other": 1}\n')

    assert seen.processes == (Process(number=7, unit="a", user="b", tree="/t", command="c"),)


@pytest.mark.parametrize("line", ["", "[]", "7", "{", "[" * 100_000, "null"])
def test_what_is_no_object_is_passed_over(line: str) -> None:
    assert read_facts(TreeUnit, [line]) == ()


json_values = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists)


@given(st.dictionaries(st.sampled_from(["name", "in_tree", "triggers", "kind"]), json_values))
def test_a_value_of_another_type_is_left_out(said: dict[str, object]) -> None:
    (read,) = read_facts(TreeUnit, [json.dumps(said)])

    assert (type(read.name), type(read.in_tree), type(read.triggers)) == (str, bool, tuple)


def test_a_server_that_says_more_than_anyone_would_is_cut_short() -> None:
    (read, *_) = many = read_facts(TreeUnit, ['{"name": "' + "x" * 5000 + '\\ud800"}'] * 5000)

    assert (len(many), len(read.name)) == (200, 1000)
