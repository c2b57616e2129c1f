"""Recorded facts of a checkpoint, and the card, tables and curves that are made of them."""
