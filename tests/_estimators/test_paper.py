from sklearn_gkd import PAPER_SETTINGS, GKDClassifier


def test_paper_settings():
    params = GKDClassifier(**PAPER_SETTINGS).get_params(deep=False)
    assert (params["teacher"], params["student"]) == ("cnn", "mlp")
    assert (params["alpha"], params["beta"], params["gamma"], params["temperature"]) == (
        1,
        1,
        10,
        1,
    )
    assert (params["lr"], params["batch_size"], params["max_epochs"]) == (5e-5, 32, 5000)
    assert params["n_iter_no_change"] is None
