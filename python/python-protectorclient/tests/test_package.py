# SPDX-License-Identifier: Apache-2.0
"""The package as a whole: style, types, generated pages, wheel. A tool that is not installed is a failure."""

import pathlib
import shutil
import subprocess
import sys
import zipfile

import pytest

ROOT = pathlib.Path(__file__).parent.parent


def tool(*words, cwd=ROOT):
    done = subprocess.run([sys.executable, *words], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_ruff_finds_nothing():
    tool("-m", "ruff", "check", "--no-cache", ".")
    tool("-m", "ruff", "format", "--check", "--no-cache", ".")


def test_types_are_strict():
    assert "Success" in tool("-m", "mypy", "--cache-dir", "/dev/null")


def test_the_generated_pages_are_what_the_program_says():
    tool("tools/reference.py", "--check")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    # A copy: building leaves folders behind.
    source, out = tmp_path_factory.mktemp("source") / "client", tmp_path_factory.mktemp("dist")
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns("build", "*.egg-info", "__pycache__", ".*_cache"))
    tool("-m", "build", "--no-isolation", "--outdir", str(out), cwd=source)
    return out


def test_wheel_and_source_pass_twine(built):
    files = sorted(str(path) for path in built.iterdir())
    assert [path.rpartition(".")[2] for path in files] == ["whl", "gz"]
    assert tool("-m", "twine", "check", "--strict", *files).count("PASSED") == 2


def test_the_wheel_has_types_and_commands(built):
    [wheel] = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        assert "protectorclient/py.typed" in names
        assert not [name for name in names if name.startswith(("tests", "tools"))]
        [entry_points] = [name for name in names if name.endswith("entry_points.txt")]
        assert b"protector_protection-group_failover" in archive.read(entry_points)
