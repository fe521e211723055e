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
from textual.widget import Widget

T = TypeVar("T")
RETRY_SECONDS = 0.005  # until a screen that is being made is looked at again
WATCH_SECONDS = 0.02  # until it is looked at again whether the KeyDone was lost
LOST_SECONDS = 10.0  # without a KeyDone though its widget is still there; a handler that hangs must not take all keys


class KeyDone(Message):
    """Sent behind a key; it reaches the app once that key was handled. A widget that is removed loses it."""


class TypeAheadApp(App[T], inherit_bindings=False):
    """An app that handles keys one by one."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._keys: deque[events.Key] = deque()
        self._key_sent: float | None = None  # steady time at which the key that is being handled was sent
        self._key_target: Widget | None = None  # the widget that it was sent to
        self._watching = False

    async def on_event(self, event: events.Event) -> None:
        """Keep a key back while another one is handled. A key passes here a second time on its way up from the
        widgets."""
        if isinstance(event, events.Key) and not event.is_forwarded:
            self._keys.append(event)
            if self.is_free:
                await self._let_through()
            else:
                self._watch()
        else:
            await super().on_event(event)

    @property
    def is_free(self) -> bool:
        """Whether no key is being handled.

        A busy machine may take long over one, which is no reason to give the next key to the wrong widget.
        """
        if self._key_sent is None:
            return True
        gone = self._key_target is not None and not self._key_target.is_attached
        return gone or time.monotonic() - self._key_sent >= LOST_SECONDS

    @property
    def keys_wait(self) -> bool:
        """Whether keys wait for the one that is being handled."""
        return bool(self._keys)

    def _watch(self) -> None:
        if not self._watching:
            self._watching = True
            self.set_timer(WATCH_SECONDS, self._look_again)

    async def _look_again(self) -> None:
        """Go on if the KeyDone was lost, as with a widget that was removed."""
        self._watching = False
        if self._keys and self.is_free:
            await self._let_through()
        if self._keys:
            self._watch()

    async def on_key_done(self) -> None:
        """Handle the next key."""
        await self._let_through()

    async def _let_through(self) -> None:
        self._key_sent = self._key_target = None
        if not self._keys:
            return
        self._key_sent = time.monotonic()
        if not self.screen.is_mounted:
            self.set_timer(RETRY_SECONDS, self._let_through)
            return
        self._key_target = target = self.focused or self.screen
        await super().on_event(self._keys.popleft())
        # The KeyDone queues behind the key in the same widget, and comes up to the app when the key was handled. A
        # widget that is closing takes no messages any more.
        if not target.post_message(KeyDone()):
            await self._let_through()
