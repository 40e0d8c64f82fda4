"""Players at work: optimizer states under the names of their weights, in the memory formats of today's."""

import torch
from torch import nn

from zerosum.core.player import Learner, Player, _like
from zerosum.networks import Default
from zerosum.optimizers import Adam, Constant


def learner(*names):
    networks = {name: nn.Conv2d(3, 3, 3).to(memory_format=torch.channels_last) for name in names}
    new = Learner(Player(None, Adam(), Constant(), Default()), networks, names)
    for network in networks.values():
        network(torch.randn(2, 3, 4, 4)).square().sum().backward()
    new.optimizer.step()
    return new


def test_moments_have_the_names_of_their_weights_and_go_back_to_them():
    for names, before in ((("a",), [""]), (("a", "b"), ["a/", "b/"])):
        first, second = learner(*names), learner(*names)
        moments = first.moments()
        expected = {f"{one}{name}.{key}" for one in before for name in ("weight", "bias")
                    for key in ("step", "exp_avg", "exp_avg_sq")}  # fmt: skip
        assert moments.keys() == expected
        second.load_moments({key: value.clone(memory_format=torch.contiguous_format) for key, value in moments.items()})
        assert second.moments().keys() == expected
        for key, value in second.moments().items():
            assert torch.equal(value, moments[key])
            assert value.stride() == moments[key].stride()
            assert value is not moments[key]
        second.load_moments({})
        assert second.moments() == {}


def test_a_counter_is_where_the_optimizer_looks_for_it():
    weight, step = torch.empty(3, device="meta"), torch.tensor(4.0)
    assert _like("step", step, weight, fused=True).device.type == "meta"
    assert _like("step", step, weight, fused=False).device.type == "cpu"
    assert _like("exp_avg", torch.ones(3), weight, fused=False).device.type == "meta"
