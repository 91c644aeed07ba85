"""Published advisories of the installed packages, by pip-audit. Never fails for lack of a network or of a database.

python -m tests.lint.advisories
"""

from __future__ import annotations

import json
import subprocess
import sys

_PATIENCE = 120  # s
_COMMAND = ("-m", "pip_audit", "--local", "--progress-spinner", "off", "--format", "json")


def main() -> int:
    try:
        done = subprocess.run((sys.executable, *_COMMAND), capture_output=True, timeout=_PATIENCE, check=False)
        packages = json.loads(done.stdout)["dependencies"]
    except (OSError, subprocess.TimeoutExpired, ValueError, KeyError):
        print("advisories: not checked, because no database of them answers")
        return 0
    audited = [package for package in packages if "vulns" in package]
    if not audited:
        print("advisories: not checked, because the index knows none of the installed packages")
        return 0
    found = [(package, fault) for package in audited for fault in package["vulns"]]
    for package, fault in found:
        fixed = ", ".join(fault["fix_versions"]) or "no release"
        print(f"advisories: {package['name']} {package['version']}: {fault['id']}, fixed in {fixed}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
