"""Puts a copy of the product's `core/license.py` into the tool's wheel and sdist, under the name that it has there."""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

CORE = "coovox_billing/core/license.py"


class CopyOfTheCore(BuildHookInterface):
    """In the product's tree the original is next door; an unpacked sdist holds its own copy."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Name the file to be included."""
        root = Path(self.root)
        found = next((path for path in (root / CORE, root.parent / CORE) if path.is_file()), None)
        if found is None:
            raise FileNotFoundError(f"{CORE} is missing: build from the product's tree, or from an sdist made there")
        build_data["force_include"][str(found)] = CORE
