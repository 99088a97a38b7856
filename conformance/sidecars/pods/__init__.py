"""Pods as their owner wrote them, with the suite's program in the place of the app's."""
