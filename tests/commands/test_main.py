"""The command line as a whole."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from equal_losses import __version__
from equal_losses.commands.main import main
from equal_losses.running.sources import ROOT

COMMANDS = ("metrics", "plan", "check", "status", "why", "clean", "export", "ufm", "contrastive")


def ended(capsys, *arguments: str) -> tuple[int, str, str]:
    """Exit status, output and error output of a command that ends while its options are read."""
    with pytest.raises(SystemExit) as raised:
        main([*arguments])
    output = capsys.readouterr()
    return raised.value.code, output.out, output.err


def test_help_names_every_command(capsys):
    status, out, _ = ended(capsys, "--help")
    assert status == 0
    assert tuple(re.findall(r"^    (\w+)", out, re.MULTILINE)) == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(capsys, command):
    status, out, _ = ended(capsys, command, "--help")
    assert status == 0
    assert out.startswith(f"usage: equal-losses {command} ")


def test_the_version_is_printed(capsys):
    assert ended(capsys, "--version")[:2] == (0, f"{__version__}\n")


@pytest.mark.parametrize("arguments", [(), ("stauts",), ("status", "--wait"), ("metrics",)])
def test_a_mistake_in_the_command_line_is_status_2(capsys, arguments):
    status, out, err = ended(capsys, *arguments)
    assert (status, out) == (2, "")
    assert err.startswith("usage: equal-losses")


@pytest.mark.parametrize("command", ["plan", "check", "status", "why results", "clean", "export --to nowhere"])
def test_a_study_that_is_not_there_is_one_line_and_status_2(capsys, command):
    assert main([*command.split(), "nowhere.yaml"]) == 2
    output = capsys.readouterr()
    expected = "equal-losses: nowhere.yaml: No such file or directory; expected a readable YAML file\n"
    assert (output.out, output.err) == ("", expected)


def test_commands_that_compute_nothing_import_no_pytorch(tmp_path):
    """PyTorch takes seconds to import."""
    code = (
        "import sys; from equal_losses.commands.main import main; "
        "commands = 'status', 'why results/datasets/digits', 'clean ' + sys.argv[1], sys.argv[2]; "
        "assert [main(command.split()) for command in commands] == [0, 0, 0, 2]; assert 'torch' not in sys.modules"
    )
    demo = str(ROOT / "config" / "demo.yaml")
    metrics = "metrics --features nowhere --labels nowhere --weight nowhere"
    subprocess.run([sys.executable, "-c", code, demo, metrics], cwd=tmp_path, check=True, capture_output=True)
