"""One class a model, and what all of them share."""
