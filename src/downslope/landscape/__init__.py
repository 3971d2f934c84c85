"""What optimizers walk on: classic test surfaces with real paths on them, and slices of the loss of a network."""
