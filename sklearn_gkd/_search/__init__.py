"""The search over the loss; users import it from `sklearn_gkd`."""
