"""The synthetic experiments of Lopez-Paz et al. (2016), section 5, with this API."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from torch import nn

from sklearn_gkd import GKDClassifier
from sklearn_gkd.networks import SeriesNet


class Linear(nn.Module):
    """A linear student: logits alone."""

    def __init__(self, shapes, n_classes):
        super().__init__()
        self.layer = nn.Linear(shapes[0][0], n_classes)

    def forward(self, x):
        return self.layer(x.flatten(1))


def clean_labels(rng, X, w):
    distance = X @ w
    return X, distance[:, None], distance + rng.normal(size=len(X)) > 0


def clean_features(rng, X, w):
    return X + rng.normal(size=X.shape), X, X @ w > 0


def relevant_features(rng, X, w):
    return X, X[:, :3], X[:, :3] @ w[:3] > 0


def relevant_features_of_each_sample(rng, X, w):
    chosen = rng.randint(X.shape[1], size=(len(X), 3))
    X_priv = np.take_along_axis(X, chosen, axis=1)
    return X, X_priv, (X_priv * w[chosen]).sum(axis=1) > 0


def accuracies(experiment, seed):
    """Return the test accuracy of the student alone and of the distilled student."""
    rng = np.random.RandomState(seed)
    w = rng.normal(size=50)
    X, X_priv, y = experiment(rng, rng.normal(size=(5200, 50)), w)
    student = SeriesNet(Linear, lr=0.05, max_epochs=60, batch_size=50)
    distilled = GKDClassifier(
        LogisticRegression(C=100), student, alpha=0, beta=0, gamma=1,
        teacher_view="privileged", validation_fraction=0, random_state=seed,
    )  # fmt: skip
    alone = clone(distilled).set_params(alpha=1, gamma=0)
    return [
        clf.fit(X[:200], y[:200], X_priv=X_priv[:200]).score(X[200:], y[200:])
        for clf in (alone, distilled)
    ]


@pytest.mark.parametrize(
    ("experiment", "gain"),
    [
        (clean_labels, (0.03, 0.15)),
        (clean_features, (-0.02, 0.06)),
        (relevant_features, (0.03, 0.15)),
        (relevant_features_of_each_sample, (-0.02, 0.03)),
    ],
)
def test_gain_is_that_of_the_paper(experiment, gain):
    """Paper: 0.88 to 0.95, 0.68 to 0.70, 0.89 to 0.97, 0.55 to 0.56."""
    alone, distilled = np.mean([accuracies(experiment, seed) for seed in (1, 2)], axis=0)
    assert gain[0] <= distilled - alone <= gain[1]
