import pytest
from skorch.callbacks import GradientNormClipping

from sklearn_gkd import GKDClassifier
from sklearn_gkd._search import _candidates
from sklearn_gkd._search._candidates import Candidates
from sklearn_gkd._training.training import Setting
from sklearn_gkd.losses import LossWeights

LR = 1e-2
SETTINGS = [
    Setting(LossWeights(*weights), LR)
    for weights in [
        (1.0, 1.0, 1.0, 1.0),
        (0.5, 1.0, 10.0, 1.0),
        (2.0, 0.2, 1.0, 4.0),
        (0.0, 3.0, 0.1, 1.0),
        (1.0, 0.5, 2.0, 2.0),
    ]
]
RATES = [Setting(LossWeights(1.0, 1.0, 1.0, 1.0), lr) for lr in (1e-3, 3e-3, LR)]


def test_what_has_other_terms_is_apart(tmp_path):
    no_features = [Setting(LossWeights(1.0, 0.0, float(gamma), 1.0), LR) for gamma in range(1, 6)]
    no_decisions = [Setting(LossWeights(0.0, float(beta), 0.0, 1.0), LR) for beta in range(1, 6)]
    candidates = Candidates(tmp_path, [[*SETTINGS, *no_features, *no_decisions]])
    assert candidates.cohort_of(no_features[0], 10, LR) == no_features
    assert candidates.cohort_of(no_decisions[0], 10, LR) == no_decisions
    assert candidates.cohort_of(SETTINGS[0], 10, LR) == sorted(SETTINGS)


def test_no_cohort_has_what_the_grid_has_not(tmp_path):
    candidates = Candidates(tmp_path, [SETTINGS[:3], SETTINGS[2:], RATES[1:]])
    assert candidates.cohort_of(SETTINGS[1], 10, LR) == sorted(SETTINGS[:3])
    assert candidates.cohort_of(SETTINGS[2], 10, LR) == [SETTINGS[2]]
    assert candidates.cohort_of(RATES[0], 10, LR) == []


def test_cohorts_are_no_wider_than_what_gains(tmp_path):
    settings = [Setting(LossWeights(1.0, 1.0, float(gamma), 1.0), LR) for gamma in range(27)]
    candidates = Candidates(tmp_path, [settings])
    cohorts = {tuple(candidates.cohort_of(setting, 512, LR)) for setting in settings}
    assert sorted(map(len, cohorts)) == [13, 14]
    assert sorted(sum(cohorts, ())) == settings
    candidates.groups = []
    assert candidates.cohort_of(settings[0], 256, LR) == []


def fit(series, net, candidates, weights=SETTINGS[0].weights):
    net = net.set_params(max_epochs=1)
    clf = GKDClassifier(net, net, **weights._asdict(), random_state=0)
    clf._store = candidates
    return clf.fit(series.X, series.y, X_priv=series.X_priv)


def test_a_large_net_is_trained_by_itself(series, small, tmp_path, monkeypatch):
    candidates = Candidates(tmp_path, [SETTINGS])
    monkeypatch.setattr(_candidates, "LARGEST", 16 * 16 - 1)
    fit(series, small, candidates)
    assert list(tmp_path.glob("*.trained")) == []
    monkeypatch.setattr(_candidates, "LARGEST", 16 * 16)
    fit(series, small, candidates, SETTINGS[1].weights)
    assert len(list(tmp_path.glob("*.trained"))) == 1
    assert len(list(tmp_path.glob("student-*.checkpoint"))) == len(SETTINGS)


@pytest.mark.parametrize("n_fits", [1, 2])
def test_a_net_with_callbacks_is_trained_without_a_state(series, small, tmp_path, n_fits):
    small.set_params(callbacks=[GradientNormClipping(1.0)])
    for _ in range(n_fits):
        clf = fit(series, small, Candidates(tmp_path, [SETTINGS]))
    assert len(clf.student_.history) == 1
    assert list(tmp_path.iterdir()) == []
