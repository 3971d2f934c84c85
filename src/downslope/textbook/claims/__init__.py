"""One file a claim: CLAIM says it, experiment(seeds) tries it."""
