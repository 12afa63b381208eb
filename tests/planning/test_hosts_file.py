"""The hosts file: merging, and every fault at once with its line."""

import json
import textwrap
from importlib.resources import files
from pathlib import Path, PurePath, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netpoint_remote.errors import InventoryError
from netpoint_remote.planning.hosts_file import OURS, parse_hosts_file
from netpoint_remote.planning.inventory import Host, Inventory
from netpoint_remote.planning.plan import make_plan
from tests.builders import case

EXAMPLE = Path(__file__).parents[2] / "hosts.example.yaml"
SCHEMA = json.loads(files("netpoint_remote.planning").joinpath("hosts.schema.json").read_text("utf-8"))


def inventory(text: str) -> Inventory:
    return parse_hosts_file(textwrap.dedent(text), "hosts.yaml")


def host(text: str) -> Host:
    """Return the last host of a file."""
    return inventory(text).hosts[-1]


def faults(text: str) -> tuple[str, ...]:
    with pytest.raises(InventoryError) as caught:
        inventory(text)
    return caught.value.faults


def test_the_shortest_file_gives_the_documented_defaults() -> None:
    assert host("hosts:\n  np1:\n") == Host(name="np1", address="np1")


def test_the_example_is_right() -> None:
    example = parse_hosts_file(EXAMPLE.read_text("utf-8"), EXAMPLE.name)

    assert [host.name for host in example.hosts] == ["np1", "np2", "np3", "branch-1", "branch-2", "ipam"]
    assert example.last_minors == ((4, 6),)


@pytest.mark.parametrize("key", SCHEMA["$defs"]["settings"]["properties"])
def test_the_example_shows_every_setting(key: str) -> None:
    assert f"{key}:" in EXAMPLE.read_text("utf-8")


def test_a_host_wins_over_its_groups_and_these_over_the_defaults() -> None:
    merged = host("""
        defaults: {user: default, port: 1, python: /usr/bin/python3}
        groups:
          early: {hosts: [np1], user: early, port: 2, gateway: early}
          late: {hosts: ['np*'], user: late, port: 3}
        hosts:
          np1: {user: own}
        """)

    assert (merged.user, merged.port, merged.gateway, merged.python) == ("own", 3, "early", "/usr/bin/python3")
    assert merged.groups == ("early", "late")


def test_mappings_are_merged_key_by_key() -> None:
    merged = host("""
        defaults:
          environment: {A: default, B: default}
          health: {url: 'http://default', headers: {Host: default, X-One: default}}
        hosts:
          np1:
            environment: {B: own, C: own}
            health: {headers: {Host: own}}
        """)

    assert merged.environment == (("A", "default"), ("B", "own"), ("C", "own"))
    assert merged.health_url == "http://default"
    assert merged.health_headers == (("Host", "own"), ("X-One", "default"))


def test_netbox_changes_the_defaults_that_follow_from_the_name() -> None:
    netbox = host("hosts: {np1: {product: netbox}}")

    assert netbox.root == PurePosixPath("/opt/netbox")
    assert netbox.services == ("netbox", "netbox-rq")


def test_what_is_said_wins_over_what_follows_from_the_product() -> None:
    netbox = host("""
        defaults: {root: /srv/app, services: [app]}
        hosts: {np1: {product: netbox}}
        """)

    assert (netbox.root, netbox.services) == (PurePosixPath("/srv/app"), ("app",))


def test_environment_values_are_taken_as_typed() -> None:
    said = host("hosts: {np1: {environment: {A: yes, B: 022, C: 1.10, D: , E: ~, F: 22:22}}}")

    assert dict(said.environment) == {"A": "yes", "B": "022", "C": "1.10", "D": "", "E": "~", "F": "22:22"}


def test_a_host_may_be_called_like_a_setting() -> None:
    assert host("hosts: {environment: {port: 22, become: no}}").port == 22


def test_paths_on_this_machine_count_from_the_folder_of_the_file() -> None:
    text = "hosts: {np1: {identity: [k, ~/k, /k], known_hosts: known, release: {archive: ../r}}}"

    said = parse_hosts_file(text, "hosts.yaml", folder=PurePath("/fleet")).hosts[0]

    assert said.identity == ("/fleet/k", "~/k", "/k")
    assert (said.known_hosts, said.release.archive) == ("/fleet/known", "/fleet/../r")


