"""Reports of many nodes as one: what holds everywhere, what breaks somewhere, and where."""
