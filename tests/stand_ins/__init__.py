"""Stand-ins that runs of the plugin in subprocesses load with ``-p``."""
