"""Randomness as a function of seeds: equal on every machine, on every accelerator in use, and on no other."""

import pytest
import torch

from zerosum.core import clock
from zerosum.core.clock import Stream, mix, seeded


def test_seeds_are_equal_on_every_machine_and_have_63_bits():
    assert mix(0, "weights") == 2934036865011653446
    assert mix("0", "weights") != mix(0, "weights")
    seeds = [mix(number) for number in range(100)]
    assert len(set(seeds)) == 100
    assert 2**62 < max(seeds) < 2**63


class Accelerators:
    """Generators of a CUDA device and of an Apple one: a state is a number, and each draw counts it up."""

    def __init__(self, patch, present):
        self.states = dict.fromkeys(present, 7)
        patch.setattr(torch.cuda, "is_initialized", lambda: "cuda" in present)
        patch.setattr(torch.cuda, "device_count", lambda: 1)
        patch.setattr(clock, "has_mps", lambda: "mps" in present)
        for name, module, suffix in (("cuda", torch.cuda, "_all"), ("mps", torch.mps, "")):
            patch.setattr(module, f"manual_seed{suffix}", lambda seed, name=name: self.put(name, seed))
            patch.setattr(module, "get_rng_state", lambda *_, name=name: self.states[name])
            patch.setattr(module, "set_rng_state", lambda state, *_, name=name: self.put(name, state))
        patch.setattr(torch.cuda, "get_rng_state_all", lambda: [self.states["cuda"]])
        patch.setattr(torch.cuda, "set_rng_state_all", lambda states: self.put("cuda", *states))

    def put(self, name, state):
        assert name in self.states, f"{name} is not in use"
        self.states[name] = state

    def draw(self):
        self.states = {name: state + 1 for name, state in self.states.items()}
        return dict(self.states)


@pytest.mark.parametrize("present", [(), ("cuda",), ("mps",), ("cuda", "mps")])
def test_a_stream_goes_on_where_it_stopped_and_what_is_around_it_does_not_notice(present, monkeypatch):
    accelerators, around = Accelerators(monkeypatch, present), torch.get_rng_state()
    with seeded(3, "stream"):
        expected, at_once = torch.rand(4), accelerators.draw()
    assert at_once == dict.fromkeys(present, mix(3, "stream") + 1)
    stream, drawn = Stream(3, "stream"), []
    for number in (1, 2):
        with stream.flowing():
            drawn.append(torch.rand(2))
            assert accelerators.draw() == dict.fromkeys(present, mix(3, "stream") + number)
        assert accelerators.states == dict.fromkeys(present, 7)
        assert torch.equal(torch.get_rng_state(), around)
    assert torch.equal(torch.cat(drawn), expected)
