"""One miniature checkout for all tests: making its environment takes a few seconds."""

from __future__ import annotations

import pytest

from tests.launcher import checkout as checkouts
from tests.launcher.checkout import Checkout


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout whose path has a space and letters outside ASCII, set up by the launcher itself."""
    made = checkouts.make(tmp_path_factory.mktemp("launcher") / "Grüße an Łódź")
    code, said = made.run("setup")
    assert code == 0, said
    assert "Installing requirements.txt (1 of 2)." in said
    assert "Installing requirements-models.txt (2 of 2)." in said
    return made
