"""What is wrong with a training run, why, and what to do."""
