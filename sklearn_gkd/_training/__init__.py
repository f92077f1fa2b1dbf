"""Train one net, or a cohort of nets side by side, and call it."""
