"""Several networks as one, for devices that a single small network does not fill.

The channels of S networks of one form stand side by side in the channels of one network: a convolution has S groups, a
batch norm's statistics are by channel in any case, and a linear layer becomes one product per network. What each
network computes is what it computes alone, up to rounding.
"""

import copy
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from equal_losses.networks.network import Network
from equal_losses.running.errors import InputError

_ALLOWED = (
    "allowed with `stack` above 1: convolutions, batch norms, linear layers, heads that have `copies`, and what treats "
    "each channel by itself"
)


class StackedNetwork(nn.Module):
    """S networks; images, logits and features have a leading axis S.

    Attributes:
        size: S.
        network: the S networks as one, with the names of each; see `fold` for its parameters and buffers.
    """

    def __init__(self, members: Sequence[Network]):
        super().__init__()
        self.size = len(members)
        self.network = _folded(members)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (S x N x K) and features (S x N x d) of images (S x N x C x H x W, or N x C x H x W for all)."""
        own = images.expand(self.size, *images.shape[-4:])
        outputs = self.network(own.transpose(0, 1).flatten(1, 2).contiguous(memory_format=torch.channels_last))
        logits, features = (_split(each, self.size) for each in outputs)
        return logits, features

    def given(self, asked: Sequence[Sequence[str]], features: Tensor) -> list[dict[str, Tensor | float]]:
        """What the loss of each network asks for (see `Network.given`)."""
        members = []
        for index, names in enumerate(asked):
            given = self.network.given(names, features[index])
            if "weight" in given:
                given["weight"] = given["weight"].unflatten(0, (self.size, -1))[index]
            members.append(given)
        return members


def stacked(members: Sequence[Network], images: Tensor) -> StackedNetwork:
    """The networks, on the CPU, as one.

    Args:
        members: of one form.
        images: N x C x H x W, a few of those that they are for, N > 1.

    Raises:
        InputError: where a layer has no form for several networks, or the networks compute something else together
            than alone, because a layer mixes the channels or draws random numbers.
    """
    together = StackedNetwork(members)
    if not _agree(together, members, images):
        raise InputError(f"network: it computes something else in a stack than alone; {_ALLOWED}")
    return together


def fold(parts: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Tensors of S networks by name to those of the stacked one, copied: one network after the other in the first axis.

    Numbers, as of the batches that a batch norm has seen, are the same in all of them.
    """
    folded = {}
    for name, tensor in parts[0].items():
        folded[name] = torch.cat([part[name] for part in parts]) if tensor.dim() else tensor.clone()
    return folded


def unfold(tensors: Mapping[str, Tensor], size: int) -> list[dict[str, Tensor]]:
    """The inverse of `fold`, as copies."""
    parts = {name: tensor.chunk(size) if tensor.dim() else [tensor] * size for name, tensor in tensors.items()}
    return [{name: part[index].detach().clone() for name, part in parts.items()} for index in range(size)]


class _StackedLinear(nn.Module):
    """S linear layers: N x (S F) to N x (S O)."""

    def __init__(self, size: int, bias: bool):
        super().__init__()
        self._size = size
        self.weight = nn.Parameter(torch.empty(0))
        self.bias = nn.Parameter(torch.empty(0)) if bias else None

    def forward(self, inputs: Tensor) -> Tensor:
        split = _split(inputs, self._size)
        weight = self.weight.unflatten(0, (self._size, -1)).mT
        if self.bias is None:
            outputs = torch.bmm(split, weight)
        else:
            outputs = torch.baddbmm(self.bias.view(self._size, 1, -1), split, weight)
        return outputs.transpose(0, 1).flatten(1)


def _split(channels: Tensor, size: int) -> Tensor:
    """N x (S F) to S x N x F."""
    return channels.unflatten(1, (size, -1)).transpose(0, 1)


def _folded(members: Sequence[Network]) -> Network:
    size = len(members)
    network = copy.deepcopy(members[0])
    for name, module in list(network.named_modules()):
        if isinstance(module, nn.Conv2d):
            module.groups *= size
            module.in_channels *= size
            module.out_channels *= size
        elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.num_features *= size
        elif isinstance(module, nn.Linear):
            network.set_submodule(name, _StackedLinear(size, module.bias is not None))
        elif hasattr(module, "copies"):  # a head that computes for several networks
            module.copies = size
        elif [*module.parameters(recurse=False), *module.buffers(recurse=False)]:
            raise InputError(f"network: its layer {name} ({type(module).__name__}) has no form in a stack; {_ALLOWED}")
    for name, tensor in fold([member.state_dict() for member in members]).items():
        path, _, key = name.rpartition(".")
        module = network.get_submodule(path)
        setattr(module, key, nn.Parameter(tensor) if isinstance(getattr(module, key), nn.Parameter) else tensor)
    return network.to(memory_format=torch.channels_last)


@torch.no_grad()
def _agree(together: StackedNetwork, members: Sequence[Network], images: Tensor) -> bool:
    """Whether the networks compute the same together and alone, to digits that only rounding changes."""
    images = images.double()
    for mode in (True, False):
        copies = [copy.deepcopy(network).double().train(mode) for network in (together, *members)]
        # Networks of one seed begin with the same weights, and each must see that the others' images are not its own.
        batches = torch.stack([images.roll(index, 0) * (1 + index) for index in range(together.size)])
        found = copies[0](batches)
        for index, network in enumerate(copies[1:]):
            for here, alone in zip(found, network(batches[index]), strict=True):
                if not torch.allclose(here[index], alone, rtol=1e-6, atol=1e-9 * float(alone.abs().max())):
                    return False
    return True
