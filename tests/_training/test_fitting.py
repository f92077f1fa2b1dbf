import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.utils import check_random_state
from skorch import NeuralNetClassifier
from skorch.callbacks import Callback, EarlyStopping, LRScheduler
from torch.nn import functional as F

from sklearn_gkd import GKDClassifier, InterruptedFitWarning, SeriesClassifier
from sklearn_gkd.networks import MLP, SeriesNet


def plain_torch_student(clf, series, train, valid, seed):
    """Train the student of a fitted clf again, by a loop that knows nothing of skorch."""
    labels = torch.tensor(np.unique(series.y, return_inverse=True)[1])
    mean = series.X[train].mean(axis=(0, 1), dtype=np.float64).astype(np.float32)
    scale = series.X[train].std(axis=(0, 1), dtype=np.float64).astype(np.float32)
    X = torch.tensor((series.X - mean) / scale)
    with torch.no_grad():
        z_t, f_t = clf.teacher_.module_([torch.tensor(series.X), torch.tensor(series.X_priv)])
    torch.manual_seed(seed)
    net = MLP([(6, 2)], 3, width=16, features=8, head=8)
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-2)
    best, best_weights = -1.0, None
    for _ in range(clf.student.max_epochs):
        net.train()
        for batch in torch.randperm(len(train)).split(15):
            rows = torch.tensor(train)[batch]
            z, f = net(X[rows])
            loss = F.cross_entropy(z, labels[rows])
            loss += 2 * (f.sigmoid() - f_t[rows].sigmoid()).square().sum(1).mean()
            p = (z_t[rows] / 3).softmax(1)
            loss += 5 * 9 * F.kl_div((z / 3).log_softmax(1), p, reduction="batchmean")
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        net.eval()
        accuracy = (net(X[valid])[0].argmax(1) == labels[valid]).double().mean().item()
        if accuracy > best:
            best = accuracy
            best_weights = {name: value.clone() for name, value in net.state_dict().items()}
    return best_weights


def test_student_is_that_of_a_plain_torch_loop(series, small):
    train, valid = np.arange(0, 120, 2), np.arange(1, 120, 2)
    small.set_params(optimizer=torch.optim.SGD)  # Adam would magnify the last bit's rounding
    clf = GKDClassifier(small, small, beta=2, gamma=5, temperature=3, random_state=1)
    clf.fit(
        series.X[train],
        series.y[train],
        series.X_priv[train],
        X_val=series.X[valid],
        y_val=series.y[valid],
        X_priv_val=series.X_priv[valid],
    )
    seed = check_random_state(1).randint(np.iinfo(np.int32).max, size=3)[2]
    expected = plain_torch_student(clf, series, train, valid, int(seed))
    weights = clf.student_.module_.network.state_dict()
    assert weights.keys() == expected.keys()
    for name in expected:
        torch.testing.assert_close(weights[name], expected[name], rtol=1e-4, atol=1e-5)


def test_best_epoch_on_the_validation_rows_is_kept(series, small):
    clf = SeriesClassifier(small.set_params(max_epochs=30), random_state=0)
    train, valid = np.arange(0, 120, 2), np.arange(1, 120, 2)
    clf.fit(series.X[train], series.y[train], X_val=series.X[valid], y_val=series.y[valid])
    accuracies = clf.network_.history[:, "valid_acc"]
    assert max(accuracies) > accuracies[-1]
    assert clf.score(series.X[valid], series.y[valid]) == max(accuracies)


def test_n_iter_no_change_ends_training(series, small):
    clf = SeriesClassifier(
        small.set_params(max_epochs=200),
        n_iter_no_change=3,
        validation_fraction=0.2,
        random_state=0,
    )
    accuracies = clf.fit(series.X, series.y).network_.history[:, "valid_acc"]
    assert len(accuracies) < 200
    assert np.argmax(accuracies) == len(accuracies) - 4


def test_without_validation_rows_the_last_epoch_is_kept(series, small):
    clf = SeriesClassifier(small, validation_fraction=0, random_state=0).fit(series.X, series.y)
    assert len(clf.network_.history) == small.max_epochs
    assert "valid_acc" not in clf.network_.history[-1]


def test_what_only_training_needs_is_dropped(series, small):
    net = SeriesClassifier(small).fit(series.X, series.y).network_
    assert net.optimizer_ is None
    assert net.train_split is None
    assert not net.module_.training
    assert all(epoch["batches"] == [] for epoch in net.history)


def test_a_given_net_keeps_its_budget_and_is_not_changed(series):
    net = SeriesNet(
        "mlp", module__width=4, max_epochs=2, batch_size=50, optimizer=torch.optim.SGD, lr=0.5
    )
    before = net.get_params(deep=False)
    clf = SeriesClassifier(net, max_epochs=7, validation_fraction=0)
    with pytest.warns(UserWarning, match="max_epochs=7 of this SeriesClassifier do nothing"):
        clf.fit(series.X, series.y)
    assert len(clf.network_.history) == 2
    assert clf.network_.history[-1, "train_batch_count"] == 3
    assert net.get_params(deep=False) == before
    assert not net.initialized_


class Watch(Callback):
    """Keeps what it sees at the end of each epoch."""

    def on_train_begin(self, net, **kwargs):
        Watch.seen = []

    def on_epoch_end(self, net, **kwargs):
        Watch.seen.append(net.history[-1, "valid_acc"])


