"""Two classes as two sets: which these are, how they are held out and drawn, and what is said where there are none."""

import numpy as np
import pytest
import torch
from PIL import Image

from zerosum.core.errors import DataError, RecipeError
from zerosum.core.signals import Signal
from zerosum.data import Feed, Preparation, open_data

AUTO = Preparation(domains=("auto",), held_out=0.0)


def put(folder, counts, side=8):
    """A folder with so many grey pictures in each sub-folder; no two are equal."""
    shade = 0
    for name, count in counts.items():
        (folder / name).mkdir(parents=True)
        for number in range(count):
            Image.fromarray(np.full((side, side), shade := shade + 1, np.uint8)).save(folder / name / f"{number}.png")
    return folder


def shades(dataset, index):
    return sorted(dataset.values[index][:, 0, 0, 0].tolist())


def test_two_folders_are_two_signals(tmp_path):
    dataset = open_data(put(tmp_path / "set", {"A": 3, "B": 5}), AUTO)
    image = Signal("image", (1, 8, 8))
    assert dataset.signals == {"a": image, "b": image}
    assert dataset.domains == ("A", "B")
    assert dataset.classes == ()
    assert dataset.per_epoch == 5
    a, b = dataset.of("a"), dataset.of("b")
    assert a.signals == b.signals == {"sample": image}
    assert shades(a, a.train) == [1, 2, 3]
    assert shades(b, b.train) == [4, 5, 6, 7, 8]
    assert len({dataset.fingerprint, a.fingerprint, b.fingerprint}) == 3
    plain = open_data(tmp_path / "set", Preparation(held_out=0.0))
    assert plain.signals == {"sample": image, "label": Signal("label", (), 2)}
    assert plain.fingerprint != dataset.fingerprint


def test_published_folders_say_what_is_held_out(tmp_path):
    counts = {"trainA": 2, "trainB": 3, "testA": 1, "testB": 2}
    dataset = open_data(put(tmp_path / "set", counts), AUTO.replace(held_out=0.5))
    assert dataset.domains == ("A", "B")
    assert dataset.own_split
    assert [shades(one, one.train) for one in map(dataset.of, "ab")] == [[1, 2], [3, 4, 5]]
    assert [shades(one, one.held_out) for one in map(dataset.of, "ab")] == [[6], [7, 8]]


def test_each_set_has_its_share_held_out_and_others_none(tmp_path):
    folder = put(tmp_path / "set", {"horse": 20, "cow": 7, "zebra": 10})
    dataset = open_data(folder, Preparation(domains=("zebra", "horse"), held_out=0.2), seed=3)
    a, b = dataset.of("a"), dataset.of("b")
    assert dataset.domains == ("zebra", "horse")
    assert [len(a.held_out), len(a.train), len(b.held_out), len(b.train)] == [2, 8, 4, 16]
    assert not set(a.train) & set(a.held_out)
    everything = shades(dataset, np.concatenate([dataset.train, dataset.held_out]))
    assert everything == [*range(1, 21), *range(28, 38)]  # no cows
    again = open_data(folder, Preparation(domains=("zebra", "horse"), held_out=0.2), seed=4)
    assert again.fingerprint != dataset.fingerprint


def test_train_and_test_folders_around_two_classes_are_kept(tmp_path):
    counts = {"train/x": 3, "train/y": 2, "test/x": 1, "test/y": 1}
    dataset = open_data(put(tmp_path / "set", counts), AUTO)
    assert [len(one.train) for one in map(dataset.of, "ab")] == [3, 2]
    assert [len(one.held_out) for one in map(dataset.of, "ab")] == [1, 1]


