"""Answers that a test is given are held against approved ones."""

from __future__ import annotations

from tests.approved.given import pytest_pyfunc_call, pytest_runtest_setup, unapproved

__all__ = ["pytest_pyfunc_call", "pytest_runtest_setup", "unapproved"]
