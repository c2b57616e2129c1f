"""Tasks that the Trainer trains: their inputs, losses and teachers."""