def test_each_set_is_drawn_by_itself_as_a_function_of_the_position(tmp_path):
    dataset = open_data(put(tmp_path / "set", {"A": 6, "B": 6}), AUTO)
    feed = Feed(dataset, 4, seed=1)
    batches = [feed.next() for _ in range(6)]
    assert feed.position == 24
    assert all(batch.keys() == {"a", "b"} for batch in batches)
    drawn = {name: torch.cat([batch[name][:, 0, 0, 0] for batch in batches]) for name in "ab"}
    grey = {name: ((values + 1) * 127.5).round().int().tolist() for name, values in drawn.items()}
    for epoch in range(4):  # each of its images once an epoch
        part = slice(6 * epoch, 6 * epoch + 6)
        assert sorted(grey["a"][part]) == [1, 2, 3, 4, 5, 6]
        assert sorted(grey["b"][part]) == [7, 8, 9, 10, 11, 12]
    assert grey["a"] != [shade - 6 for shade in grey["b"]]  # equal sizes do not pair them
    later = Feed(dataset, 4, seed=1)
    later.position = 12
    assert all(torch.equal(later.next()[name], batches[3][name]) for name in ["a"])
    later.position = 12
    assert all(torch.equal(x, batches[3][name]) for name, x in later.next().items())
    ranks = [Feed(dataset, 4, seed=1, rank=rank, world=2).next() for rank in range(2)]
    assert all(torch.equal(torch.cat([one[name] for one in ranks]), batches[0][name]) for name in "ab")


def test_sizes_may_differ_and_an_epoch_is_that_of_the_larger_set(tmp_path):
    feed = Feed(open_data(put(tmp_path / "set", {"A": 2, "B": 5}), AUTO), 5, seed=0)
    assert feed.per_epoch == 5
    batch = feed.next()
    assert len(batch["a"].unique()) == 2
    assert len(batch["b"].unique()) == 5


def test_digits_and_their_negatives_are_one_set_by_name():
    dataset = open_data("digits-inverted", Preparation(domains=("auto",)))
    assert dataset.domains == ("plain", "inverted")
    assert dataset.shape == (1, 16, 16)
    a, b = (dataset.of(name) for name in "ab")
    assert len(a.train) + len(a.held_out) + len(b.train) + len(b.held_out) == 1_797
    assert a.values[a.train].mean() < 90
    assert b.values[b.train].mean() > 165


@pytest.mark.parametrize(
    ("counts", "domains", "told"),
    [
        ({"A": 2}, ("auto",), "put them into two folders, such as A/ and B/, and name the folder that holds both"),
        ({"A": 2, "B": 0}, ("auto",), "holds both (folder 'B' has no images; 'A' alone makes no classes)"),
        ({"A": 2, "B": 0, "C": 1}, ("A", "B"), "no class 'B'; there is: A, C (class folder 'B' has no images)"),
        ({"A": 2, "B": 1, "C": 1}, ("auto",), "3 classes ('A', 'B', 'C'); name two of them, as data.domains=A/B"),
        ({"horse": 2, "zebra": 1}, ("horses", "zebra"), "no class 'horses'; did you mean 'horse'?"),
        ({"trainA": 2, "trainB": 1, "testB": 1}, ("auto",), "there is testB/ without testA/; add it, or remove both"),
        ({"train/x": 2, "test/x": 1, "test/y": 1}, ("auto",), "there is no image of 'y' to train on"),
    ],
)
def test_what_is_missing_is_said_with_how_to_mend_it(tmp_path, counts, domains, told):
    with pytest.raises(DataError) as error:
        open_data(put(tmp_path / "set", counts), Preparation(domains=domains))
    assert told in str(error.value)


def test_settings_that_name_no_two_classes_are_refused():
    for domains in (("horse",), ("horse", "horse"), ("a", "b", "c"), ("auto", "b")):
        with pytest.raises(RecipeError, match=r"domains: name two classes, as horse/zebra, or auto"):
            Preparation(domains=domains)


def test_a_mixture_is_not_two_sets():
    with pytest.raises(DataError, match=r"ring8: data\.domains needs two classes, and a mixture has none"):
        open_data("ring8", AUTO)


def test_domains_are_not_balanced(tmp_path):
    dataset = open_data(put(tmp_path / "set", {"A": 2, "B": 2}), AUTO)
    with pytest.raises(DataError, match="both sets are drawn equally often anyway; leave balanced=false"):
        Feed(dataset, 2, balanced=True)
