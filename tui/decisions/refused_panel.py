"""The panel beside the decisions: which accounts were refused mail, how often, and from which sender last."""

from __future__ import annotations

from mailquota.core.base.errors import MailquotaError
from mailquota.core.control.messages import GetRefusals
from mailquota.core.control.results import Refusals

from ..desk.desk import Desk
from ..draw.format import Line
from ..widgets.background import background
from ..widgets.painted import Painted
from . import captions as feed_captions

EVERY = 2.0  # seconds


class RefusedPanel(Painted):
    """Asks the engine every 2 seconds while it is shown; the last answer stays if the engine is gone."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(id="refused")
        self._desk = desk
        self._report: Refusals | None = None
        self._asked_at = float("-inf")
        self._asking = False

    def on_resize(self) -> None:
        """Draw as many accounts as fit now."""
        self.show()

    def show(self) -> None:
        """Draw what differs, and ask again if the answer is old enough."""
        if not self.display or not self.size.height:
            return
        now = self._desk.steady()
        if not self._asking and now - self._asked_at >= EVERY:
            self._asked_at, self._asking = now, True
            self._ask()
        context, width = self._desk.context(), self.size.width - 1
        lines = feed_captions.refused(self._report, width, self.size.height, context, shadow=self._desk.shadow)
        edge = (context.glyphs.track, "faint")
        padded: list[Line] = [(edge, *line) for line in lines]
        self.paint(padded + [(edge,)] * (self.size.height - len(padded)))

    @background()
    async def _ask(self) -> None:
        try:
            self._report = await self._desk.link.ask(GetRefusals, Refusals)
        except MailquotaError:  # the head says that the engine is gone; asked again when it is time
            return
        finally:
            self._asking = False
        self.show()
