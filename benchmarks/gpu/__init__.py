"""What a step costs on a GPU, beside its peers and the rate of a copy: `python -m benchmarks.gpu`."""
