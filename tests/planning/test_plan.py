"""What an upgrade does, in which order, with which variables."""

from dataclasses import replace
from pathlib import PurePosixPath

import pytest

from netpoint_remote.planning.case import Case, is_as_asked, is_repair, new_folder
from netpoint_remote.planning.facts import Facts
from netpoint_remote.planning.inventory import Product
from netpoint_remote.planning.plan import Phase, folders_to_copy, make_plan
from tests.builders import case, database, facts, host, page, target, unit

GIT = case(facts(git=True))
ARCHIVE_ORDER = (
    "stage: Write down what undo needs",
    "stage: Prove the running release by what will prove the new one",
    "stage: Fetch the verified archive",
    "stage: Unpack it next to the running release",
    "stage: Copy the configuration and other local files",
    "stage: Copy media, scripts and reports",
    "stage: Fetch and build the Python packages while NetPoint serves",
    "stage: Load the new release with this configuration and its plugins",
    "stage: Guard the window against a reboot",
    "window: Stop the services",
    "window: Dump the database and read the dump back",
    "window: Seal the backup: manifest and checksums",
    "window: Bring what was uploaded or changed since",
    "window: Run the official upgrade.sh",
    "window: Prove the new release on a private socket",
    "window: Point the link to the release",
    "window: Update units from before virtual environments",
    "window: Start the services and wait for the login page",
    "after: Watch the services and prove the pages in place",
    "after: See that housekeeping is scheduled",
    "after: Take the guard away",
)
GIT_ORDER = (
    "stage: Write down what undo needs",
    "stage: Prove the running release by what will prove the new one",
    "stage: Fetch the release's tag",
    "stage: Fetch and build the Python packages while NetPoint serves",
    "stage: Load the new release with this configuration and its plugins",
    "stage: Guard the window against a reboot",
    "window: Stop the services",
    "window: Dump the database and read the dump back",
    "window: Seal the backup: manifest and checksums",
    "window: Keep the old environment and static files aside",
    "window: Check the release out",
    "window: Run the official upgrade.sh",
    "window: Prove the new release on a private socket",
    "window: Update units from before virtual environments",
    "window: Start the services and wait for the login page",
    "after: Watch the services and prove the pages in place",
    "after: See that housekeeping is scheduled",
    "after: Take the guard away",
)
PHASES = [Phase.STAGE, Phase.WINDOW, Phase.AFTER]


def as_a_manual(planned: Case) -> tuple[str, ...]:
    return tuple(f"{step.phase}: {step.title}" for step in make_plan(planned).steps)


def variables(planned: Case) -> dict[str, str]:
    return dict(make_plan(planned).variables)


def upgraded(before: Case) -> Case:
    """Return the case as a finished plan leaves it."""
    assert before.target
    planned, told = variables(before), before.facts
    link = f"{planned['NEW']}/" if told.link is not None else None
    commit = before.target.commit if told.git else ""
    there = facts(before.target.tree_version, git=told.git, link=link, real=planned["NEW"], commit=commit)
    return replace(before, facts=there)


# ---- order


def test_an_archive_is_upgraded_in_this_order() -> None:
    assert as_a_manual(case()) == ARCHIVE_ORDER


def test_a_checkout_is_upgraded_in_this_order() -> None:
    assert as_a_manual(GIT) == GIT_ORDER


def test_a_release_that_is_there_and_not_in_service_is_built_again_in_place() -> None:
    half = case(facts("3.5.0", page=page("3.4.9")))

    left_out = {
        "stage: Prove the running release by what will prove the new one",
        "stage: Fetch the release's tag",
        "window: Check the release out",
    }
    assert as_a_manual(half) == tuple(line for line in GIT_ORDER if line not in left_out)


def test_a_checkout_at_another_commit_of_that_version_is_checked_out() -> None:
    elsewhere = case(facts("3.5.0", git=True, commit="d" * 40))

    assert (is_repair(elsewhere), as_a_manual(elsewhere)) == (False, GIT_ORDER)


@pytest.mark.parametrize("planned", [case(), GIT, case(facts("3.5.0"))], ids=["archive", "git", "repair"])
def test_users_notice_nothing_before_the_window_and_nothing_after_it(planned: Case) -> None:
    phases = [step.phase for step in make_plan(planned).steps]

    assert phases == sorted(phases, key=PHASES.index)


@pytest.mark.parametrize(
    ("planned", "fetched"), [(case(), "fetch_release"), (GIT, "fetch_tag")], ids=["archive", "git"]
)
def test_only_what_the_network_can_spoil_is_tried_again(planned: Case, fetched: str) -> None:
    tried_again = {step.name for step in make_plan(planned).steps if step.tries > 1}

    assert tried_again == {fetched, "stage_packages"}


# ---- planning again


@pytest.mark.parametrize(
    "before",
    [
        case(),
        GIT,
        case(facts("3.4.9", real="/srv/np/netpoint-3.4.9", link="/srv/np/netpoint-3.4.9")),
        case(to=target("3.7.2", tree_version="3.7.3-dev")),
        case(facts("2.11.12"), to="3.5.0"),
    ],
    ids=["archive", "git", "elsewhere", "3.7.2 that says 3.7.3-dev", "over a major"],
)
def test_after_a_finished_plan_there_is_nothing_to_do(before: Case) -> None:
    assert (is_as_asked(before), is_as_asked(upgraded(before))) == (False, True)


