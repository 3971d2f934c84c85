"""What the docs' site has beside docs/*.md: pages made of the code, read by mkdocs through `hooks.py`."""
