"""Training: what it computes, that it is a function of (seed, epoch), and how it fails."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from neural_collapse import training
from neural_collapse.errors import InputError
from neural_collapse.training import DeviceImages, EpochRandomness, Normalization, TrainingState, train

CPU = torch.device("cpu")


def trained(run, digits, *, compiled: bool = False, **options) -> TrainingState:
    with training.reproducible(1, compiled=compiled):
        return train(run.settings, digits, device=CPU, compiled=compiled, **options)


def bits(state: TrainingState) -> dict:
    """Everything that must not differ between two trainings that mean the same."""
    timed = ("seconds", "images_per_second")
    tensors = {
        f"{group}/{name}": tensor.numpy().tobytes()
        for group in ("weights", "momentum", "best_weights")
        for name, tensor in getattr(state, group).items()
    }
    history = [{key: value for key, value in row.items() if key not in timed} for row in state.history]
    return {"tensors": tensors, "history": history, "best": (state.best_epoch, state.best_val_accuracy)}


def test_the_same_seed_gives_the_same_bits(small_run, digits):
    run = small_run()
    assert bits(trained(run, digits)) == bits(trained(run, digits))


def test_another_seed_gives_others(small_run, digits):
    one, other = trained(small_run(), digits, until=1), trained(small_run(seed="2"), digits, until=1)
    assert bits(one)["tensors"] != bits(other)["tensors"]


@pytest.mark.parametrize("stop", [0, 1, 3, 6, 7])
def test_a_training_that_stops_and_goes_on_ends_with_the_same_bits(small_run, digits, tmp_path, stop):
    run = small_run()
    trained(run, digits, until=stop).save(tmp_path / "state.safetensors")
    resumed = trained(run, digits, start=TrainingState.load(tmp_path / "state.safetensors"))
    assert bits(resumed) == bits(trained(run, digits))


def test_runs_of_different_budgets_are_identical_until_the_first_decay(small_run, digits):
    short, long = small_run(epochs="7"), small_run(epochs="70")
    assert bits(trained(short, digits, until=3)) == bits(trained(long, digits, until=3))
    assert bits(trained(short, digits, until=4)) != bits(trained(long, digits, until=4))


def test_the_budget_of_the_run_decides_when_the_rate_decays(small_run, digits):
    rates = [row["learning_rate"] for row in trained(small_run(), digits).history]
    assert rates == pytest.approx([0.1, 0.1, 0.1, 0.01, 0.01, 0.001, 0.001])


def test_training_learns(small_run, digits):
    state = trained(small_run(width="1", batch_size=20, crop_padding=0, flip=False), digits)
    assert [row["epoch"] for row in state.history] == list(range(1, 8))
    assert state.history[-1]["train_loss"] < 0.5 * state.history[0]["train_loss"]
    assert state.history[-1]["val_accuracy"] > 0.5


def test_the_best_epoch_is_the_earliest_of_the_best(small_run, digits):
    state = trained(small_run(), digits)
    accuracies = [row["val_accuracy"] for row in state.history]
    assert state.best_val_accuracy == max(accuracies)
    assert state.best_epoch == accuracies.index(max(accuracies)) + 1


def test_one_step_is_the_papers_sgd(small_run, digits):
    """Momentum, weight decay on every parameter and the clipped norm, against the update written out."""
    run = small_run(batch_size=10_000, momentum=0.9, weight_decay=0.1, clip_norm=0.5, crop_padding=0, flip=False)
    settings = run.settings
    with training.reproducible(1):
        network = training.build_network(settings, digits).train()
        images = DeviceImages.load(digits, "train", CPU)
        order = EpochRandomness(settings, 0, len(images), CPU).order
        normalization = Normalization.of(settings, digits, CPU, "train")
        logits, _ = network(normalization(images.images[order]))
        training.build_loss(settings)(logits, images.labels[order]).backward()
        norm = torch.sqrt(sum((p.grad**2).sum() for p in network.parameters()))
        assert norm > 0.5
        state = trained(run, digits, until=1)
        for name, parameter in network.named_parameters():
            gradient = parameter.grad * 0.5 / (norm + 1e-6) + 0.1 * parameter.detach()
            torch.testing.assert_close(state.momentum[name], gradient, rtol=1e-4, atol=1e-6)
            torch.testing.assert_close(state.weights[name], parameter.detach() - 0.1 * gradient, rtol=1e-4, atol=1e-6)


def test_every_image_is_seen_once_an_epoch_in_an_order_of_its_own(small_run):
    settings = small_run().settings
    first, again, second = (EpochRandomness(settings, epoch, 50, CPU).order.tolist() for epoch in (0, 0, 1))
    assert sorted(first) == list(range(50))
    assert first == again != second


def test_crops_are_zero_padded_and_flips_mirror_image_by_image(small_run):
    settings = small_run(crop_padding=2, flip=True).settings
    images = torch.randint(1, 256, (200, 6, 5, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    randomness = EpochRandomness(settings, 3, 200, CPU)
    augmented = randomness.augmented(images[50:150], slice(50, 150))
    padded = torch.nn.functional.pad(images, (0, 0, 2, 2, 2, 2))
    seen = set()
    for position, result in zip(range(50, 150), augmented, strict=True):
        matches = [
            (top, left, flipped)
            for top in range(5)
            for left in range(5)
            for flipped in (False, True)
            if torch.equal(
                result,
                padded[position, top : top + 6, left : left + 5].flip(1)
                if flipped
                else padded[position, top : top + 6, left : left + 5],
            )
        ]
        assert len(matches) == 1
        seen.add(matches[0])
    assert len(seen) > 30  # of 50 possible ones


def test_without_augmentation_images_stay_as_they_are(small_run):
    settings = small_run(crop_padding=0, flip=False).settings
    images = torch.randint(0, 256, (4, 6, 5, 3), dtype=torch.uint8)
    assert EpochRandomness(settings, 0, 4, CPU).augmented(images, slice(0, 4)) is images


def test_normalized_training_pixels_have_mean_0_and_deviation_1(small_run, digits):
    normalization = Normalization.of(small_run().settings, digits, CPU, "train")
    pixels = normalization(torch.from_numpy(digits.images("train")))
    assert pixels.shape[1:] == (1, 8, 8)
    assert pixels.is_contiguous(memory_format=torch.channels_last)
    assert float(pixels.mean()) == pytest.approx(0, abs=1e-5)
    assert float(pixels.std()) == pytest.approx(1, abs=1e-4)


def test_normalization_constants_can_be_given_for_all_images_and_for_test_images_alone(small_run, digits):
    run = small_run(normalization={"mean": [0.5], "std": [0.25]}, test_normalization={"mean": [0], "std": [1]})
    white = torch.full((1, 2, 2, 1), 255, dtype=torch.uint8)
    for split, value in (("train", 2.0), ("val", 2.0), ("test", 1.0)):
        pixels = Normalization.of(run.settings, digits, CPU, split)(white)
        torch.testing.assert_close(pixels, torch.full((1, 1, 2, 2), value))
    run = small_run(normalization={"mean": [0, 0, 0], "std": [1, 1, 1]})
    with pytest.raises(InputError, match=r"training.normalization.mean: 3 values; allowed: 1, one a channel"):
        Normalization.of(run.settings, digits, CPU, "train")


def test_a_loss_that_is_not_finite_ends_training_and_names_epoch_step_and_rate(small_run, digits):
    run = small_run(learning_rate=1e30, clip_norm=None)
    with pytest.raises(InputError, match=r"loss is \w+ at epoch 1, step \d, learning rate 1e\+30"):
        trained(run, digits)


@pytest.mark.parametrize("precision", ["tf32", "bfloat16"])
def test_a_lower_precision_is_another_training_that_learns_too(small_run, digits, precision):
    """TF32 is a GPU's; the CPU has bfloat16."""
    plain = small_run(width="1", batch_size=20, crop_padding=0, flip=False)
    lower = small_run(width="1", precision=precision)
    assert lower.train_key != plain.train_key
    states = [trained(run, digits, until=5) for run in (plain, lower)]
    assert (bits(states[0]) == bits(states[1])) == (precision == "tf32")
    assert states[1].history[-1]["train_loss"] < 0.5 * states[1].history[0]["train_loss"]
    assert {tensor.dtype for tensor in states[1].weights.values()} <= {torch.float32, torch.int64}


