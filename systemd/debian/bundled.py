"""Names the Python packages inside the Debian package, with versions and licences: `bundled.py FOLDER …`."""

from __future__ import annotations

import sys
from importlib.metadata import distributions

print("Python packages below /usr/lib/meshd, with the licences that they name. Their texts are in *.dist-info there.\n")
for each in sorted(distributions(path=sys.argv[1:]), key=lambda found: found.name.lower()):
    said = each.metadata
    licences = [line.rpartition(":: ")[2] for line in said.get_all("Classifier", []) if line.startswith("License ::")]
    named = said.get("License-Expression") or "; ".join(licences) or (said.get("License") or "").split("\n")[0]
    print(f"{each.name} {each.version}: {named or 'see its text'}")
