"""Answers of saved models, and their scores: predictions, metrics, intervals, tables."""