def test_no_variable_of_a_plan_can_be_set_from_outside() -> None:
    assert {name for name, _ in make_plan(case()).variables} <= OURS


def test_the_defaults_are_kept_for_hosts_of_the_command_line() -> None:
    assert inventory("defaults: {user: admin}\nhosts: {np1: }").defaults.user == "admin"


def test_every_fault_is_told_at_once_with_its_line() -> None:
    told = faults("""\
        defaults: {port: 99999}
        hosts:
          np1:
            prot: 22
          np2: {become: maybe}
        groups:
          edge:
            hosts: [np3]
        """)

    assert [fault.split(":")[1] for fault in told] == ["1", "4", "5", "8"]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "1: the file is empty"),
        ("- np1", "1: the file is a list"),
        ("hosts: {}", "1: hosts is an empty mapping"),
        ("defaults: {}", "1: the file lacks a key"),
        ("hosts: [np1]", "1: hosts is a list"),
        ("hosts:\n  np1:\n  np1:", "3: hosts.np1 is there already, on line 2"),
        ("hosts:\n  np1: {prot: 1}", "2: hosts.np1.prot is not known: did you mean 'root' or 'port'?"),
        ("hots:\n  np1:\nhosts: {np1: }", "1: hots is not known: did you mean 'hosts'?"),
        ("hosts:\n  np1:\n    port: '22'", "3: hosts.np1.port is '22'; it must be a whole number from 1 to 65535"),
        ("hosts: {np1: {port: 0}}", "1: hosts.np1.port is 0; it must be"),
        ("hosts: {np1: {port: yes}}", "1: hosts.np1.port is yes; it must be"),
        ("hosts: {np1: {user: 1000}}", "1: hosts.np1.user is 1000; it must be"),
        ("hosts: {np1: {user: -oProxyCommand=x}}", "1: hosts.np1.user is '-oProxyCommand=x'; it must be"),
        ("hosts: {np1: {root: /}}", "1: hosts.np1.root is '/'; it must be an absolute path"),
        ("hosts: {np1: {root: //}}", "1: hosts.np1.root is '//'; it must be an absolute path"),
        ("hosts: {np1: {root: opt/netpoint}}", "1: hosts.np1.root is 'opt/netpoint'; it must be an absolute path"),
        ("hosts: {np1: {backup_dir: /srv/../etc}}", "1: hosts.np1.backup_dir is '/srv/../etc'; it must be"),
        ("hosts: {np1: {root: /opt/net point}}", "1: hosts.np1.root is '/opt/net point'; it must be an absolute path"),
        ("hosts: {np1: {root: /opt/$(id)}}", "1: hosts.np1.root is '/opt/$(id)'; it must be an absolute path"),
        ("hosts: {np1: {python: /usr/bin/$(id)}}", "1: hosts.np1.python is '/usr/bin/$(id)'; it must be the absolute"),
        ("hosts: {np1: {health: {url: 'http://me:hunter2@np1/'}}}", "1: hosts.np1.health.url is 'http://...@np1/'; it"),
        ("hosts: {np1: {health: {headers: {X: 'ü'}}}}", "1: hosts.np1.health.headers.X must be plain ASCII text"),
        ("hosts:\n  np1:\n    environment: {PYTHON: a}", "3: hosts.np1.environment.PYTHON cannot be set: the name is"),
        ("defaults: {environment: {UID: 0}}\nhosts: {np1: }", "1: defaults.environment.UID cannot be set: the name"),
        ("hosts: {np1: {services: [a, a]}}", "1: hosts.np1.services has an item twice; it must be"),
        ("hosts: {np1: {services: ['a b']}}", "1: hosts.np1.services[1] is 'a b'; it must be the name of a systemd"),
        ("hosts: {np1: {services: []}}", "1: hosts.np1.services is an empty list; it must be"),
        ("hosts: {np1: {product: netdot}}", "1: hosts.np1.product is 'netdot'; it must be netpoint or netbox"),
        ("hosts: {np1: {identity: []}}", "1: hosts.np1.identity is an empty list; it must be"),
        ("hosts: {np1: {gateway: 'a b'}}", "1: hosts.np1.gateway is 'a b'; it must be"),
        ("hosts: {np1: {health: {url: np1/}}}", "1: hosts.np1.health.url is 'np1/'; it must begin with http"),
        ("hosts: {np1: {release: {url: 'http://x/y'}}}", "1: hosts.np1.release.url is 'http://x/y'; it must begin"),
        ("hosts: {np1: {release: {sha256: {3.5.0: ab}}}}", "1: hosts.np1.release.sha256.3.5.0 is 'ab'; it must be the"),
        ("hosts: {np1: {release: {sha256: {3.10: ab}}}}", "1: hosts.np1.release.sha256.3.10 is not known: the keys"),
        ("hosts: {np1: {environment: {A-B: c}}}", "1: hosts.np1.environment.A-B is not known: a variable's name"),
        ('hosts: {np1: {environment: {A: "b\\nc"}}}', "1: hosts.np1.environment.A has a line break"),
        ('hosts: {np1: {python: "/a\\0b"}}', "1: hosts.np1.python has a line break or another invisible character"),
        ("hosts: {'-np1': }", "1: hosts.-np1 is not known: a host name begins with"),
        ("hosts: {all: }", "1: 'all' already means every host"),
        ("hosts: {np1: }\ngroups:\n  np1: {hosts: [np1]}", "3: 'np1' is the name of a host and of a group"),
        ("hosts: {np1: }\ngroups: {edge: {hosts: [pn1]}}", "2: group 'edge' names 'pn1', which is no host of this"),
        ("hosts: {np1: }\ngroups: {edge: {user: a}}", "2: groups.edge lacks a key; it must be a mapping with the list"),
        ("hosts:\n  np1:\n  np2: {address: NP1}", "3: hosts.np2 has the address and port of 'np1'"),
        ("hosts: {np1: }\nlast_minors: {four: 6}", "2: last_minors.four is not known: the keys are major"),
        ("hosts: {np1: }\nlast_minors: {4: x}", "2: last_minors.4 is 'x'; it must be the number"),
        ("hosts:\n  np1: &a {port: 1}\n  np2: *a", "3: hosts.np2 is an alias"),
        ("hosts: {np1: !!python/name:os.system }", "1: hosts.np1 has the YAML tag"),
        ("? [a]\n: b\nhosts: {np1: }", "1: the file has a key that is not plain text"),
        ("hosts:\n\tnp1:", "2: the file is not YAML here"),
        ("hosts: {np1: }\n---\nhosts: {np2: }", "2: the file is not YAML here"),
        ("hosts:\n  np1:\n  \x00", "3: the file has a character"),
    ],
)
def test_a_fault_says_where_it_is_and_what_is_allowed(text: str, fault: str) -> None:
    told = faults(text)

    assert any(one.startswith(f"hosts.yaml:{fault}") for one in told), told


