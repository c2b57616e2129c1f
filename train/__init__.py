"""Training scripts: they learn from a data set what `hub_models` saves and the page loads."""
