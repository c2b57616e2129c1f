"""Roles, what a checkpoint's folder holds, what the environment chooses, and where a checkpoint comes from."""
