"""Capital letters as dots, so that drawing an initial needs no font."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

ROWS: Final = 7
COLUMNS: Final = 5
# Seven rows of five dots each, two hexadecimal digits a row.
LETTERS: Final = {
    "A": "0e11111f111111",
    "B": "1e11111e11111e",
    "C": "0e11101010110e",
    "D": "1e11111111111e",
    "E": "1f10101e10101f",
    "F": "1f10101e101010",
    "G": "0e11101713110f",
    "H": "1111111f111111",
    "I": "0e04040404040e",
    "J": "0702020202120c",
    "K": "11121418141211",
    "L": "1010101010101f",
    "M": "111b1515111111",
    "N": "11191513111111",
    "O": "0e11111111110e",
    "P": "1e11111e101010",
    "Q": "0e11111115120d",
    "R": "1e11111e141211",
    "S": "0f10100e01011e",
    "T": "1f040404040404",
    "U": "1111111111110e",
    "V": "11111111110a04",
    "W": "11111115151b11",
    "X": "11110a040a1111",
    "Y": "11110a04040404",
    "Z": "1f01020408101f",
}


def glyph(letter: str, scale: int) -> NDArray[np.bool_]:
    """The letter as a mask of `7 * scale` rows and `5 * scale` columns; blank if unknown."""
    rows = bytes.fromhex(LETTERS.get(letter.upper(), "00" * ROWS))
    dots = np.array([[row >> (COLUMNS - 1 - x) & 1 for x in range(COLUMNS)] for row in rows], bool)
    return dots.repeat(scale, axis=0).repeat(scale, axis=1)
