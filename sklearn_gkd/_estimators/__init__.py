"""The estimators; users import them from `sklearn_gkd`."""
