"""Answers of saved models: predictions, metrics, intervals, tables."""
