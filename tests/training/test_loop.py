"""The training of one network: what it computes, that it is a function of (seed, epoch), and how it fails."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from equal_losses import losses
from equal_losses.running import weights
from equal_losses.running.errors import InputError
from equal_losses.training import loop
from equal_losses.training.batches import DeviceImages, EpochRandomness, Normalization
from equal_losses.training.loop import build_network, mean_loss, train
from equal_losses.training.numerics import as_called, reproducible, resolve_device
from equal_losses.training.state import TrainingState, load_states, save_states

from .runs import CPU, OTHER_OPTIMIZERS, bits, perceptron, run, states_of, trained

LEARNING = {"batch_size": 20, "crop_padding": 0, "flip": False}


@pytest.fixture(scope="module")
def whole(digits) -> TrainingState:
    """The run, trained to its end."""
    return trained(run(), digits)


@pytest.fixture(scope="module")
def learned(digits) -> TrainingState:
    """A run that learns something."""
    return trained(run(width=0.5, **LEARNING), digits)


# A function of (seed, epoch)


def test_the_same_seed_gives_the_same_bits(digits, whole):
    assert bits(trained(run(), digits)) == bits(whole)


def test_another_seed_gives_others(digits):
    one, other = trained(run(), digits, until=1), trained(run(seed=2), digits, until=1)
    assert bits(one)["tensors"] != bits(other)["tensors"]


def test_the_initial_weights_are_the_seeds_and_the_same_for_every_loss(digits):
    first, focal, second = (
        build_network(settings, digits).classifier.weight for settings in (run(), run("FL"), run(seed=2))
    )
    assert torch.equal(first, focal)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("stop", range(8))
def test_a_training_that_stops_and_goes_on_ends_with_the_same_bits(digits, whole, tmp_path, stop):
    path = tmp_path / "state.safetensors"
    save_states(path, [trained(run(), digits, until=stop)])
    (state,) = load_states(path)
    *_, resumed = [state, *states_of(run(), digits, start=state)]
    assert bits(resumed) == bits(whole)


@pytest.mark.parametrize("optimizer", OTHER_OPTIMIZERS)
def test_whatever_an_optimiser_keeps_goes_on_to_the_same_bits(digits, tmp_path, optimizer):
    path, settings = tmp_path / "state.safetensors", run(**OTHER_OPTIMIZERS[optimizer])
    save_states(path, [trained(settings, digits, until=3)])
    assert bits(trained(settings, digits, start=load_states(path)[0])) == bits(trained(settings, digits))


def test_runs_of_different_budgets_are_identical_until_the_first_decay(digits):
    short, long = run(), run(epochs=70)
    assert bits(trained(short, digits, until=3)) == bits(trained(long, digits, until=3))
    assert bits(trained(short, digits, until=4)) != bits(trained(long, digits, until=4))


def test_a_state_that_is_kept_stays_as_it_was(digits, whole):
    with reproducible(1):
        kept = [(state, bits(state)) for state in train(run(), digits, device=CPU)]
    assert [state.epoch for state, _ in kept] == list(range(8)), "the beginning and each epoch"
    assert all(bits(state) == before for state, before in kept)
    assert kept[-1][1] == bits(whole)


# What is computed


def test_the_budget_of_the_run_decides_when_the_rate_decays(whole):
    rates = [row["learning_rate"] for row in whole.history]
    assert rates == pytest.approx([0.1, 0.1, 0.1, 0.01, 0.01, 0.001, 0.001])


def test_training_learns(learned):
    assert [row["epoch"] for row in learned.history] == list(range(1, 8))
    assert learned.history[-1]["train_loss"] < 0.5 * learned.history[0]["train_loss"]
    assert learned.history[-1]["val_accuracy"] > 0.5


def test_the_best_epoch_is_the_earliest_of_the_best(whole, learned):
    for state in (whole, learned):
        accuracies = [row["val_accuracy"] for row in state.history]
        assert state.best_val_accuracy == max(accuracies)
        assert state.best_epoch == accuracies.index(max(accuracies)) + 1


def test_of_equally_good_epochs_the_earliest_is_the_best():
    state = TrainingState(0, {"w": torch.tensor(0.0)})
    for epoch, accuracy in enumerate((0.5, 0.75, 0.75, 0.25), start=1):
        state = state.after({"w": torch.tensor(float(epoch))}, {}, {"val_accuracy": accuracy})
    assert (state.best_epoch, state.best_val_accuracy, float(state.best_weights["w"])) == (2, 0.75, 2.0)


def test_two_steps_are_the_papers_sgd(digits):
    """Momentum, weight decay on every parameter and the clipped norm, against the update written out."""
    settings = run(batch_size=10_000, weight_decay=0.1, clip_norm=0.5, crop_padding=0, flip=False)
    with reproducible(1):
        network = build_network(settings, digits).train()
        images = DeviceImages.load(digits, "train", CPU)
        pixels = Normalization.of(settings, digits, CPU, "train")(images.images)
        velocity = dict.fromkeys(dict(network.named_parameters()), 0)
        for epoch in range(2):
            order = EpochRandomness(settings, epoch, len(images), CPU).order
            network.zero_grad()
            losses.build(settings["loss"])(network(pixels[order])[0], images.labels[order]).backward()
            norm = torch.sqrt(sum((p.grad**2).sum() for p in network.parameters()))
            assert norm > 0.5
            for name, parameter in network.named_parameters():
                gradient = parameter.grad * 0.5 / (norm + 1e-6) + 0.1 * parameter.detach()
                velocity[name] = 0.9 * velocity[name] + gradient
                parameter.data -= 0.1 * velocity[name]
    state = trained(settings, digits, until=2)
    for name, parameter in network.named_parameters():
        torch.testing.assert_close(state.optimizer[f"momentum_buffer/{name}"], velocity[name], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(state.weights[name], parameter.detach(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("reduction", "step_losses"), [("mean", [1.0, 2.0, 6.0]), ("sum", [2.0, 4.0, 6.0])])
def test_the_loss_of_an_epoch_is_the_mean_over_its_images(reduction, step_losses):
    """Of five images in batches of two, two and one, of which each has a loss of 1, 2 and 6."""
    settings = {"batch_size": 2, "loss": {"reduction": reduction}}
    assert mean_loss(torch.tensor(step_losses), 5, settings, 0, 0.1) == pytest.approx(12 / 5)


# How it fails


def test_a_file_that_is_no_state_is_one_line(digits, tmp_path):
    path = tmp_path / "best.safetensors"
    weights.save(path, build_network(run(), digits).state_dict(), {"epoch": "7"})
    with pytest.raises(InputError, match=rf"^{path}: no training state; expected the file that a training wrote$"):
        load_states(path)


def test_a_loss_that_is_not_finite_ends_training_and_names_epoch_step_and_rate(digits):
    with pytest.raises(InputError, match=r"loss is \w+ at epoch 1, step \d, learning rate 1e\+30"):
        trained(run(learning_rate=1e30, clip_norm=None), digits)


def test_a_missing_gpu_is_named():
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    assert resolve_device("auto") == CPU
    with pytest.raises(InputError, match=r"compute.device: 'cuda', but no GPU is there; allowed here: auto, cpu"):
        resolve_device("cuda")


# How precisely it is computed


@pytest.mark.parametrize("precision", ["tf32", "bfloat16"])
def test_a_lower_precision_is_another_training_that_learns_too(digits, learned, precision):
    """TF32 is a GPU's; the CPU has bfloat16."""
    state = trained(run(width=0.5, precision=precision, **LEARNING), digits)
    assert (bits(state) == bits(learned)) == (precision == "tf32")
    assert state.history[-1]["train_loss"] < 0.5 * state.history[0]["train_loss"]
    assert {tensor.dtype for tensor in state.weights.values()} <= {torch.float32, torch.int64}


