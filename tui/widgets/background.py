"""Work in the background of a screen, a dialog or a widget."""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, TypeVar

from textual import work
from textual.css.query import NoMatches
from textual.widget import Widget
from textual.worker import Worker

P = ParamSpec("P")
W = TypeVar("W", bound=Widget)

Work = Callable[Concatenate[W, P], Coroutine[Any, Any, None]]
Started = Callable[Concatenate[W, P], Worker[None]]


def background(
    *, exclusive: bool = False, group: str = "default", outlives: bool = False
) -> Callable[[Work[W, P]], Started[W, P]]:
    """Textual's ``work``, for a widget that may be closed meanwhile. ``outlives``: the work goes on then.

    A screen that is closed loses its parts one by one before its work is cancelled. Work that queries such a part would
    then raise NoMatches and end the console; with this it ends quietly.
    """

    def decorate(method: Work[W, P]) -> Started[W, P]:
        @functools.wraps(method)
        async def guarded(widget: W, /, *arguments: P.args, **options: P.kwargs) -> None:
            try:
                await method(widget, *arguments, **options)
            except NoMatches:
                if widget.is_attached and widget.screen in widget.app.screen_stack:
                    raise

        @functools.wraps(method)
        def of_the_app(widget: W, /, *arguments: P.args, **options: P.kwargs) -> Worker[None]:
            return widget.app.run_worker(guarded(widget, *arguments, **options), name=method.__name__)

        started: Started[W, P] = work(guarded, exclusive=exclusive, group=group)
        return of_the_app if outlives else started

    return decorate
