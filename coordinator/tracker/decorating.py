"""The guard as a decorator, for functions, coroutines and generators of both kinds."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import aclosing, closing
from typing import Any, ParamSpec, TypeVar, cast

from actp.errors import InvalidInput
from coordinator.tracker.awaiting import AsyncTracker
from coordinator.tracker.guarding import Budget, Call
from coordinator.tracker.words import Amount, Tracker

__all__ = ["guarded"]

_P = ParamSpec("_P")
_R = TypeVar("_R")
_Scopes = str | Sequence[str]


def guarded(
    tracker: Budget | Tracker | AsyncTracker,
    *,
    scopes: _Scopes | Callable[..., _Scopes] = (),
    estimate: Amount | Callable[..., Amount],
    actual: Callable[[Any], Amount | None] | None = None,
) -> Callable[[Callable[_P, _R]], Callable[_P, _R]]:
    """Guards every call of a function with a `Budget`, or with one over this tracker. `scopes` and `estimate` are the
    same for all calls, or functions of their arguments; `actual` says of a result what it has cost, None if it does not
    know, in which case the estimate counts. Everything else is as with `Budget.spend`.

    A generator is one call from its first item to its end, and `actual` is asked about the last item; one that is
    closed early has an unknown cost, so that the estimate counts.
    """
    budget = tracker if isinstance(tracker, Budget) else Budget(tracker)

    def begin(*args: Any, **named: Any) -> Call:
        where = scopes(*args, **named) if callable(scopes) else scopes
        return budget.spend(where, estimate=estimate(*args, **named) if callable(estimate) else estimate)

    def note(call: Call, result: Any) -> None:
        cost = None if actual is None else actual(result)
        if cost is not None:
            call.actual = cost

    def decorate(function: Callable[_P, _R]) -> Callable[_P, _R]:
        do: Callable[..., Any] = function
        made: Callable[..., Any]
        if _is(inspect.isasyncgenfunction, function):

            async def made(*args: Any, **named: Any) -> AsyncGenerator[Any, None]:
                async with begin(*args, **named) as call, aclosing(do(*args, **named)) as stream:
                    last = None
                    async for last in stream:
                        yield last
                    note(call, last)

        elif _is(inspect.isgeneratorfunction, function):

            def made(*args: Any, **named: Any) -> Generator[Any, None, None]:
                with begin(*args, **named) as call, closing(do(*args, **named)) as stream:
                    last = None
                    for last in stream:
                        yield last
                    note(call, last)

        elif _is(inspect.iscoroutinefunction, function):

            async def made(*args: Any, **named: Any) -> Any:
                async with begin(*args, **named) as call:
                    result = await do(*args, **named)
                    note(call, result)
                    return result

        else:

            def made(*args: Any, **named: Any) -> Any:
                with begin(*args, **named) as call:
                    result = do(*args, **named)
                    if inspect.isawaitable(result) or inspect.isgenerator(result) or inspect.isasyncgen(result):
                        # It has only been made; its call would run when nothing is reserved for it any more.
                        if inspect.iscoroutine(result):
                            result.close()
                        call.not_charged()
                        raise InvalidInput(
                            f"{function!r} returns something that runs later, so its call cannot be guarded.",
                            hint="Decorate the `async def` or the generator function itself.",
                        )
                    note(call, result)
                    return result

        return cast("Callable[_P, _R]", functools.wraps(function)(made))

    return decorate


def _is(kind: Callable[[Any], bool], function: Callable[..., Any]) -> bool:
    """Whether a function, or what a partial or an object does when it is called, is of this kind."""
    while isinstance(function, functools.partial):
        function = function.func
    return kind(function) or kind(getattr(function, "__call__", None))  # noqa: B004
