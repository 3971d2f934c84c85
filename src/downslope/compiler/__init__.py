"""From a formula to a plan: read and trace it, simplify its graph, cut it into once per step and once per element."""
