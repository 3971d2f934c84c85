"""The published rules, re-implemented from their documents, for comparison."""
