"""`world`: kernel, vault and token, deployed once per session; what a test does to it is undone after it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.contracts.kernel_support import USUAL, Economics, World

OpenWorld = Callable[..., World]


@pytest.fixture(scope="session")
def built_worlds() -> dict[tuple[str, Economics], World]:
    return {}


@pytest.fixture
def open_world(built_worlds: dict[tuple[str, Economics], World]) -> Iterator[OpenWorld]:
    """A world for a token (by the name of its artifact) and economics; each is deployed once per session."""
    opened: list[tuple[World, str]] = []

    def open_(token: str = "TestUSDC", economics: Economics = USUAL) -> World:
        key = (token, economics)
        if key not in built_worlds:
            built_worlds[key] = World(token, economics)
        world = built_worlds[key]
        opened.append((world, world.begin()))
        return world

    yield open_
    for world, before in opened:
        world.end(before)


@pytest.fixture
def world(open_world: OpenWorld) -> World:
    """The usual world: a token like USDC, and the economics of the public deployments."""
    return open_world()
