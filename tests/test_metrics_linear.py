"""Logistic regression on features: as scikit-learn has it, for classes and for attributes."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from zerosum.metrics.linear import PENALTY, LinearClassifier


def data(count=300, classes=3):
    rng = np.random.default_rng(0)
    label = rng.integers(classes, size=count)
    x = rng.normal(size=(count, 5)) * [1, 2, 3, 4, 0] + np.eye(classes, 5)[label] * 3 + 7
    return x, label


def weights(x, label):
    """Weights and biases of scikit-learn on standardised features."""
    x = (x - x.mean(0)) / np.where(x.std(0) > 0, x.std(0), 1)
    judge = LogisticRegression(C=1 / (PENALTY * len(x)), tol=1e-8, max_iter=1000).fit(x, label)
    return judge.coef_, judge.intercept_


def test_classes_are_told_apart_as_scikit_learn_does():
    x, label = data()
    ours = LinearClassifier.fit(torch.tensor(x, dtype=torch.float32), torch.tensor(label))
    theirs, bias = weights(x, label)
    centred = ours.weight.T - ours.weight.T.mean(0)
    assert centred.numpy() == pytest.approx(theirs - theirs.mean(0), abs=2e-3)
    assert (ours.bias - ours.bias.mean()).numpy() == pytest.approx(bias - bias.mean(), abs=2e-3)
    right = ours.right(torch.tensor(x), torch.tensor(label))
    assert right.shape == (300,)
    assert 0.6 < right.double().mean() < 1
    again = LinearClassifier.fit(torch.tensor(x, dtype=torch.float32), torch.tensor(label))
    assert torch.equal(ours.weight, again.weight)


def test_attributes_are_told_each_by_itself():
    x, label = data()
    flags = np.stack([label == 0, label < 2], 1)
    ours = LinearClassifier.fit(torch.tensor(x), torch.tensor(flags).float())
    for place in range(2):
        theirs, bias = weights(x, flags[:, place])
        assert ours.weight[:, place].numpy() == pytest.approx(theirs[0], abs=5e-3)
        assert float(ours.bias[place]) == pytest.approx(bias[0], abs=5e-3)
    right = ours.right(torch.tensor(x), torch.tensor(flags).float())
    assert right.shape == (300, 2)
    assert right.double().mean() > 0.7


def test_labels_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="3 features need as many labels, not 2"):
        LinearClassifier.fit(torch.rand(3, 2), torch.tensor([0, 1]))
