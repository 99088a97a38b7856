"""The rules, a module for each group. A new rule is one function with its row; it is known as soon
as it stands in a module that is named here."""

from conformance.audit.rules import account, injectors, jobs, network, order, pattern, stop, tools

__all__ = ["account", "injectors", "jobs", "network", "order", "pattern", "stop", "tools"]
