"""Hazards of sidecars in manifests, or in a cluster, found by reading alone.

Nothing is created or run. Each rule (rules/) names the behaviour of the catalogue that proves its
hazard on a real cluster.
"""
