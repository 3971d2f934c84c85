"""What a step costs, beside its peers and beside what memory allows: `python -m benchmarks`."""