def test_given_callbacks_are_called_and_can_use_the_validation_accuracy(series, small):
    plateau = LRScheduler("ReduceLROnPlateau", monitor="valid_acc")
    halving = LRScheduler("StepLR", step_size=1, gamma=0.5)
    stopping = EarlyStopping("valid_acc", patience=3, lower_is_better=True)
    small.set_params(max_epochs=8)
    small.set_params(callbacks=[Watch(), ("plateau", plateau), ("halving", halving), stopping])
    clf = SeriesClassifier(small, validation_fraction=0.2, random_state=0)
    history = clf.fit(series.X, series.y).network_.history
    assert history[:, "valid_acc"] == Watch.seen
    assert history[2, "event_lr"] == pytest.approx(0.01 / 4)
    assert len(history) < 8


class Rates(Callback):
    """Keeps the learning rate of the last step of each epoch."""

    def on_train_begin(self, net, **kwargs):
        Rates.seen = []

    def on_epoch_end(self, net, **kwargs):
        Rates.seen.append(self.rate)

    def on_batch_begin(self, net, **kwargs):
        self.rate = net.optimizer_.param_groups[0]["lr"]


@pytest.mark.parametrize(
    "every", [{"step_size": 4}, {"step_size": 64, "step_every": "batch"}], ids=["epochs", "steps"]
)
def test_the_rate_of_larger_steps_falls_and_a_scheduler_goes_on_as_if_it_did_not(series, every):
    halving = LRScheduler("StepLR", gamma=0.5, **every)
    net = SeriesNet(
        "ensemble",
        module__n_members=2,
        module__width=4,
        lr=0.01,
        max_epochs=10,
        batch_size=None,
        callbacks=[Rates, halving],
    )
    SeriesClassifier(net).fit(np.repeat(series.X, 10, axis=0), np.repeat(series.y, 10))
    halved = [0.01] * 4 + [0.005] * 4 + [0.0025] * 2
    assert Rates.seen == pytest.approx(
        [*halved[:7], *np.multiply(halved[7:], [5 / 6, 3 / 6, 1 / 6])]
    )


def test_disabled_callbacks_print_nothing(series, small, capsys):
    small.set_params(callbacks="disable", verbose=1)
    clf = SeriesClassifier(small, random_state=0).fit(series.X, series.y)
    assert len(clf.network_.history) == small.max_epochs
    assert not capsys.readouterr().out


def test_a_skorch_classifier_can_be_student(series, small):
    student = NeuralNetClassifier(
        MLP,
        module__width=16,
        module__features=8,
        module__head=8,
        max_epochs=3,
        optimizer=torch.optim.Adam,
        verbose=0,
    )
    clf = GKDClassifier(small, student, random_state=0)
    clf.fit(series.X, series.y, X_priv=series.X_priv)
    assert len(clf.student_.history) == 3
    np.testing.assert_allclose(clf.predict_proba(series.X).sum(axis=1), 1)


class Exploding(MLP):
    """Its loss is no number from a training step on."""

    def __init__(self, *args, at, **params):
        super().__init__(*args, **params)
        self.at = at
        self.n_steps = 0

    def forward(self, *views):
        logits, features = super().forward(*views)
        self.n_steps += self.training
        return logits * (torch.nan if self.training and self.n_steps >= self.at else 1), features


@pytest.fixture
def exploding(small):
    return clone(small).set_params(module=Exploding, module__at=20, max_epochs=4)


def test_a_loss_that_is_no_number_leaves_the_best_epoch_before(series, exploding):
    clf = SeriesClassifier(exploding, validation_fraction=0.2, random_state=0)
    with pytest.warns(InterruptedFitWarning, match=r"in epoch 4, at a learning rate of 0.01.*best"):
        clf.fit(series.X, series.y)
    whole = SeriesClassifier(
        exploding.set_params(module__at=10**6, max_epochs=3),
        validation_fraction=0.2,
        random_state=0,
    )
    whole.fit(series.X, series.y)
    assert clf.network_.history[:, "train_loss"] == whole.network_.history[:, "train_loss"]
    np.testing.assert_array_equal(clf.predict_proba(series.X), whole.predict_proba(series.X))


@pytest.mark.parametrize("params", [{"at": 2, "validation_fraction": 0.2}, {"at": 20}])
def test_a_loss_that_is_no_number_is_an_error_where_nothing_can_be_kept(series, exploding, params):
    exploding.set_params(module__at=params.pop("at"))
    clf = SeriesClassifier(exploding, random_state=0, **params)
    with pytest.raises(ValueError, match=r"learning rate of 0.01. Give a smaller one, and series"):
        clf.fit(series.X, series.y)
    assert not hasattr(clf, "classes_")


def test_a_teacher_whose_loss_is_no_number_teaches_by_its_best_epoch(series, small, exploding):
    clf = GKDClassifier(exploding, small, validation_fraction=0.2, random_state=0)
    with pytest.warns(InterruptedFitWarning, match="The loss of the teacher"):
        clf.fit(series.X, series.y, X_priv=series.X_priv)
    assert len(clf.teacher_.history) == 3
    assert np.isfinite(clf.teacher_predict_proba(series.X, series.X_priv)).all()
