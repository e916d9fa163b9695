"""The completion that `openstack complete` writes, as a bash uses it, and each command under both of its names."""

import pathlib
import subprocess
import sys

import pytest
from demo_world import DEBIAN12

# What bash does when a person presses the tabulator behind these words; the first function is bash-completion's.
PRESS_TAB = r"""
_get_comp_words_by_ref() { cur=${COMP_WORDS[-1]} prev=${COMP_WORDS[-2]} words=("${COMP_WORDS[@]}"); }
source "$1"
shift
for line in "$@"; do
    read -ra COMP_WORDS <<<"$line"
    [[ $line == *" " ]] && COMP_WORDS+=("")
    _openstack
    echo "${COMPREPLY[*]}"
done
"""


@pytest.fixture(scope="module", params=["newest", "debian12"])
def programs(request):
    return DEBIAN12 / "bin" if request.param == "debian12" else pathlib.Path(sys.executable).parent


@pytest.fixture(scope="module")
def script(programs, tmp_path_factory):
    """The file with the completion; none of it needs a cloud."""
    path = tmp_path_factory.mktemp("completion") / "openstack"
    with path.open("w") as file:
        subprocess.run([programs / "openstack", "complete"], stdout=file, check=True, timeout=60)
    return path


def pressed(script, *lines):
    done = subprocess.run(
        ["bash", "-c", PRESS_TAB, "bash", str(script), *lines], capture_output=True, text=True, check=True, timeout=60
    )
    return [set(line.split()) for line in done.stdout.splitlines()]


def test_bash_completes_commands_and_options(script):
    groups, actions, begun, options, aliases = pressed(
        script,
        "openstack protector ",
        "openstack protector protection-group ",
        "openstack protector protection-group test-",
        "openstack protector protection-group failover --",
        "openstack dr protection-group fail",
    )
    assert {"protection-group", "operation", "site", "tenant-mapping", "member", "policy"} <= groups
    assert {"failover", "failback", "sync-force", "plan", "reset-status"} <= actions
    assert begun == {"test-failover", "test-cleanup"}
    assert {"--network-mapping", "--type", "--wait", "--plan-only", "--yes"} <= options
    assert aliases == {"failover", "failback"}


def test_every_command_is_there_under_both_names(programs):
    from importlib import metadata

    path = [str(next((programs.parent / "lib").glob("python3*/site-packages")))]
    [found] = metadata.distributions(name="python-protectorclient", path=path)
    names = {entry.name for entry in found.entry_points if entry.group == "openstack.protector.v1"}
    ours = {name.removeprefix("protector_") for name in names if name.startswith("protector_")}
    assert len(ours) > 50
    assert ours == {name.removeprefix("dr_") for name in names if name.startswith("dr_")}
