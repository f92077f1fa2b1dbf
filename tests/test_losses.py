import numpy as np
import pytest
import torch

from sklearn_gkd.losses import (
    DistillationLoss,
    LabelLoss,
    LossWeights,
    QuantityDistillationLoss,
    QuantityLoss,
    distance,
    feature_reconstruction,
    imitation,
)


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


@pytest.fixture
def batch():
    rng = np.random.RandomState(0)
    return {
        "logits": rng.normal(size=(5, 3)),
        "features": rng.normal(size=(5, 4)),
        "labels": np.array([0, 2, 1, 1, 0]),
        "teacher_logits": rng.normal(size=(5, 3)),
        "teacher_features": rng.normal(size=(5, 4)),
        "taught": np.array([1.0, 0.0, 1.0, 1.0, 0.0]),
    }


def cross_entropy(batch):
    """Eq. 1."""
    return -np.log(softmax(batch["logits"])[np.arange(5), batch["labels"]]).mean()


def squared_distances(batch):
    """Eq. 2, a value for each row."""
    sigmoid_s = 1 / (1 + np.exp(-batch["features"]))
    sigmoid_t = 1 / (1 + np.exp(-batch["teacher_features"]))
    return ((sigmoid_t - sigmoid_s) ** 2).sum(axis=1)


def divergences(batch, tau):
    """Eq. 3, a value for each row."""
    p = softmax(batch["teacher_logits"] / tau)
    q = softmax(batch["logits"] / tau)
    return (p * np.log(p / q)).sum(axis=1) * tau**2


def evaluate(loss, batch):
    tensors = {name: torch.tensor(values) for name, values in batch.items()}
    output = tensors.pop("logits"), tensors.pop("features")
    return loss(output, list(tensors.values())).item()


def test_label_loss(batch):
    assert evaluate(LabelLoss(), batch) == pytest.approx(cross_entropy(batch))


def test_feature_reconstruction(batch):
    rows = feature_reconstruction(
        torch.tensor(batch["features"]), torch.tensor(batch["teacher_features"])
    )
    np.testing.assert_allclose(rows, squared_distances(batch))


@pytest.mark.parametrize("tau", [0.5, 1.0, 4.0])
def test_imitation(batch, tau):
    rows = imitation(torch.tensor(batch["logits"]), torch.tensor(batch["teacher_logits"]), tau)
    np.testing.assert_allclose(rows, divergences(batch, tau))


def test_imitation_of_a_certain_teacher_is_finite():
    student = torch.tensor([[0.0, 0.0]])
    teacher = torch.tensor([[500.0, -500.0]])
    assert imitation(student, teacher).item() == pytest.approx(np.log(2))


@pytest.mark.parametrize(
    ("alpha", "beta", "gamma"), [(1, 1, 10), (0.5, 2, 3), (1, 0, 0), (0, 1, 0), (0, 0, 1)]
)
def test_distillation_loss_is_equation_4_with_nothing_from_rows_not_taught(
    batch, alpha, beta, gamma
):
    taught = batch["taught"] == 1
    expected = (
        alpha * cross_entropy(batch)
        + beta * squared_distances(batch)[taught].sum() / 5
        + gamma * divergences(batch, 2.0)[taught].sum() / 5
    )
    assert evaluate(DistillationLoss(LossWeights(alpha, beta, gamma, 2.0)), batch) == pytest.approx(
        expected
    )


def test_a_batch_without_taught_rows_learns_from_its_labels(batch):
    batch["taught"][:] = 0
    assert evaluate(DistillationLoss(), batch) == pytest.approx(cross_entropy(batch))


def test_members_losses_are_averaged(batch):
    rng = np.random.RandomState(1)
    logits = rng.normal(size=(3, 5, 3))
    features = rng.normal(size=(3, 5, 4))
    target = [torch.tensor(batch[name]) for name in list(batch)[2:]]
    loss = DistillationLoss(LossWeights(0.7, 0.5, 3.0, 2.0), [0.5, 1.0, 4.0])
    of_members = [
        loss((torch.tensor(logits[i]), torch.tensor(features[i])), target).item() for i in range(3)
    ]
    target[2] = target[2].repeat(1, 3)
    output = torch.tensor(logits).transpose(0, 1), torch.tensor(np.concatenate(features, axis=1))
    assert loss(output, target).item() == pytest.approx(np.mean(of_members))


