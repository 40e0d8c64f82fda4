"""Values of published packages (metrics_golden.json), and the features that they were computed from."""

import json
from pathlib import Path

import numpy as np
import torch

CASES = {
    case["name"]: case for case in json.loads((Path(__file__).parent / "metrics_golden.json").read_text())["cases"]
}


def features(n, d, seed, shift, scale, spread):
    """The features of one side of a case, from the fields that describe them."""
    drawn = np.random.RandomState(seed).randn(n, d) * scale * (1 + np.arange(d)) ** -spread + shift
    return torch.from_numpy(np.maximum(drawn, 0))
