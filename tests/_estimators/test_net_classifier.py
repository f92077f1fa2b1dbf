import numpy as np
import pytest


def test_predict_refuses_other_series(series, clf):
    clf.fit(series.X, series.y, X_priv=series.X_priv)
    with pytest.raises(ValueError, match=r"\(T, C\) = \(5, 2\), .* fitted on \(6, 2\)"):
        clf.predict(series.X[:, :5])
    with pytest.raises(ValueError, match=r"\(T, C\) = \(4, 3\), .* fitted on \(6, 2\)"):
        clf.predict(series.X.reshape(120, 4, 3))
    with pytest.raises(ValueError, match="10 features"):
        clf.predict(series.X[:, :5].reshape(120, -1))
    with pytest.raises(ValueError, match="NaN"):
        clf.predict(np.where(np.arange(2) == 0, np.nan, series.X))


@pytest.mark.parametrize("n_classes", [2, 3])
def test_decisions_are_logits_and_their_softmax_is_the_probabilities(series, clf, n_classes):
    rows = np.isin(series.y, ["forest", "maize", "meadow"][:n_classes])
    series.X[:5] *= 1e6  # so sure that some probabilities are 0
    clf.fit(series.X[rows], series.y[rows], X_priv=series.X_priv[rows])
    probabilities = clf.predict_proba(series.X)
    decisions = clf.decision_function(series.X)
    logarithms = clf.predict_log_proba(series.X)
    assert np.isfinite(logarithms).all()
    np.testing.assert_allclose(np.exp(logarithms), probabilities)
    if n_classes == 2:
        assert decisions.shape == (120,)
        np.testing.assert_allclose(1 / (1 + np.exp(-decisions)), probabilities[:, 1])
        predicted = clf.classes_[(decisions > 0).astype(int)]
    else:
        assert decisions.shape == (120, 3)
        exponentials = np.exp(decisions - decisions.max(axis=1, keepdims=True))
        np.testing.assert_allclose(
            exponentials / exponentials.sum(axis=1, keepdims=True), probabilities
        )
        predicted = clf.classes_[decisions.argmax(axis=1)]
    np.testing.assert_array_equal(predicted, clf.predict(series.X))
