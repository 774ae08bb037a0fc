"""JSON files read piece by piece: the elements of the big arrays at the top, one at a time.

Only one element is ever in memory, however long the file.
"""

import io
import json
from collections.abc import Iterator
from typing import IO, Any

from app.core.errors import Invalid
from app.exchange.records import Opener

CHUNK = 1 << 16
LARGEST_ELEMENT = 1 << 24
_SPACE = " \t\n\r"


def read_elements(opener: Opener) -> Iterator[tuple[str, int, Any]]:
    """Every `(name, index, value)` of a file: elements of its top-level array (name "") or of the
    arrays that its top-level object has as members. Raises `Invalid` where the JSON breaks."""
    try:
        with io.TextIOWrapper(opener(), "utf-8-sig") as text:
            yield from _Scanner(text).elements()
    except UnicodeDecodeError as error:
        raise Invalid("The file is not UTF-8 text.") from error


def first_sign(opener: Opener) -> str:
    """The character that a JSON file begins with; "" when there is none."""
    with opener() as file:
        beginning = file.read(1024).decode("utf-8-sig", "ignore").lstrip(_SPACE)
    return beginning[:1]


class _Scanner:
    """A window that slides over the text; values are cut from its front."""

    def __init__(self, text: IO[str]) -> None:
        self._text = text
        self._window = ""
        self._passed = 0
        self._ended = False
        self._decoder = json.JSONDecoder()

    def elements(self) -> Iterator[tuple[str, int, Any]]:
        opening = self._take("[{")
        if opening == "[":
            yield from self._array("")
        else:
            yield from self._members()
        if self._peek():
            raise self._broken("something follows after the end")

    def _members(self) -> Iterator[tuple[str, int, Any]]:
        while self._peek() != "}":
            name = self._value()
            if not isinstance(name, str):
                raise self._broken("a member has no name")
            self._take(":")
            if self._peek() == "[":
                self._take("[")
                yield from self._array(name)
            else:
                yield name, 0, self._value()
            if self._peek() != "}":
                self._take(",")
        self._take("}")

    def _array(self, name: str) -> Iterator[tuple[str, int, Any]]:
        index = 0
        while self._peek() != "]":
            yield name, index, self._value()
            index += 1
            if self._peek() != "]":
                self._take(",")
        self._take("]")

    def _peek(self) -> str:
        """The next character that is no space; "" at the end."""
        while True:
            stripped = self._window.lstrip(_SPACE)
            self._passed += len(self._window) - len(stripped)
            self._window = stripped
            if stripped or not self._more(CHUNK):
                return stripped[:1]

    def _take(self, allowed: str) -> str:
        sign = self._peek()
        if not sign or sign not in allowed:
            raise self._broken(f"{' or '.join(allowed)} is missing")
        self._pass(1)
        return sign

    def _value(self) -> Any:
        self._peek()
        wanted = CHUNK
        while True:
            try:
                value, end = self._decoder.raw_decode(self._window)
            except (json.JSONDecodeError, RecursionError) as error:
                if len(self._window) > LARGEST_ELEMENT or not self._more(wanted):
                    raise self._broken("a value cannot be read") from error
                wanted *= 2
                continue
            # A number that ends with the window may go on behind it.
            if end == len(self._window) and self._more(CHUNK):
                continue
            self._pass(end)
            return value

    def _more(self, wanted: int) -> bool:
        if self._ended:
            return False
        chunk = self._text.read(wanted)
        self._ended = not chunk
        self._window += chunk
        return bool(chunk)

    def _pass(self, count: int) -> None:
        self._passed += count
        self._window = self._window[count:]

    def _broken(self, detail: str) -> Invalid:
        return Invalid(f"The JSON breaks at character {self._passed + 1:,}: {detail}.")
