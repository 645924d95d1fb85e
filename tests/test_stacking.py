"""Several networks as one: what is computed, and that trainings as one are the trainings alone, up to rounding."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from neural_collapse import networks, stacking, training
from neural_collapse.errors import InputError
from neural_collapse.networks import Network
from neural_collapse.training import Normalization, TrainingState, load_states, save_states, train, train_together
from torch import Tensor, nn

from .test_training import bits

CPU = torch.device("cpu")
MEMBERS = [("CE", "1"), ("FL", "1"), ("FL", "2")]


def perceptron(seed: int, layer: nn.Module | None = None) -> Network:
    """8 x 8 images to 6 features to 3 classes, as a user may write it, with one more layer."""
    torch.manual_seed(seed)
    layers = [nn.Flatten(), nn.Linear(64, 6, bias=False), nn.BatchNorm1d(6), nn.ReLU(), layer or nn.Identity()]
    return Network(nn.Sequential(*layers), 6, 3)


def images(count: int = 5, channels: int = 1) -> Tensor:
    return torch.randn((count, channels, 8, 8), generator=torch.Generator().manual_seed(0))


# Networks


@given(size=st.integers(1, 5), shape=st.lists(st.integers(1, 4), min_size=1, max_size=4), seed=st.integers(0, 99))
def test_what_is_folded_and_unfolded_is_as_it_was(size, shape, seed):
    generator = torch.Generator().manual_seed(seed)
    parts = [{"weight": torch.randn(shape, generator=generator), "count": torch.tensor(3)} for _ in range(size)]
    unfolded = stacking.unfold(stacking.fold(parts), size)
    for part, again in zip(parts, unfolded, strict=True):
        assert part.keys() == again.keys()
        assert all(torch.equal(part[name], again[name]) for name in part)


@pytest.mark.parametrize("kind", ["small_resnet", "wide_resnet18", "perceptron"])
@pytest.mark.parametrize("mode", [True, False], ids=["training", "evaluation"])
def test_networks_answer_together_what_they_answer_alone(kind, mode):
    def build(seed: int) -> Network:
        torch.manual_seed(seed)
        if kind == "perceptron":
            return perceptron(seed)
        return getattr(networks, kind)(width=0.125, classes=3, channels=1)

    members = [build(seed).double().train(mode) for seed in range(3)]
    together = stacking.stacked(members, images()).double().train(mode)
    batches = torch.stack([images().double() * (1 + index) for index in range(3)])
    logits = together(batches)
    for index, member in enumerate(members):
        torch.testing.assert_close(logits[index], member(batches[index])[0], rtol=1e-9, atol=1e-9)
    names = together.network.state_dict()
    for member, state in zip(members, stacking.unfold(names, 3), strict=True):
        assert state.keys() == member.state_dict().keys()
        for name, tensor in member.state_dict().items():
            torch.testing.assert_close(state[name], tensor, rtol=1e-9, atol=1e-9, msg=name)


def test_a_single_network_is_left_as_it_is():
    alone = perceptron(0)
    assert stacking.stacked([alone], images()).network is alone


@pytest.mark.parametrize(
    ("layer", "what"),
    [
        (nn.LayerNorm(6), r"its layer backbone.4 \(LayerNorm\) has no form in a stack"),
        (nn.Dropout(0.5), "it computes something else in a stack than alone"),
        (nn.Softmax(dim=1), "it computes something else in a stack than alone"),
        (nn.LocalResponseNorm(3), "it computes something else in a stack than alone"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_a_network_that_cannot_be_stacked_is_refused(layer, what):
    if isinstance(layer, nn.LocalResponseNorm):  # which wants channels of something
        layer = nn.Sequential(nn.Unflatten(1, (-1, 1)), layer, nn.Flatten())
    members = [perceptron(seed, layer) for seed in (0, 0)]
    with pytest.raises(InputError, match=rf"^network: {what}.*; allowed with `stack` above 1: convolutions"):
        stacking.stacked(members, images())


# Trainings


@pytest.fixture
def members(small_run):
    """Answers the settings of three runs of two losses and seeds."""
    return lambda **options: [small_run(loss, seed=seed, **options).settings for loss, seed in MEMBERS]


def together(settings, digits, **options) -> list[TrainingState]:
    with training.reproducible(1):
        return train_together(settings, digits, device=CPU, **options)


def alone(settings, digits, **options) -> list[TrainingState]:
    with training.reproducible(1):
        return [train(one, digits, device=CPU, **options) for one in settings]


def largest_difference(ours: TrainingState, theirs: TrainingState) -> float:
    """Of weights, momentum and best weights, over the largest value of the tensor."""
    differences = []
    for group in ("weights", "momentum", "best_weights"):
        own, other = getattr(ours, group), getattr(theirs, group)
        assert own.keys() == other.keys()
        differences += [float((own[name] - other[name]).abs().max() / other[name].abs().max()) for name in own]
    return max(differences)


@pytest.fixture
def float64(monkeypatch):
    """Networks and images of twice the precision, where only what computes something else differs visibly."""
    build, normalize = training.build_network, Normalization.__call__
    monkeypatch.setattr(training, "build_network", lambda *arguments: build(*arguments).double())
    monkeypatch.setattr(Normalization, "__call__", lambda *arguments: normalize(*arguments).double())


@pytest.mark.parametrize("clip_norm", [0.5, 2, None])
def test_trainings_as_one_are_the_trainings_alone(members, digits, float64, clip_norm):
    settings = members(clip_norm=clip_norm, width="0.5", weight_decay=0.01)
    for ours, theirs in zip(together(settings, digits), alone(settings, digits), strict=True):
        assert largest_difference(ours, theirs) < 1e-9
        assert (ours.best_epoch, ours.best_val_accuracy) == (theirs.best_epoch, theirs.best_val_accuracy)
        for row, other in zip(ours.history, theirs.history, strict=True):
            timed = {"seconds": 0, "images_per_second": 0}
            assert {**row, **timed} == pytest.approx({**other, **timed}, rel=1e-6)


def test_a_step_as_one_is_the_step_alone_to_the_digits_of_float32(members, digits):
    settings = members(batch_size=10_000)
    for ours, theirs in zip(together(settings, digits, until=1), alone(settings, digits, until=1), strict=True):
        assert largest_difference(ours, theirs) < 1e-4


def test_each_training_as_one_has_its_own_images(members, digits, monkeypatch):
    """Of two seeds: an order and crops of their own, whatever the loss."""
    seen = []
    stacked = training._stacked
    monkeypatch.setattr(training, "_stacked", lambda tensors: seen.append(stacked(tensors)) or seen[-1])
    together(members(batch_size=10_000), digits, until=1)
    pixels = next(tensor for tensor in seen if tensor.dim() == 5)
    assert torch.equal(pixels[0], pixels[1])
    assert not torch.equal(pixels[1], pixels[2])


@pytest.mark.parametrize("stop", [0, 1, 4])
def test_trainings_as_one_that_stop_and_go_on_end_with_the_same_bits(members, digits, tmp_path, stop):
    settings, path = members(), tmp_path / "states.safetensors"
    save_states(path, together(settings, digits, until=stop))
    resumed = together(settings, digits, start=load_states(path))
    assert list(map(bits, resumed)) == list(map(bits, together(settings, digits)))


def test_the_seconds_of_an_epoch_are_shared_and_the_images_are_all_networks(members, digits):
    rows = [state.history[0] for state in together(members(), digits, until=1)]
    assert len({(row["seconds"], row["images_per_second"]) for row in rows}) == 1
    images_of_all = 3 * len(digits.labels("train"))
    assert rows[0]["images_per_second"] > 0.99 * images_of_all / (3 * rows[0]["seconds"] + 1e-3)


def test_of_trainings_as_one_the_one_that_diverges_is_named(small_run, digits):
    settings = [small_run(loss, seed=seed, clip_norm=None).settings for loss, seed in MEMBERS]
    build = training.build_loss

    def huge(one):
        loss = build(one)
        return (lambda *pair, **options: loss(*pair, **options) / 0.0) if one["seed"] == 2 else loss

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "build_loss", huge)
        with pytest.raises(InputError, match=r"training diverged \(focal, seed 2\): the loss is inf at epoch 1,"):
            together(settings, digits)


def test_what_is_trained_as_one_differs_in_loss_and_seed_alone(members, digits):
    settings = members()
    settings[1] = {**settings[1], "weight_decay": 0.5}
    with pytest.raises(ValueError, match="allowed: the same of everything else"):
        together(settings, digits)