def test_only_where_it_is_asked_for_does_a_gpu_round_factors_to_tf32(small_run, digits):
    def flags(_row: object = None) -> tuple[bool, bool]:
        return torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32

    def forward(module: torch.nn.Module, *_: object) -> None:
        seen.add((module.training, flags()))

    before = flags()
    for precision, allowed in (("float32", False), ("tf32", True), ("bfloat16", False)):
        seen = set()
        hook = torch.nn.modules.module.register_module_forward_hook(forward)
        trained(small_run(precision=precision), digits, until=1)
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
def test_what_is_compiled_and_recorded_is_what_the_study_asks_for(
    small_run, digits, monkeypatch, device, compiled, cuda_graphs, options
):
    """Without a GPU: what PyTorch's compiler is told."""
    told = []
    monkeypatch.setattr(torch, "compile", lambda network, **given: told.append(given) or network)
    network = training.build_network(small_run().settings, digits)
    called = training._as_called(network, torch.device(device), compiled=compiled, cuda_graphs=cuda_graphs)
    assert told == ([] if options is None else [options])
    if options is None:
        assert called is network


@pytest.mark.parametrize("compiled", [False, True])
def test_only_a_compiled_training_tells_the_compiler_to_be_deterministic(compiled):
    from torch._inductor import config as compiler

    with training.reproducible(1, compiled=compiled):
        assert torch.get_deterministic_debug_mode() == 1  # it warns
        assert compiler.deterministic is compiled
    assert torch.get_deterministic_debug_mode() == 0
    assert not compiler.deterministic


