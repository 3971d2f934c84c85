"""What runs or prints a graph: a table of operations each, and nothing imported until it is chosen."""
