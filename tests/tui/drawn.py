"""The screen of a terminal that knows the few sequences that the console draws with."""

from __future__ import annotations

import re

# A sequence of ours; any other one, which is left out; a sign.
_PARTS = re.compile(r"\x1b\[([0-9;]*)([HLMmr])|\x1b(?:\[[0-?]*[ -/]*[@-~]|[P\]^_].*?(?:\x1b\\|\x07)|.)|(.)", re.DOTALL)
Cell = tuple[str, frozenset[str], str, str]  # sign, marks, foreground, background
BLANK: Cell = (" ", frozenset(), "39", "49")


class Drawn:
    """A terminal that knows the few sequences that are sent."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.lines = [[BLANK] * width for _y in range(height)]
        self.x = self.y = 0
        self.top, self.bottom = 0, height - 1
        self.marks: frozenset[str] = frozenset()
        self.fore, self.back = "39", "49"

    def feed(self, text: str) -> None:
        """Take what is sent."""
        for numbers, order, sign in _PARTS.findall(text):
            if sign < " " and not order:
                continue  # another sequence, or a line feed between lines that are placed anyway
            if sign:
                self.lines[min(self.y, self.height - 1)][self.x] = self.cell(sign)
                self.x = min(self.x + 1, self.width - 1)
            elif order == "m":
                self.paint(numbers.split(";"))
            else:
                self.move([int(number) for number in numbers.split(";") if number], order)

    def cell(self, sign: str) -> Cell:
        """In the present style; the foreground of a plain blank can't be seen."""
        plain = sign == " " and not self.marks & {"4", "7"}
        return sign, self.marks & {"4", "7"} if plain else self.marks, "39" if plain else self.fore, self.back

    def paint(self, codes: list[str]) -> None:
        """A change of the style."""
        while codes:
            code = codes.pop(0)
            if code in {"0", ""}:
                self.marks, self.fore, self.back = frozenset(), "39", "49"
            elif code in {"38", "48"}:
                colour, codes = ";".join([code, *codes[:4]]), codes[4:]
                self.fore, self.back = (colour, self.back) if code == "38" else (self.fore, colour)
            elif code[0] in "34" and len(code) == 2:
                self.fore, self.back = (code, self.back) if code[0] == "3" else (self.fore, code)
            else:
                self.marks |= {code}

    def move(self, numbers: list[int], order: str) -> None:
        """The cursor, the scroll region, or lines in it."""
        if order == "H":
            self.y, self.x = numbers[0] - 1, numbers[1] - 1
        elif order == "r":
            self.top, self.bottom = (numbers[0] - 1, numbers[1] - 1) if numbers else (0, self.height - 1)
        else:
            count, region = numbers[0], self.lines[self.y : self.bottom + 1]
            new = [[BLANK] * self.width for _y in range(count)]
            region = [*new, *region[:-count]] if order == "L" else [*region[count:], *new]
            self.lines[self.y : self.bottom + 1] = region

    @property
    def text(self) -> str:
        """What can be read on it."""
        return "\n".join("".join(cell[0] for cell in line) for line in self.lines)
