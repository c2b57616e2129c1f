"""The models, one class each, and the code that they share."""
