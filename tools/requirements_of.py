"""Print what the one wheel of a folder requires, but for some packages: requirements_of.py FOLDER NAME ..."""

from __future__ import annotations

import sys
import zipfile
from email.parser import Parser
from pathlib import Path

from packaging.requirements import Requirement


def main() -> None:
    """Read the wheel's metadata."""
    folder, *without = sys.argv[1:]
    (wheel,) = Path(folder).glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        lines = Parser().parsestr(archive.read(name).decode()).get_all("Requires-Dist") or []
    for requirement in map(Requirement, lines):
        wanted = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if wanted and requirement.name.lower() not in without:
            requirement.marker = None
            print(requirement)


if __name__ == "__main__":
    main()
