"""A checkpoint's folder: checked, then put on the Hub."""
