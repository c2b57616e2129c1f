"""What every script shares: command line, clock, release, and trainings of their own."""
