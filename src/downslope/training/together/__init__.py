"""Runs that train together: parameters stacked, one forward, backward and optimizer step for all."""