def test_a_fault_does_not_repeat_what_may_be_secret() -> None:
    told = faults("hosts: {np1: {environment: {TOKEN: [hunter2]}, health: {headers: {Authorization: {a: hunter2}}}}}")

    assert len(told) == 2
    assert not any("hunter2" in fault for fault in told)


def test_a_fault_does_not_repeat_the_password_of_an_address() -> None:
    told = faults("""\
        hosts:
          np1:
            health: {url: 'https://me:hunter2@np1/'}
            release: {url: 'https://me:hunt/er2@x/y', git: '-https://me:hunter2@x/y'}
        """)

    assert len(told) == 3
    assert not any("er2" in fault for fault in told)


def test_two_servers_may_have_one_address_behind_different_bastions() -> None:
    text = "hosts: {np1: {address: 10.0.0.1, gateway: a}, np2: {address: 10.0.0.1, gateway: b}}"

    assert len(inventory(text).hosts) == 2


def test_deep_nesting_is_a_fault_and_not_a_crash() -> None:
    assert faults("[" * 5000 + "]" * 5000)
    assert faults("- " * 5000)


words = st.sampled_from(
    [
        "hosts",
        "defaults",
        "groups",
        "np1",
        "port",
        "user",
        "environment",
        "health",
        "release",
        "sha256",
        "services",
        "~",
    ]
)
leaves = words | st.integers() | st.booleans() | st.none() | st.floats() | st.text(max_size=8)
values = st.recursive(leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=4))


@given(st.text() | values.map(json.dumps) | values.map(lambda value: json.dumps({"hosts": value})))
def test_any_text_gives_an_inventory_or_its_faults(text: str) -> None:
    try:
        parsed = parse_hosts_file(text, "hosts.yaml").hosts
    except InventoryError as error:
        parsed = error.faults
    assert parsed
