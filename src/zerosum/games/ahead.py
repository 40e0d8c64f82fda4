"""A discriminator as it would be with other weights, while the live one stays as it is."""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.func import functional_call

_METHODS = ("features", "logits", "classify", "recover", "encode", "layers")  # of a discriminator, beside its call


class _Stage(nn.Module):
    """Calls any method of a network from its own forward, the only one that runs with other weights."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, method: str, *args: Any, **given: Any) -> Any:
        return getattr(self.network, method)(*args, **given)


class Ahead:
    """A network with weights of its own, which may carry a graph, and with copies of its buffers.

    It is called as the network is, and has those of the network's methods that a critic or a regularizer asks for. What
    a call changes in a buffer (running statistics, singular vectors) it changes in the copy, for the next call to find.

    Args:
        network: the live network; it is left alone.
        weights: named as in `network.named_parameters()`; the network's own where there are none.
    """

    def __init__(self, network: nn.Module, weights: dict[str, Tensor]) -> None:
        buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}
        self._stage = _Stage(network)
        self._tensors = {f"network.{name}": tensor for name, tensor in (weights | buffers).items()}
        for method in _METHODS:
            if hasattr(network, method):
                setattr(self, method, partial(self._play, method))

    def _play(self, method: str, *args: Any, **given: Any) -> Any:
        return functional_call(self._stage, self._tensors, (method, *args), given)

    def __call__(self, *args: Any, **given: Any) -> Any:
        """Logits, as the network gives them."""
        return self._play("__call__", *args, **given)

    def move(self, weights: dict[str, Tensor]) -> None:
        """Take other weights; the buffers go on as the calls left them."""
        self._tensors |= {f"network.{name}": weight for name, weight in weights.items()}
