import numpy as np
import torch

from sklearn_gkd import GKDClassifier
from sklearn_gkd.teaching import teach


def test_targets_are_the_teachers_outputs_for_the_rows_it_sees(series, small):
    clf = GKDClassifier(small, small, random_state=0)
    clf.fit(series.X, series.y, X_priv=series.X_priv)
    seen = np.arange(120) % 3 != 0
    views = [series.X, series.X_priv]
    logits, features, taught = teach(clf.teacher_, views, seen, torch.device("cpu"))
    with torch.no_grad():
        expected = clf.teacher_.module_([torch.tensor(view[seen]) for view in views])
    torch.testing.assert_close(logits[seen], expected[0])
    torch.testing.assert_close(features[seen], expected[1])
    assert taught.tolist() == seen.astype(float).tolist()
    assert not logits[~seen].any()
    assert not features[~seen].any()
    probabilities = clf.teacher_predict_proba(series.X[seen], series.X_priv[seen])
    np.testing.assert_allclose(logits[seen].softmax(1), probabilities, rtol=1e-5)
