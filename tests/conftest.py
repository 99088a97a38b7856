"""Puts this folder on the path: all tests of readers and judges share the forge of bundles."""
