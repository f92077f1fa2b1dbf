import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import StandardScaler

from sklearn_gkd import GKDClassifier
from sklearn_gkd.eo import GapFiller

RED, NIR = slice(0, 12), slice(12, 24)  # the columns of the fixture `table`
SOURCES = [("red", "passthrough", RED, 2), ("nir", "passthrough", NIR, (6, 2))]


@pytest.fixture
def clf(small):
    return GKDClassifier(small, small, priv_sources=SOURCES, random_state=0)


def test_parameters_of_sources_are_parameters(series, table, clf):
    scaled = [("red", StandardScaler(), RED, 2), SOURCES[1]]
    clf.set_params(priv_sources=scaled)
    copy = clone(clf).set_params(red__with_mean=False, nir=GapFiller(n_channels=2))
    assert not copy.get_params()["red"].with_mean
    assert copy.get_params()["nir__n_channels"] == 2
    assert scaled[0][1].with_mean
    assert clf.get_params()["nir"] == "passthrough"
    grid = {"red__with_mean": [True, False], "nir": ["passthrough", StandardScaler()]}
    search = GridSearchCV(clf, grid, cv=2).fit(series.X, series.y, X_priv=table)
    assert len(search.cv_results_["params"]) == 4
    names, transformers, columns, shapes = zip(*search.best_estimator_.priv_sources_, strict=True)
    assert names == ("red", "nir")
    assert hasattr(transformers[0], "mean_")
    assert columns[1] == list(range(12, 24))
    assert shapes == ((6, 2), (6, 2))


def test_a_parameter_that_is_refused_changes_no_source():
    clf = GKDClassifier(priv_sources=SOURCES)
    with pytest.raises(ValueError, match="student__lr cannot be set"):
        clf.set_params(red=StandardScaler(), student__lr=0.1)
    assert clf.priv_sources == SOURCES


def test_what_one_source_has_is_asked_of_several(series, table, clf):
    clf.fit(series.X, series.y, X_priv=table)
    assert not hasattr(clf, "priv_shape_")
    with pytest.raises(AttributeError, match=r"X_priv has 2 sources, each .*: see priv_sources_"):
        clf.priv_transformer_  # noqa: B018


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        ([SOURCES[0], SOURCES[0]], "priv_sources: Names provided are not unique"),
        ([("red__1", "passthrough", RED, 2)], "priv_sources: .* must not contain __"),
        ([("alpha", "passthrough", RED, 2)], "priv_sources: .* conflict with constructor"),
    ],
)
def test_names_of_sources_are_those_of_parameters(series, table, clf, sources, message):
    clf.set_params(priv_sources=sources)
    with pytest.raises(ValueError, match=message):
        clf.fit(series.X, series.y, X_priv=table)


def test_a_source_and_its_parameters_are_set_at_once():
    sources = [("optical", StandardScaler(), slice(0, 4), 2)]
    clf = GKDClassifier().set_params(priv_sources=sources, optical__with_std=False)
    assert clf.get_params()["optical__with_std"] is False
