"""benchmarks/panels.py: pictures of points, changes and paths."""

import math
import sys

import numpy as np
import pytest

from benchmarks import panels, toys


def test_paths_do_what_their_eigenvalues_say():
    ends = {name: math.hypot(*list(panels.path(words))[-1]) for name, words in panels.PATHS.items()}
    assert 1.2 < ends["none"] < 1.6  # it began at sqrt(2) and circles
    assert ends["r1, gamma 0.3"] < 0.1
    assert ends["r1, gamma 1"] < 1e-3
    assert 0.9 < ends["wasserstein, clipped"] < 1.5
    assert 0.9 < ends["wasserstein, gradient penalty"] < 2
    assert 0.2 < ends["none, non-saturating"] < 0.8  # creeps inwards


def test_a_plane_shows_where_a_path_ends():
    sheet = panels.plane([(1.0, 1.0), (1.0, 0.0), (-1.0, 0.0)])[..., 0]
    side, quarter = panels.SIDE, panels.SIDE // 4
    assert sheet[side // 2 - 4 : side // 2 + 5, quarter - 4 : quarter + 5].min() == 0  # theta -1, psi 0
    assert (sheet[: quarter - 8] == 0).sum() == 0  # nothing dark above psi = 1


def test_changes_stand_below_the_picture():
    sheet = panels.augmentation()
    assert sheet.shape == (66 * (1 + len(panels.AUGMENTATIONS)) + 2, 66 * 10 + 2, 3)
    tiles = [[sheet[66 * y + 2 : 66 * y + 66, 66 * x + 2 : 66 * x + 66] for x in range(10)] for y in range(10)]
    assert all((tile == tiles[0][0]).all() for tile in tiles[0])
    assert {(tile == tiles[0][0]).all() for tile in tiles[1]} == {True, False}  # mirrored or not
    assert all(any((tile != tiles[0][0]).any() for tile in row) for row in tiles[1:])


def test_points_stand_below_their_mixture(monkeypatch):
    monkeypatch.setitem(toys.METHODS, "hinge", toys.Method("objective=hinge length=1k", toys=("ring", "imbalance")))
    sheet = panels.points("hinge")
    assert sheet.shape == (2 * (panels.SIDE + 6) + 4, 2 * (panels.SIDE + 6) + 4, 1)
    wanted = sheet[5 : 5 + panels.SIDE, 5 : 5 + panels.SIDE, 0]
    y, x = (4 * (np.argwhere(wanted < 255).T + 0.5) / panels.SIDE - 2).round(3)
    assert len(x) > 8 * 16
    assert (abs(np.hypot(x, y) - 1) < 0.12).all()


def test_only_what_exists_is_drawn(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["panels", "--only", "hings"])
    with pytest.raises(SystemExit, match="there is no picture 'hings'; there are augmentation, dirac"):
        panels.main()
