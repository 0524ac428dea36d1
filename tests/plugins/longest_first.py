"""For CI: the lives of the model take minutes each and begin first. What begins last would keep one core waiting."""

from __future__ import annotations

import pytest


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sorts the tests; otherwise their order stays."""
    items.sort(key=lambda item: not item.nodeid.startswith("tests/model/"))
