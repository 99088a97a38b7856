"""Puts into a wheel what lies beside the package in a checkout: pyproject.toml has the rest."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).parent
DATA = ("fixtures", "kind-configs")
LEFT_OUT = shutil.ignore_patterns("__pycache__", ".mypy_cache", ".ruff_cache")


class WithData(build_py):
    """conformance/data is made here, and never in a checkout (see conformance.machine.paths)."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        for name in DATA:
            made = Path(self.build_lib, "conformance", "data", name)
            shutil.rmtree(made, ignore_errors=True)
            # A wheel holds no links, so what they lead to is copied.
            shutil.copytree(HERE / name, made, ignore=LEFT_OUT)


setup(cmdclass={"build_py": WithData})
