import pytest

from sklearn_gkd import GKDClassifier


@pytest.fixture
def clf(small):
    return GKDClassifier(small, small, validation_fraction=0.2, random_state=0)