def test_a_compiled_training_is_the_same_up_to_rounding(small_run, digits):
    run = small_run(width="0.25", batch_size=540, crop_padding=0, flip=False)
    plain = trained(run, digits, until=2)
    compiled = trained(run, digits, until=2, compiled=True)
    assert compiled.weights.keys() == plain.weights.keys()
    for name, tensor in compiled.weights.items():
        torch.testing.assert_close(tensor, plain.weights[name], rtol=1e-3, atol=1e-4)


def test_a_step_does_not_wait_for_the_device(small_run, digits):
    """Reading a number off the device waits for it; an epoch does so at its end, however many steps it has."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Reads(TorchDispatchMode):
        count = 0

        def __torch_dispatch__(self, function, types, arguments=(), named=None):
            Reads.count += function is torch.ops.aten._local_scalar_dense.default
            return function(*arguments, **(named or {}))

    counts = []
    for batch_size in (20, 540):
        Reads.count = 0
        with Reads():
            trained(small_run(batch_size=batch_size), digits, until=1)
        counts.append(Reads.count)
    assert 0 < counts[0] == counts[1]


def test_a_missing_gpu_is_named():
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    assert training.resolve_device("auto") == CPU
    with pytest.raises(InputError, match=r"compute.device: 'cuda', but no GPU is there; allowed here: auto, cpu"):
        training.resolve_device("cuda")


def test_extraction_sees_what_evaluation_sees(small_run, digits, tmp_path):
    from neural_collapse import features, weights

    run = small_run()
    state = trained(run, digits)
    weights.save(tmp_path / "final.safetensors", state.weights, {"epoch": "7"})
    arrays = features.extract(run.settings, digits, {"7": tmp_path / "final.safetensors"}, device=CPU, augmented=False)
    assert arrays["epoch"].tolist() == [7]
    assert arrays["accuracy_val"][0] == state.history[-1]["val_accuracy"]
    assert arrays["class_means"].shape == (1, 10, 16)
    assert np.array_equal(arrays["class_counts"][0], digits.manifest["counts"]["train"])


def test_augmented_features_differ(small_run, digits, tmp_path):
    from neural_collapse import features, weights

    run = small_run()
    state = trained(run, digits, until=1)
    weights.save(tmp_path / "one.safetensors", state.weights, {"epoch": "1"})
    plain, augmented, again = (
        features.extract(run.settings, digits, {"1": tmp_path / "one.safetensors"}, device=CPU, augmented=flag)
        for flag in (False, True, True)
    )
    assert not np.allclose(plain["class_means"], augmented["class_means"])
    assert np.array_equal(augmented["class_means"], again["class_means"])
