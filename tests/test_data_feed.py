"""Batches: a pure function of (seed, position)."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from zerosum.core.errors import DataError
from zerosum.core.registry import parse
from zerosum.data import Dataset, Feed, to_images
from zerosum.data import feed as feed_module
from zerosum.data.preparation import Preparation


def images(count=10, held_out=(), labelled=True, shape=(4, 5, 3)):
    values = np.random.default_rng(0).integers(0, 256, (count, *shape), dtype=np.uint8)
    values[:, 0, 0, 0] = np.arange(count)
    labels = np.arange(count, dtype=np.int64) if labelled else None
    held = np.array(held_out, dtype=np.int64)
    train = np.setdiff1d(np.arange(count), held)
    return Dataset("toy", values, labels, tuple(map(str, range(count))) if labelled else (), train, held, "")


def drawn(feed, batches):
    return torch.cat([feed.next()["label"] for _ in range(batches)]).tolist()


def test_values_are_exact_and_channels_last():
    data = images()
    real, label = Feed(data, 6).next().values()
    assert real.dtype == torch.float32
    assert real.shape == (6, 3, 4, 5)
    assert real.is_contiguous(memory_format=torch.channels_last)
    assert np.array_equal(to_images(real), data.values[label.numpy()])


def test_0_is_minus_1_and_255_is_1():
    values = np.array([0, 255, 51], dtype=np.uint8).reshape(1, 1, 3, 1)
    data = Dataset("toy", values, None, (), np.array([0]), np.array([], dtype=np.int64), "")
    batch = Feed(data, 1).next()
    real = batch["sample"]
    assert real.flatten()[:2].tolist() == [-1, 1]
    assert real.flatten()[2].item() == pytest.approx(-0.6, abs=1e-6)
    assert batch.keys() == {"sample"}


@given(count=st.integers(1, 30), batch=st.integers(1, 40), seed=st.integers(0, 9))
def test_each_epoch_shows_each_image_once(count, batch, seed):
    feed = Feed(images(count, shape=(1, 1, 1)), batch, seed=seed)
    shown = drawn(feed, -(-3 * count // batch))
    assert feed.position == len(shown)
    for epoch in range(3):
        assert sorted(shown[epoch * count : (epoch + 1) * count]) == list(range(count))


@given(start=st.integers(0, 100), batch=st.integers(1, 25))
def test_the_stream_goes_on_from_any_position(start, batch):
    data = images(shape=(1, 1, 1))
    whole = drawn(Feed(data, 1, seed=3), start + 2 * batch)
    again = Feed(data, batch, seed=3)
    again.position = start
    assert drawn(again, 2) == whole[start:]


def test_held_out_images_are_never_shown():
    feed = Feed(images(held_out=(0, 4, 9)), 7)
    assert feed.per_epoch == 7
    assert sorted(drawn(feed, 1)) == [1, 2, 3, 5, 6, 7, 8]


def test_order_depends_on_seed_and_epoch():
    data = images(50, shape=(1, 1, 1))
    zero, one = Feed(data, 50, seed=0), Feed(data, 50, seed=1)
    orders = [drawn(zero, 1), drawn(zero, 1), drawn(one, 1), drawn(one, 1)]
    assert len({tuple(order) for order in orders}) == 4
    assert drawn(Feed(data, 50, seed=0), 1) == orders[0]


def test_order_is_independent_of_the_default_generator():
    data = images(50, shape=(1, 1, 1))
    torch.manual_seed(0)
    first = drawn(Feed(data, 50), 1)
    torch.manual_seed(1)
    assert drawn(Feed(data, 50), 1) == first


def test_flip_mirrors_half_of_the_images_left_to_right():
    data = images(2000, shape=(2, 3, 3))
    torch.manual_seed(0)
    real, label = Feed(data, 2000, flip=True).next().values()
    found, plain = to_images(real), data.values[label.numpy()]
    same = (found == plain).all(axis=(1, 2, 3))
    mirrored = (found == plain[:, :, ::-1]).all(axis=(1, 2, 3))
    assert (same ^ mirrored).all()
    assert 900 < mirrored.sum() < 1100
    assert real.is_contiguous(memory_format=torch.channels_last)


def test_flip_follows_the_default_generator():
    data = images(100)
    made = []
    for seed in (5, 5, 6):
        torch.manual_seed(seed)
        made.append(Feed(data, 100, flip=True).next()["sample"])
    assert torch.equal(made[0], made[1])
    assert not torch.equal(made[0], made[2])


def test_large_sets_are_read_from_the_map_and_give_the_same(tmp_path, monkeypatch):
    plain = images(held_out=(2, 3))
    np.save(tmp_path / "values.npy", plain.values)
    data = dataclasses.replace(plain, values=np.load(tmp_path / "values.npy", mmap_mode="r"))
    held = Feed(data, 12).next()
    monkeypatch.setattr(feed_module, "HELD_BYTES", 0)
    mapped = Feed(data, 12).next()
    assert held.keys() == mapped.keys() == {"sample", "label"}
    assert all(torch.equal(held[name], mapped[name]) for name in held)


def test_points_are_fed_as_they_are():
    values = np.random.default_rng(0).standard_normal((6, 2)).astype(np.float32)
    data = Dataset("points", values, None, (), np.arange(6), np.array([], dtype=np.int64), "")
    batch = Feed(data, 6, seed=2).next()
    real = batch["sample"]
    assert batch.keys() == {"sample"}
    assert real.dtype == torch.float32
    assert sorted(map(tuple, real.tolist())) == sorted(map(tuple, values.tolist()))
    with pytest.raises(DataError, match="points cannot be flipped"):
        Feed(data, 6, flip=True)


def test_impossible_feeds_are_refused():
    with pytest.raises(DataError, match="a batch of 0 images is impossible"):
        Feed(images(), 0)
    with pytest.raises(DataError, match="there is no image to train on"):
        Feed(images(2, held_out=(0, 1)), 1)


def lopsided(labels, held_out=()):
    """Images whose first pixel is their number, with these labels."""
    data = images(len(labels), held_out, shape=(1, 1, 1))
    names = tuple(f"class {k}" for k in range(max(labels) + 1))
    return dataclasses.replace(data, labels=np.array(labels, dtype=np.int64), classes=names)


def shown(feed, count):
    """Numbers and labels of the next images."""
    drawn = [feed.next() for _ in range(-(-count // feed.batch))]
    numbers = np.concatenate([to_images(real)[:, 0, 0, 0] for real, _ in map(dict.values, drawn)])
    return numbers[:count].astype(int), torch.cat([batch["label"] for batch in drawn])[:count].numpy()


UNEVEN = [0] * 13 + [1] * 2 + [2] * 5  # 20 images: an epoch is 7 rounds of 3


def test_a_balanced_feed_shows_one_of_each_class_in_every_round():
    numbers, labels = shown(Feed(lopsided(UNEVEN), 4, seed=1, balanced=True), 600)
    assert (np.sort(labels.reshape(200, 3), axis=1) == [0, 1, 2]).all()
    assert (np.array(UNEVEN)[numbers] == labels).all()
    orders = {tuple(row) for row in labels.reshape(200, 3).tolist()}
    assert len(orders) == 6


def test_a_balanced_feed_shows_each_image_of_a_class_once_before_any_again():
    numbers, labels = shown(Feed(lopsided(UNEVEN), 7, seed=2, balanced=True), 390)
    for label, size in enumerate((13, 2, 5)):
        own = numbers[labels == label]
        assert len(own) == 130
        passes = own.reshape(-1, size)
        assert (np.sort(passes, axis=1) == np.flatnonzero(np.array(UNEVEN) == label)).all()
        assert len({tuple(row) for row in passes.tolist()}) >= {13: 10, 2: 2, 5: 18}[size]


def test_classes_of_one_size_have_orders_of_their_own():
    numbers, labels = shown(Feed(lopsided([0] * 6 + [1] * 6), 12, balanced=True), 120)
    assert sum((numbers[labels == 0] + 6) == numbers[labels == 1]) < 30


@given(start=st.integers(0, 200), batch=st.integers(1, 50))
def test_a_balanced_stream_goes_on_from_any_position(start, batch):
    data = lopsided(UNEVEN)
    whole, _ = shown(Feed(data, 1, seed=3, balanced=True), start + 2 * batch)
    again = Feed(data, batch, seed=3, balanced=True)
    again.position = start
    assert shown(again, 2 * batch)[0].tolist() == whole[start:].tolist()
    assert again.position == start + 2 * batch


def test_a_balanced_order_depends_on_the_seed_alone():
    data = lopsided(UNEVEN)
    orders = []
    for seed, noise in ((0, 1), (0, 2), (1, 1)):
        torch.manual_seed(noise)
        numbers, labels = shown(Feed(data, 60, seed=seed, balanced=True), 60)
        orders.append((numbers.tolist(), labels.tolist()))
    assert orders[0] == orders[1]
    assert orders[0][0] != orders[2][0]
    assert orders[0][1] != orders[2][1]


def test_a_balanced_feed_leaves_held_out_images_and_the_plain_order_alone():
    data = lopsided(UNEVEN, held_out=(0, 1, 13, 15))
    feed = Feed(data, 16, seed=4, balanced=True)
    assert feed.per_epoch == 16
    assert set(shown(feed, 300)[0].tolist()) == set(data.train.tolist())
    plain = Feed(data, 16, seed=4)
    assert sorted(shown(plain, 16)[0].tolist()) == data.train.tolist()


def test_a_class_that_cannot_be_balanced_is_named():
    with pytest.raises(DataError, match="toy: without labels there are no classes to balance; leave balanced=false"):
        Feed(images(labelled=False), 1, balanced=True)
    with pytest.raises(DataError, match=r"toy: class 'class 1' has no image to train on.*leave balanced=false"):
        Feed(lopsided(UNEVEN, held_out=(13, 14)), 1, balanced=True)
    assert Feed(lopsided(UNEVEN, held_out=(13, 14)), 1).per_epoch == 18


def test_the_order_of_earlier_versions_is_kept():
    assert feed_module.permutation(3, 1, 8).tolist() == [0, 7, 3, 6, 1, 5, 4, 2]


def test_balance_is_a_field_of_the_preparation_and_changes_no_pixel():
    assert parse("preparation", "images:balanced=true").balanced
    assert not Preparation().balanced
    assert Preparation(balanced=True).decoding() == Preparation().decoding()