@pytest.mark.parametrize(
    "seen",
    [
        facts("3.4.9", page=page("3.5.0"), database=database("3.5.0")),
        facts("3.5.0", page=page("3.4.9")),
        facts("3.5.0", page=page("3.5.0", login="502")),
        facts("3.5.0", page=page("3.5.0", error="connection refused", login="")),
        facts("3.5.0", page=page("3.5.0", static="missing (404 /static/x.css)")),
        facts("3.5.0", database=database("3.5.0", unapplied="dcim.0172_new")),
        facts("3.5.0", database=database("3.5.0", error="connection refused")),
        facts("3.5.0", units=(unit("netpoint"), unit("netpoint-rq", active="failed"))),
        facts("3.5.0", units=(unit("netpoint"),)),
        facts("3.5.0", run_id="r1"),
        facts("3.5.0", git=True, commit="d" * 40),
    ],
    ids=[
        "the files are not",
        "the process is not",
        "its pages fail",
        "it does not answer",
        "static files are missing",
        "migrations are missing",
        "the database is not there",
        "the worker is down",
        "the worker is not there",
        "a run was interrupted",
        "another commit is checked out",
    ],
)  # fmt: skip
def test_files_process_and_database_must_all_be_the_release(seen: Facts) -> None:
    assert not is_as_asked(case(seen))


def test_a_suffix_of_the_running_version_is_no_difference() -> None:
    assert is_as_asked(case(facts("3.5.0", page=page("3.5.0-Docker-2.5"))))


def test_a_host_that_is_only_looked_at_was_not_asked_for_anything() -> None:
    assert not is_as_asked(case(facts("3.5.0"), to=None))


# ---- folders


@pytest.mark.parametrize(
    ("seen", "folder"),
    [
        (facts(), "/opt/netpoint-3.5.0"),
        (facts(real="/srv/releases/netpoint-3.4.9"), "/srv/releases/netpoint-3.5.0"),
        (facts(real="/srv/np-v3.4.9-prod"), "/srv/np-v3.5.0-prod"),
        (facts(real="/srv/netpoint-blue"), "/srv/netpoint-3.5.0"),
        (facts("3.7.2", real="/opt/netpoint-3.7.2", disk_version="3.7.3-dev"), "/opt/netpoint-3.5.0"),
        (facts(git=True), "/opt/netpoint"),
        (facts("3.5.0", real="/srv/netpoint-blue"), "/srv/netpoint-blue"),
    ],
    ids=["as documented", "linked elsewhere", "version inside", "no version", "odd version", "checkout", "repair"],
)
def test_the_new_release_lies_beside_the_old_one_and_is_named_like_it(seen: Facts, folder: str) -> None:
    assert new_folder(case(seen)) == PurePosixPath(folder)


def test_names_follow_from_the_product() -> None:
    product = Product(name="netbox")
    netbox = host(product=product, root=PurePosixPath("/opt/netbox"), services=product.services)
    seen = facts(real="/opt/netbox-3.4.9", link="/opt/netbox-3.4.9/")

    told = variables(case(seen, on=netbox))

    assert (told["NEW"], told["PRODUCT"], told["SERVICES"], told["FOLDERS"].split()) == (
        "/opt/netbox-3.5.0",
        "netbox",
        "netbox netbox-rq",
        ["netbox/media", "netbox/scripts", "netbox/reports"],
    )


# ---- uploaded files


def copied(**roots: object) -> tuple[str, ...]:
    return folders_to_copy(case(facts(configuration=roots)))


def test_uploads_behind_another_name_of_the_release_are_copied() -> None:
    """Such as a link from the old name of the product, which leads to the new release after the flip."""
    elsewhere = {"MEDIA_ROOT": "/opt/netbox/netpoint/media", "SCRIPTS_ROOT": "/srv/scripts"}
    seen = case(facts(configuration=elsewhere, inside=(("media", "netpoint/media"),)))

    assert folders_to_copy(seen) == ("netpoint/media", "netpoint/reports")


def test_uploads_lie_in_the_tree_unless_configured_elsewhere() -> None:
    assert copied() == ("netpoint/media", "netpoint/scripts", "netpoint/reports")


def test_what_lies_outside_is_not_copied() -> None:
    roots = {"MEDIA_ROOT": "/srv/media", "SCRIPTS_ROOT": "/opt/netpoint-scripts", "REPORTS_ROOT": "/opt"}

    assert copied(**roots) == ()


@pytest.mark.parametrize(
    "configured",
    [
        "/opt/netpoint/uploads",
        "/opt/netpoint/uploads/",
        "/opt/netpoint-3.4.9/uploads",
        "/opt/netpoint//uploads",
        "/opt/netpoint/netpoint/../uploads",
        "/opt/netpoint/netpoint/netpoint/../../uploads",
        "/srv/../opt/netpoint/uploads",
        "uploads",
    ],
)
def test_what_lies_inside_is_copied_however_it_is_written(configured: str) -> None:
    assert copied(MEDIA_ROOT=configured)[0] == "uploads"


@pytest.mark.parametrize("configured", ["/opt/netpoint/../media", "../media", "/opt/netpoint", "/opt/netpoint/."])
def test_a_way_out_of_the_tree_leads_out(configured: str) -> None:
    assert copied(MEDIA_ROOT=configured, SCRIPTS_ROOT="/srv/s", REPORTS_ROOT="/srv/r") == ()


def test_an_environment_is_kept_aside_on_its_own_disk_and_out_of_the_sight_of_git() -> None:
    assert [variables(each)["ASIDE"] for each in (GIT, case(facts("3.5.0")))] == [
        "/opt/netpoint/.git/netpoint-remote/3.4.9",
        "/opt/netpoint-3.5.0/.netpoint-remote/3.5.0",
    ]


def test_a_broken_release_that_is_to_be_repaired_is_not_proved_first() -> None:
    plan = make_plan(replace(case(), repair_broken=True))

    assert ("prove_running" in [step.name for step in plan.steps], len(plan.steps)) == (
        False,
        len(make_plan(case()).steps) - 1,
    )
