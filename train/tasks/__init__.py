"""What the Trainer trains: inputs, losses, teachers."""
