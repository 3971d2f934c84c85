"""The playground: optimizers on test surfaces in one web page that needs nothing else, written by `page.write`."""