def test_only_where_it_is_asked_for_does_a_gpu_round_factors_to_tf32(digits):
    def flags() -> tuple[bool, bool]:
        return torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32

    def forward(module: torch.nn.Module, *_: object) -> None:
        seen.add((module.training, flags()))

    before = flags()
    for precision, allowed in (("float32", False), ("tf32", True), ("bfloat16", False)):
        seen = set()
        hook = torch.nn.modules.module.register_module_forward_hook(forward)
        trained(run(precision=precision), digits, until=1)
        hook.remove()
        assert seen == {(True, (allowed, allowed)), (False, (False, False))}, "in training alone"
    assert flags() == before


@pytest.mark.parametrize(
    ("device", "compiled", "cuda_graphs", "options"),
    [
        ("cpu", False, True, None),
        ("cpu", True, True, {"dynamic": False}),
        ("cuda", False, False, None),
        ("cuda", True, False, {"dynamic": False}),
        ("cuda", True, True, {"dynamic": False, "mode": "reduce-overhead"}),
        ("cuda", False, True, {"dynamic": False, "backend": "cudagraphs"}),
    ],
)
def test_what_is_compiled_and_recorded_is_what_the_study_asks_for(monkeypatch, device, compiled, cuda_graphs, options):
    """Without a GPU: what PyTorch's compiler is told."""
    told = []
    monkeypatch.setattr(torch, "compile", lambda network, **given: told.append(given) or network)
    network = torch.nn.Identity()
    called = as_called(network, torch.device(device), compiled=compiled, cuda_graphs=cuda_graphs)
    assert told == ([] if options is None else [options])
    if options is None:
        assert called is network


@pytest.mark.parametrize("compiled", [False, True])
def test_only_a_compiled_training_tells_the_compiler_to_be_deterministic(compiled):
    from torch._inductor import config as compiler

    with reproducible(1, compiled=compiled):
        assert torch.get_deterministic_debug_mode() == 1  # it warns
        assert compiler.deterministic is compiled
    assert torch.get_deterministic_debug_mode() == 0
    assert not compiler.deterministic


def test_a_compiled_training_is_the_same_up_to_rounding(digits, monkeypatch):
    """Up to the compiler's last stage, the code in C++, which takes half a minute."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    monkeypatch.setattr(loop, "assembled", lambda *_: perceptron(classes=10))
    settings = run(batch_size=240, crop_padding=0, flip=False)
    plain, compiled = (trained(settings, digits, until=2, compiled=flag) for flag in (False, True))
    assert compiled.weights.keys() == plain.weights.keys()
    for name, tensor in compiled.weights.items():
        torch.testing.assert_close(tensor, plain.weights[name], rtol=1e-3, atol=1e-5)


def test_a_step_does_not_wait_for_the_device(digits):
    """Reading a number off the device waits for it; an epoch does so at its end, however many steps it has."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Reads(TorchDispatchMode):
        count = 0

        def __torch_dispatch__(self, function, types, arguments=(), named=None):
            Reads.count += function is torch.ops.aten._local_scalar_dense.default
            return function(*arguments, **(named or {}))

    counts = []
    for batch_size in (20, 240):
        Reads.count = 0
        with Reads():
            trained(run(batch_size=batch_size), digits, until=1)
        counts.append(Reads.count)
    assert 0 < counts[0] == counts[1]
