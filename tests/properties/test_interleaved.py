"""Two servers' transactions meet at every statement of one of them: what comes of it is what one after the other gives."""

from collections.abc import Iterator

import pytest

from tests.properties.pairs import PAIRS
from tests.properties.replicas import LONG, Replicas, interleaved, serial


@pytest.fixture(scope="module")
def replicas(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replicas]:
    """Two stores on one database."""
    replicas = Replicas(tmp_path_factory.mktemp("replicas"))
    yield replicas
    replicas.close()


@pytest.mark.parametrize("pair", PAIRS)
def test_every_interleaving_is_as_one_after_the_other(replicas: Replicas, pair: str) -> None:
    expected = serial(replicas, PAIRS[pair])
    for swapped in (False, True):
        found = interleaved(replicas, PAIRS[pair], swapped=swapped, every=1 if LONG else 4)
        assert found, "nothing was interleaved"
        for at, result in enumerate(found):
            assert result in expected, f"{pair}, swapped: {swapped}, before statement {at}"
