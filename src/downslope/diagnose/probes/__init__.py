"""What is read of a run, and what that costs."""