@pytest.mark.parametrize("class_weight", [None, [0.5, 1.0, 4.0]])
def test_a_row_weighs_in_every_term(batch, class_weight):
    weights = np.array([0.5, 3.0, 0.25, 1.0, 2.0])
    batch["labels"][3] = -1  # taught, without a label
    labelled = batch["labels"] >= 0
    of_rows = np.ones(3) if class_weight is None else np.array(class_weight)
    of_labels = weights[labelled] * of_rows[batch["labels"][labelled]]
    right = softmax(batch["logits"])[np.arange(5), batch["labels"]][labelled]
    taught = weights * batch["taught"]
    cross = -np.log(right) @ of_labels / of_labels.sum()
    expected = (
        0.5 * cross
        + 2 * squared_distances(batch) @ taught / weights.sum()
        + 3 * divergences(batch, 2.0) @ taught / weights.sum()
    )
    loss = DistillationLoss(LossWeights(0.5, 2, 3, 2.0), class_weight)
    assert evaluate(loss, {**batch, "weights": weights}) == pytest.approx(expected)
    alone = {name: batch[name] for name in ("logits", "features", "labels")}
    loss = LabelLoss(class_weight)
    assert evaluate(loss, {**alone, "weights": weights}) == pytest.approx(cross)


def test_weights_of_1_change_no_bit(batch):
    for kept in (3, 6):
        some = dict(list(batch.items())[:kept])
        loss = LabelLoss([1.0, 2.0, 5.0]) if kept == 3 else DistillationLoss()
        assert evaluate(loss, {**some, "weights": np.ones(5)}) == evaluate(loss, some)


@pytest.fixture
def numbers():
    """Two numbers of each of five rows, of which the fourth has no label."""
    rng = np.random.RandomState(0)
    labels = rng.normal(size=(5, 2))
    labels[3] = np.nan
    return {
        "logits": 2 * rng.normal(size=(5, 2)),
        "features": rng.normal(size=(5, 4)),
        "labels": labels,
        "teacher_logits": rng.normal(size=(5, 2)),
        "teacher_features": rng.normal(size=(5, 4)),
        "taught": np.array([1.0, 0.0, 1.0, 1.0, 0.0]),
    }


OF_NUMBERS = {
    "squared_error": np.square,
    "absolute_error": np.abs,
    "huber": lambda e: np.where(np.abs(e) < 1, e**2 / 2, np.abs(e) - 0.5),
}


@pytest.mark.parametrize("kind", OF_NUMBERS)
def test_loss_of_a_quantity(numbers, kind):
    errors = OF_NUMBERS[kind](numbers["logits"] - numbers["labels"]).sum(axis=1)
    assert evaluate(QuantityLoss(kind), numbers) == pytest.approx(np.nanmean(errors))
    teacher = torch.tensor(numbers["teacher_logits"])
    rows = distance(torch.tensor(numbers["logits"]), teacher, kind)
    expected = OF_NUMBERS[kind](numbers["logits"] - numbers["teacher_logits"]).sum(axis=1)
    np.testing.assert_allclose(rows, expected)


def test_distillation_of_a_quantity_is_by_the_rows_of_a_batch(numbers):
    loss = QuantityDistillationLoss(LossWeights(0.7, 0.5, 3.0), "absolute_error")
    label = np.nanmean(np.abs(numbers["logits"] - numbers["labels"]).sum(axis=1))
    taught = numbers["taught"] / 5
    of_features = squared_distances(numbers) @ taught
    of_numbers = ((numbers["logits"] - numbers["teacher_logits"]) ** 2).sum(axis=1) @ taught
    expected = 0.7 * label + 0.5 * of_features + 3 * of_numbers
    assert evaluate(loss, numbers) == pytest.approx(expected)


def test_rows_of_a_quantity_weigh_as_told_and_those_without_a_label_have_no_gradient(numbers):
    weights = np.array([0.5, 2.0, 1.0, 3.0, 0.5])
    predicted = torch.tensor(numbers["logits"], requires_grad=True)
    loss = QuantityLoss()((predicted,), (torch.tensor(numbers["labels"]), torch.tensor(weights)))
    errors = ((numbers["logits"] - numbers["labels"]) ** 2).sum(axis=1)
    labelled = [0, 1, 2, 4]
    expected = np.average(errors[labelled], weights=weights[labelled])
    assert loss.item() == pytest.approx(expected)
    loss.backward()
    assert predicted.grad.isfinite().all()
    assert predicted.grad.abs().sum(dim=1).bool().tolist() == [True, True, True, False, True]


def test_a_quantity_s_members_and_candidates_side_by_side_have_the_losses_of_each(numbers):
    tensors = {name: torch.tensor(values) for name, values in numbers.items()}
    target = [tensors[name] for name in list(numbers)[2:]]
    outputs = torch.randn(3, 5, 4, 2, dtype=torch.float64)  # candidates, rows, members, numbers
    features = torch.randn(3, 5, 4, dtype=torch.float64)
    weights = LossWeights(0.7, 0.0, 3.0)
    of_each = [
        torch.stack(
            [QuantityDistillationLoss(weights)((one[:, j], None), target) for j in range(4)]
        ).mean()
        for one in outputs
    ]
    together = QuantityDistillationLoss(weights)((outputs, features), target)
    np.testing.assert_allclose(together, of_each)
