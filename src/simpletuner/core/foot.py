"""What a signal is answered with on a terminal whose bars are drawn again and again, over whatever else is written."""

from __future__ import annotations


class Foot:
    """A line below the bars. A signal handler may set ``text``: nothing is locked or printed for it.

    While ``shown`` somebody draws the line; else whoever has something to say writes it himself.
    """

    def __init__(self) -> None:
        self.text = ""
        self.shown = False
