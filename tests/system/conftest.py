"""What takes long to make, and is made once."""

from pathlib import Path

import pytest

from tests.image.build import build


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """The root of the image, and its variables."""
    return build(tmp_path_factory.mktemp("image"))
