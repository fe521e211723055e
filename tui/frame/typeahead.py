"""Handles keys strictly one after the other.

Textual gives a key to the widget that has the focus at that moment. If keys come fast, or together over a slow line,
``/near`` would open the filter with its first key while the other four are already on their way to the table, and the
``e`` among them would open a dialog. So a key waits here until the one before it was handled: a ``KeyDone`` is sent
behind each key and passes the same widgets up to the app. A screen that is just being made is waited for.
"""

from __future__ import annotations

import time
from collections import deque
from typing import Any, TypeVar

from textual import events
from textual.app import App
from textual.message import Message

T = TypeVar("T")
RETRY_SECONDS = 0.005  # until a screen that is being made is looked at again
LOST_SECONDS = 0.5  # without a KeyDone; a widget that is removed loses it


class KeyDone(Message):
    """Sent behind a key; it reaches the app once that key was handled."""


class TypeAheadApp(App[T], inherit_bindings=False):
    """An app that handles keys one by one."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._keys: deque[events.Key] = deque()
        self._key_sent: float | None = None  # loop time at which the key that is being handled was sent

    async def on_event(self, event: events.Event) -> None:
        """Keep a key back while another one is handled. A key passes here a second time on its way up from the
        widgets."""
        if isinstance(event, events.Key) and not event.is_forwarded:
            self._keys.append(event)
            if self._is_free():
                await self._let_through()
            else:
                self.set_timer(LOST_SECONDS, self._look_again)
        else:
            await super().on_event(event)

    def _is_free(self) -> bool:
        return self._key_sent is None or time.monotonic() - self._key_sent >= LOST_SECONDS

    async def _look_again(self) -> None:
        """Go on after half a second if the KeyDone was lost, as with a widget that was removed."""
        if self._keys and self._is_free():
            await self._let_through()

    async def on_key_done(self) -> None:
        """Handle the next key."""
        await self._let_through()

    async def _let_through(self) -> None:
        self._key_sent = None
        if not self._keys:
            return
        self._key_sent = time.monotonic()
        if not self.screen.is_mounted:
            self.set_timer(RETRY_SECONDS, self._let_through)
            return
        target = self.focused or self.screen
        await super().on_event(self._keys.popleft())
        # The KeyDone queues behind the key in the same widget, and comes up to the app when the key was handled. A
        # widget that is closing takes no messages any more.
        if not target.post_message(KeyDone()):
            await self._let_through()
