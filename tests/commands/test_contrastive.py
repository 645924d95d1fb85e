"""The command `contrastive`."""

import argparse
import json

import pytest

from equal_losses.commands import contrastive
from equal_losses.running.errors import InputError


@pytest.fixture
def command(capsys):
    """Runs the command and returns what it printed."""
    parser = argparse.ArgumentParser()
    contrastive.add_parser(parser.add_subparsers())

    def run(*arguments):
        options = parser.parse_args(["contrastive", *arguments])
        options.run(options)
        return json.loads(capsys.readouterr().out)

    return run


def test_a_loss_that_holds_is_said_to_hold(command):
    assert command("--loss", "CE", "--samples", "50")["holds"] is True


def test_a_tie_is_printed(command):
    result = command("--loss", "FL", "--classes", "18", "--samples", "50")
    assert result["holds"] is False
    assert result["tie_c"] == pytest.approx(0.0706779, abs=1e-7)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("--loss", "hinge"), "--loss: 'hinge'; allowed: CE, LS, FL, MSE, bce, bi_tempered"),
        (("--loss", "focal"), "--gamma: missing"),
        (("--loss", "CE", "--gamma", "2"), "--gamma: not a parameter of CE; allowed with: "),
        (("--loss", "FL", "--gamma", "inf"), "--gamma: inf; expected a finite number"),
        (("--loss", "LS", "--smoothing", "1.5"), "--smoothing: 1.5; allowed: a number >= 0 and <= 1"),
        (("--loss", "gce", "--q", "2"), "--q: 2; allowed: a number > 0 and <= 1"),
        (("--loss", "gce", "--q", "half"), "--q: 'half'; allowed: a number > 0 and <= 1"),
        (("--loss", "top_k", "--k", "1.5"), "--k: '1.5'; allowed: a whole number >= 1"),
        (("--loss", "top_k", "--k", "4", "--classes", "4"), "--loss: top_k: k is 4 with 4 classes"),
        (("--loss", "logit_adjustment", "--prior", "1", "0"), "--prior[1]: 0; allowed: a number > 0"),
        (("--loss", "logit_adjustment", "--prior", "1", "2"), "--loss: logit_adjustment: prior has 2 numbers"),
        (("--loss", "MSE", "--class-reduction", "max"), "--class-reduction: 'max'; allowed: sum, mean"),
        (("--loss", "MSE", "--beta", "1e200"), "--loss: MSE is inf where all logits are 0"),
        (("--loss", "CE", "--samples", "0"), "--samples: 0; allowed: at least 1"),
        (("--loss", "CE", "--seed", "-1"), "--seed: -1; allowed: at least 0"),
        (("--loss", "CE", "--classes", "1"), "classes is 1"),
        (("--loss", "gce", "--c", "-1"), "(K-1) c is -9.0; allowed: at least 1e-06"),
        (("--loss", "CE", "--c", "nan"), "(K-1) c is nan"),
    ],
)
def test_bad_input_is_named_in_one_line(command, arguments, message):
    with pytest.raises(InputError) as error:
        command(*arguments)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)
