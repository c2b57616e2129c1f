"""Code that every script shares: command line, clock, release, and trainings as processes of their own."""
