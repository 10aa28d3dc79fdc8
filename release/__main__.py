"""Builds a release into dist/ and checks it, without a network; see RELEASING.md."""

import hashlib
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from release import archives, readiness

ROOT: Final = Path(__file__).parents[1]
TRIALS: Final = "tests/system/test_packages.py"


def main() -> int:
    """Refuse, or end with what is to be uploaded."""
    refused = readiness.problems(ROOT, datetime.now(UTC).date())
    if refused:
        return _refuse(refused)
    dist, version = ROOT / "dist", readiness.version(ROOT)
    shutil.rmtree(dist, ignore_errors=True)
    dist.mkdir()
    built = archives.build(ROOT, dist)
    refused = archives.problems(ROOT, built)
    if refused:
        return _refuse(refused)
    print(f"{built.sdist.name} and {built.wheel.name} have what git has; the sdist builds the same wheel")
    line = [sys.executable, "-m", "pytest", "-q", "-m", "system", TRIALS]
    tried = subprocess.run(line, cwd=ROOT, check=False, env={**os.environ, "RELEASE_DIST": str(dist)})  # noqa: S603 - pytest
    if tried.returncode:
        return _refuse([f"installed alone, it does not work: {TRIALS}"])
    sums = "".join(f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in sorted(built))
    (dist / "SHA256SUMS").write_text(sums)
    print(f"\ndist/SHA256SUMS\n{sums}\n{version} is ready. Next, as RELEASING.md says:\n  git tag -a v{version} -m {version}")
    print(f"  git push origin v{version}\n  upload dist/*.tar.gz and dist/*.whl, and dist/SHA256SUMS beside the notes")
    return 0


def _refuse(told: list[str]) -> int:
    print("\n".join(("No release:", *(f"- {one}" for one in told))), file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
