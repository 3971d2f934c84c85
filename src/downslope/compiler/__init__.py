"""From a formula to a plan: read and trace it, simplify its graph, plan what runs once a step and what runs once an element."""
