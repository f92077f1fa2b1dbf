"""The paper's settings of the classifier."""

PAPER_SETTINGS = {
    "teacher": "cnn",
    "student": "mlp",
    "alpha": 1.0,
    "beta": 1.0,
    "gamma": 10.0,
    "temperature": 1.0,
    "distillation": "always",
    "lr": 5e-5,
    "batch_size": 32,
    "max_epochs": 5000,
    "validation_fraction": 0.2,
    "n_iter_no_change": None,
}
"""The hyperparameters of Ienco et al. (2020), as keyword arguments of `GKDClassifier`."""
