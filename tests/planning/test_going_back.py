"""Which backup a way back leads to, what stands in its way, and what a prune must never take."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netpoint_remote.planning.facts import Backup, Facts, Kept, parse_facts
from netpoint_remote.planning.goal import BackUp, GoBack, decide
from netpoint_remote.planning.problem import Severity
from netpoint_remote.planning.pruning import kept_backups, prune_problems, what_to_remove
from netpoint_remote.planning.tree_facts import Mention, Process
from netpoint_remote.planning.way_back import choose_backup
from tests.builders import COMMITS, case, disk, facts, host

UP_34 = Backup(
    id="20300101T000000Z-aaaaaa", purpose="upgrade", made=1_900_000_000, method="archive", tree="/opt/netpoint-3.4.9",
    version="3.4.9", leads_to="3.5.0", changes=0,
)  # fmt: skip
SAVED = replace(UP_34, id="20300102T000000Z-bbbbbb", purpose="backup", made=1_900_086_400, version="3.5.0",
                leads_to="3.5.0", tree="/opt/netpoint-3.5.0")  # fmt: skip
RELEASES = (Kept(path="/opt/netpoint-3.4.9", version="3.4.9"), Kept(path="/opt/netpoint-3.5.0", version="3.5.0"))


def upgraded(**changes: object) -> Facts:
    """Return what a look sees on a server that was upgraded from 3.4.9 to 3.5.0."""
    return facts("3.5.0", **{"backups": (SAVED, UP_34), "releases": RELEASES, **changes})


def go_back(seen: Facts, to: str | None = None, *, accept_loss: bool = False) -> list[str]:
    decision = decide(GoBack(to=to, accept_loss=accept_loss), host(), seen, {})
    return [problem.message for problem in decision.problems if problem.blocks]


# ---- which backup


def test_the_way_back_leads_to_what_was_before_the_last_upgrade() -> None:
    assert choose_backup(upgraded(), None) == UP_34


def test_a_release_that_was_rolled_back_is_not_gone_to_unless_named() -> None:
    seen = upgraded(rolled_back=(("3.4.9", "r1 by alice"),))

    assert (choose_backup(seen, None), choose_backup(seen, "3.4.9")) == (None, UP_34)


def test_a_version_means_the_newest_backup_from_which_an_upgrade_started() -> None:
    older = replace(UP_34, id="20290101T000000Z-cccccc", made=1)
    other = replace(UP_34, id="20300103T000000Z-dddddd", purpose="backup")

    assert choose_backup(upgraded(backups=(other, SAVED, UP_34, older)), "3.4.9") == UP_34


def test_a_newer_backup_of_another_method_hides_none_that_fits() -> None:
    """The server was a checkout for a while."""
    strange = replace(UP_34, id="20300103T000000Z-dddddd", made=UP_34.made + 9, method="git", tree="/opt/netpoint")
    saved = replace(UP_34, id="20290103T000000Z-dddddd", made=1, purpose="backup")
    seen = upgraded(backups=(strange, UP_34))

    assert (choose_backup(seen, None), choose_backup(seen, "3.4.9")) == (UP_34, UP_34)
    assert choose_backup(upgraded(backups=(strange, saved)), "3.4.9") == saved
    assert choose_backup(seen, strange.id) == strange


def test_a_backup_is_named_by_its_id() -> None:
    assert choose_backup(upgraded(), SAVED.id) == SAVED


# ---- what stands in the way


@pytest.mark.parametrize(
    ("seen", "to", "said"),
    [
        (upgraded(), "3.5.0", "3.5.0 is installed already"),
        (upgraded(backups=()), None, "no upgrade to 3.5.0 has left a backup here"),
        (upgraded(rolled_back=(("3.4.9", "r3 by ann"),)), None,
         "3.4.9, from which 3.5.0 was upgraded, was rolled back here before (r3 by ann)"),
        (upgraded(), "3.3.0", ("there is no backup 3.3.0 here, nor one of a release 3.3.0 "
         "(releases with backups: 3.5.0, 3.4.9)")),
        (upgraded(releases=RELEASES[1:]), None, "the release 3.4.9 is no longer at /opt/netpoint-3.4.9: it was pruned"),
        (upgraded(backups=(replace(UP_34, method="git"),)), None,
         f"{UP_34.id} is of an installation by git, this one is by archive"),
        (upgraded(backups=(replace(UP_34, changes=3, changers="alice"),)), None,
         f"rolling back to {UP_34.id} (2030-03-17 17:46 UTC) discards the changes made since: 3 changes by alice"),
        (upgraded(backups=(replace(UP_34, changes=None),)), None,
         (f"rolling back to {UP_34.id} (2030-03-17 17:46 UTC) discards the changes made since: unknown, "
         "because the change log cannot be read")),
        (upgraded(disks=(disk("/var/backups/netpoint-remote", free_mb=1),)), None,
         "1.0 MB is free where /var/backups/netpoint-remote lies (/dev/sda1), and about 150.0 MB is needed"),
    ],
)  # fmt: skip
def test_a_way_back_that_makes_no_sense_is_refused_with_its_reason(seen: Facts, to: str | None, said: str) -> None:
    assert go_back(seen, to) == [said]


def test_a_release_that_was_rolled_back_is_refused_with_the_word_that_leads_to_it() -> None:
    seen = upgraded(rolled_back=(("3.4.9", "r3 by ann"),))

    remedies = [problem.remedy for problem in decide(GoBack(), host(), seen, {}).blocked]

    assert remedies == ["to roll back to it anyway: --to 3.4.9"]


def test_a_damaged_backup_is_refused_and_no_older_one_taken_in_its_place() -> None:
    older = replace(UP_34, id="20290101T000000Z-cccccc", made=1)
    seen = upgraded(backups=(replace(UP_34, damage="database.dump is missing"), older))
    said = f"the backup {UP_34.id} of 3.4.9 (2030-03-17 17:46 UTC) is damaged: database.dump is missing"

    assert (go_back(seen), go_back(seen, "3.4.9"), go_back(seen, older.id)) == ([said], [said], [])


def test_what_would_be_lost_is_lost_at_the_operators_word() -> None:
    decision = decide(GoBack(accept_loss=True), host(), upgraded(backups=(replace(UP_34, changes=3),)), {})

    assert [(problem.code, problem.severity) for problem in decision.problems] == [("loss", Severity.WARNING)]
    assert decision.plan is not None
    assert ("ACCEPT_LOSS", "yes") in decision.plan.variables


def test_a_checkout_whose_old_environment_was_pruned_cannot_go_back() -> None:
    backup = replace(UP_34, method="git", tree="/opt/netpoint", commit=COMMITS["3.4.9"])
    seen = facts("3.5.0", git=True, backups=(backup,))

    assert go_back(seen) == ["the environment of 3.4.9 is no longer in the checkout: it was pruned"]
    there = replace(seen, asides=(Kept(path="/opt/netpoint/.git/netpoint-remote/3.4.9", version="3.4.9"),))
    assert go_back(there) == []


def test_a_way_back_to_another_commit_of_its_version_leaves_that_environment_alone() -> None:
    backup = replace(UP_34, method="git", tree="/opt/netpoint", commit="f" * 40)
    aside = Kept(path="/opt/netpoint/.git/netpoint-remote/3.4.9", version="3.4.9")
    seen = facts("3.4.9", git=True, backups=(backup,), asides=(aside,))

    plan = decide(GoBack(to=backup.id), host(), seen, {}).plan

    assert plan is not None
    told = dict(plan.variables)
    assert (told["ASIDE_BACK"], told["ASIDE"]) == (aside.path, f"{aside.path}.left")


def test_an_ill_netpoint_may_go_back() -> None:
    ill = upgraded(page=facts("3.5.0").page, units=())

    assert "way-back" not in {problem.code for problem in decide(GoBack(), host(), ill, {}).problems}


def test_where_an_interrupted_way_back_leads_is_decided_once_it_is_settled() -> None:
    """Its database and its release may be back already."""
    cut = facts("3.4.9", backups=upgraded().backups, releases=RELEASES, run_id="r9", run_result="")

    for to in (None, "3.4.9"):
        decision = decide(GoBack(to=to), host(), cut, {})
        assert "way-back" not in {problem.code for problem in decision.problems}
        assert decision.plan is not None
        settled = decide(GoBack(to=to), host(), replace(cut, run_result="rolled-back"), {})
        assert {problem.code for problem in settled.blocked} == {"way-back"}


# ---- the plans


def test_a_way_back_dumps_what_it_leaves_before_it_is_replaced() -> None:
    plan = decide(GoBack(), host(), upgraded(), {}).plan

    assert plan is not None
    names = [step.name for step in plan.steps]
    assert names.index("stop_services") < names.index("count_losses") < names.index("seal_backup")
    assert names.index("seal_backup") < names.index("put_database_back") < names.index("flip_link")
    assert not {"set_aside", "checkout_tag", "put_files_back"} & {*names}


def test_a_backup_of_this_very_release_changes_database_and_files_only() -> None:
    plan = decide(GoBack(to=SAVED.id), host(), upgraded(backups=(replace(SAVED, files_size=5),)), {}).plan

    assert plan is not None
    names = {step.name for step in plan.steps}
    assert "put_files_back" in names
    assert not {"flip_link", "mark_rolled_back"} & names


@pytest.mark.parametrize(("scratch", "refused"), [("nobody", True), ("superuser", False), ("role", False)])
def test_a_dump_is_tried_only_where_somebody_may_make_a_database(scratch: str, refused: bool) -> None:  # noqa: FBT001  a parameter of the test
    seen = replace(upgraded(), database=replace(upgraded().database, scratch=scratch))

    decision = decide(BackUp(verify=True), host(), seen, {})

    assert ("scratch-database" in {problem.code for problem in decision.problems}) == refused
    assert (decision.plan is None) == refused


def test_a_dump_is_tried_only_where_the_role_may_log_in_to_the_database_for_that() -> None:
    said = 'FATAL:  no pg_hba.conf entry for host "10.0.0.9", user "netpoint", database "netpoint_remote_login"'
    seen = replace(upgraded(), database=replace(upgraded().database, scratch="superuser", scratch_refused=said))

    decision = decide(BackUp(verify=True), host(), seen, {})

    (problem,) = [problem for problem in decision.problems if problem.code == "scratch-database"]
    assert (problem.message.endswith(said), "pg_hba.conf" in problem.remedy, decision.plan) == (True, True, None)


def test_a_backup_opens_no_window() -> None:
    for verify in (False, True):
        plan = decide(BackUp(verify=verify), host(), upgraded(), {}).plan
        assert plan is not None
        assert {step.phase.value for step in plan.steps} == {"stage"}
        assert ("verify_restore" in {step.name for step in plan.steps}) == verify


@pytest.mark.parametrize("files", [{"sizes_mb": (("media", 300),)}, {"local_mb": (("old.sql", 300),)}])
def test_a_backup_needs_room(files: dict[str, Any]) -> None:
    seen = upgraded(disks=(disk("/var/backups/netpoint-remote", free_mb=200),), **files)

    assert [problem.code for problem in decide(BackUp(), host(), seen, {}).blocked] == ["disk"]


def test_files_that_could_not_be_measured_in_time_are_no_small_files() -> None:
    seen = upgraded(sizes_mb=(("media", 300),), unmeasured=("media", "venv"))

    assert [(problem.code, problem.message) for problem in decide(BackUp(), host(), seen, {}).problems] == [
        ("disk", "media could not be measured in time: whether there is room enough is not known")
    ]


@pytest.mark.parametrize(("free_mb", "refused"), [(449, ["disk"]), (450, [])])
def test_a_way_back_needs_room_for_the_files_that_it_replaces(free_mb: int, refused: list[str]) -> None:
    disks = (disk("/var/backups/netpoint-remote", free_mb=free_mb),)
    seen = upgraded(disks=disks, backups=(replace(SAVED, files_size=300 * 2**20),))

    assert [problem.code for problem in decide(GoBack(to=SAVED.id), host(), seen, {}).blocked] == refused


# ---- pruning


def test_the_way_back_from_the_current_release_is_never_pruned() -> None:
    newer = tuple(replace(SAVED, id=f"2030020{day}T000000Z-eeeeee", made=SAVED.made + day) for day in range(1, 4))
    removal = what_to_remove(case(upgraded(backups=(*reversed(newer), SAVED, UP_34)), to=None), 2)

    assert [backup.id for backup in removal.backups] == [newer[0].id, SAVED.id]
    assert removal.trees == ()


def test_a_damaged_backup_takes_no_whole_ones_place() -> None:
    broken = replace(SAVED, id="20300301T000000Z-ffffff", made=SAVED.made + 1, damage="database.dump is missing")
    wrecked = replace(UP_34, made=UP_34.made + 1, id="20300101T100000Z-ffffff", damage="database.dump is missing")
    backups = (broken, SAVED, wrecked, UP_34, replace(broken, id="20200301T000000Z-ffffff", made=1))

    assert kept_backups(upgraded(backups=backups), 1) == backups[:4]


def test_releases_that_no_backup_leads_back_to_go_but_for_the_current_one_and_strangers() -> None:
    old, strange = (Kept(path="/opt/netpoint-3.3.0", version="3.3.0", size_mb=7),
                    Kept(path="/opt/netpoint-test", version="3.4.0", ours=False))  # fmt: skip
    removal = what_to_remove(case(upgraded(releases=(*RELEASES, old, strange)), to=None), 1)

    assert (removal.trees, removal.size_mb) == ((old,), 7)


def test_environments_set_aside_go_with_their_release() -> None:
    asides = tuple(
        Kept(path=f"/opt/netpoint/.git/netpoint-remote/{version}", version=version) for version in ("3.3.0", "3.4.9")
    )
    seen = facts("3.5.0", git=True, backups=(replace(UP_34, method="git"),), asides=asides)

    assert what_to_remove(case(seen, to=None), 1).trees == asides[:1]


def test_logs_of_runs_older_than_every_kept_backup_go() -> None:
    runs = ("20200101T000000Z-old", UP_34.id, "20300301T000000Z-new")

    assert what_to_remove(case(upgraded(runs=runs, run_id=runs[2]), to=None), 1).runs == runs[:1]


def test_what_was_cut_off_is_worth_a_prune_by_itself() -> None:
    removal = what_to_remove(case(upgraded(leftovers=(("/opt/.netpoint-3.3.0.removed", 7),)), to=None), 9)

    assert (bool(removal), removal.size_mb) == (True, 7)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"lock_held": True, "run_id": "r9"}, "lock"),
        ({"run_id": "r9", "run_result": ""}, "interrupted"),
        ({"run_id": "r9", "run_result": "failed stuck", "unsettled": True}, "unsettled"),
        ({"link": "netpoint-9.9.9/", "real": "", "tree": False, "folder": False}, "install-method"),
        ({"weak": ("everybody may write to /var/backups",)}, "unsafe-place"),
    ],
)
def test_a_prune_is_refused_while_it_is_not_known_what_is_needed(changes: dict[str, object], code: str) -> None:
    problems = list(prune_problems(case(upgraded(**changes), to=None)))

    assert [(problem.code, problem.blocks, bool(problem.remedy)) for problem in problems] == [(code, True, True)]


def test_nothing_stands_in_the_way_of_a_prune_of_a_server_at_rest() -> None:
    ill = upgraded(run_id="r9", run_result="upgraded ", units=(), page=facts().page)

    assert list(prune_problems(case(ill, to=None))) == []


backups = st.builds(
    Backup,
    id=st.from_regex(r"203001[0-9]{2}T000000Z-[a-f]{6}", fullmatch=True),
    purpose=st.sampled_from(["upgrade", "backup", "rollback"]),
    made=st.integers(0, 10**9),
    version=st.sampled_from(["3.3.0", "3.4.9", "3.5.0"]),
    leads_to=st.sampled_from(["3.4.9", "3.5.0"]),
    tree=st.sampled_from(["/opt/netpoint-3.3.0", "/opt/netpoint-3.4.9", "/opt/netpoint-3.5.0"]),
)


@given(st.lists(backups, unique_by=lambda backup: backup.id, max_size=8), st.integers(1, 4))
def test_whatever_is_pruned_the_way_back_stays_open(found: list[Backup], keep: int) -> None:
    ordered = tuple(sorted(found, key=lambda backup: (backup.made, backup.id), reverse=True))
    releases = tuple(Kept(path=f"/opt/netpoint-{version}", version=version) for version in ("3.3.0", "3.4.9", "3.5.0"))
    seen = upgraded(backups=ordered, releases=releases)

    removal = what_to_remove(case(seen, to=None), keep)

    after = replace(
        seen,
        backups=tuple(backup for backup in ordered if backup not in removal.backups),
        releases=tuple(release for release in releases if release not in removal.trees),
    )
    assert choose_backup(after, None) == choose_backup(seen, None)
    assert {backup.tree for backup in after.backups} | {seen.real} <= {release.path for release in after.releases}
    assert len(kept_backups(seen, keep)) == len(after.backups) >= min(keep, len(ordered))


# ---- what the probe tells


def test_backups_are_read_newest_first_with_what_changed_since() -> None:
    told = parse_facts(
        "backup.r1.purpose=upgrade\nbackup.r1.made=10\nbackup.r1.version=3.4.9\nbackup.r1.size.database.dump=5\n"
        "backup.r2.made=20\nbackup.r2.size.files.tar=7\nbackup.../x.made=30\ndb.changes.r1=3 alice, bob\n"
        "release=ours 12 3.4.9 /opt/net point\nrelease=foreign 1 - /opt/x\n"
        "aside=4 3.4.9 /opt/np/.git/netpoint-remote/3.4.9\n"
        "rolled_back=3.5.0 r1 by alice\nrun.kept=r1\nrun.kept=../x\narchives=6\nleftover=3 /opt/.net point.removed\n"
    )

    assert told.backups == (
        Backup(id="r2", made=20, files_size=7),
        Backup(id="r1", purpose="upgrade", made=10, version="3.4.9", dump_size=5, changes=3, changers="alice, bob"),
    )
    assert told.releases == (
        Kept(path="/opt/net point", version="3.4.9", size_mb=12),
        Kept(path="/opt/x", version="-", size_mb=1, ours=False),
    )
    assert told.leftovers == (("/opt/.net point.removed", 3),)
    assert (told.asides[0].version, told.rolled_back, told.runs, told.archives_mb) == (
        "3.4.9",
        (("3.5.0", "r1 by alice"),),
        ("r1",),
        6,
    )


@pytest.mark.parametrize(
    "uses",
    [
        {"mentions": (Mention(kind="unit", tree="/opt/netpoint-3.3.0", file="/etc/systemd/system/x.service"),)},
        {"mentions": (Mention(kind="link", tree="/opt/netpoint-3.3.0", file="/usr/local/bin/x"),)},
        {"processes": (Process(number=7, tree="/opt/netpoint-3.3.0"),)},
        {"mounts": ("/opt/netpoint-3.3.0/netpoint/media",)},
        {"mounts": ("/opt/netpoint-3.3.0",)},
        {"configuration": {"MEDIA_ROOT": "/opt/netpoint-3.3.0/netpoint/media"}},
    ],
)
def test_a_release_that_anything_uses_is_not_pruned(uses: dict[str, object]) -> None:
    old = Kept(path="/opt/netpoint-3.3.0", version="3.3.0")
    seen = upgraded(releases=(*RELEASES, old))

    pruned = [what_to_remove(case(each), 1).trees for each in (seen, replace(seen, **uses))]

    assert [old in trees for trees in pruned] == [True, False]
