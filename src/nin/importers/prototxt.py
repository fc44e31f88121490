"""Protocol buffers' text format, as Caffe's `.prototxt` files use it: names, values, nested messages, line numbers.

Only the syntax: nothing is known of Caffe's messages here. Extensions and `Any` expansions are refused, since no Caffe
file needs them. Source: the text format's public language specification.
"""

import math
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import NoReturn

from nin.errors import ModelError, escape_name

DEEPEST = 32  # messages in messages
MOST_FIELDS = 100_000
TOKEN = re.compile(
    r"""
    (?P<skip>[\s]+|\#[^\n]*)
    | (?P<text>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
    | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<number>[+-]?(?:0[xX][0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?[fF]?))
    | (?P<minus>-)
    | (?P<mark>[{}<>\[\]:;,])
    """,
    re.VERBOSE,
)
ESCAPES = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "'": "'", "\\": "\\"}


@dataclass(frozen=True)
class Token:
    """A piece of the text: kind ("text", "word", "number", "mark", "end"), what it says, its line."""

    kind: str
    text: str
    line: int


@dataclass(frozen=True)
class Message:
    """Fields in order: name -> values, each a Message or a Token. `file` and `line` say where it begins."""

    file: str
    line: int
    fields: dict[str, list["Message | Token"]] = field(default_factory=dict)

    @property
    def at(self) -> str:
        """Where it begins, for messages: "train.prototxt:12"."""
        return f"{self.file}:{self.line}"

    def where(self, name: str) -> str:
        """Where a field stands; where the message begins if it does not."""
        return f"{self.file}:{self.fields[name][0].line}" if name in self.fields else self.at

    def expect_only(self, what: str, known: str) -> None:
        """Raise ModelError for the first field that is not one of the words `known`: it may change what is computed."""
        for name in self.fields:
            if name not in known.split():
                raise ModelError(f"{self.where(name)}: {escape_name(name)} of {what} has no counterpart here")

    def messages(self, name: str) -> list["Message"]:
        """All values of a field, each of which has to be { ... }."""
        found = self.fields.get(name, [])
        for value in found:
            if not isinstance(value, Message):
                raise ModelError(f"{self.file}:{value.line}: {escape_name(name)} is a single value; expected {{ ... }}")
        return [value for value in found if isinstance(value, Message)]

    def message(self, name: str) -> "Message":
        """The value of a field that is { ... }; an empty message where there is none."""
        found = self.messages(name)
        self._once(name)
        return found[0] if found else Message(self.file, self.line)

    def tokens(self, name: str, kinds: Collection[str], what: str) -> list[Token]:
        """All values of a field, each of which has to be a token of one of the `kinds`."""
        found = self.fields.get(name, [])
        for value in found:
            if not isinstance(value, Token) or value.kind not in kinds:
                shown = escape_name(value.text)[:40] if isinstance(value, Token) else "{ ... }"
                raise ModelError(f"{self.file}:{value.line}: {escape_name(name)} is {shown}; expected {what}")
        return [value for value in found if isinstance(value, Token)]

    def numbers(self, name: str) -> list[float]:
        """All values of a field as finite numbers."""
        return [self._number(name, token) for token in self.tokens(name, ("number", "word"), "a number")]

    def number(self, name: str, default: float) -> float:
        """A field that may come once, as a finite number."""
        self._once(name)
        return next(iter(self.numbers(name)), default)

    def wholes(self, name: str) -> list[int]:
        """All values of a field as whole numbers of at least 0."""
        found = self.tokens(name, ("number",), "a whole number")
        for token in found:
            if not re.fullmatch(r"\d{1,9}|0[xX][0-9a-fA-F]{1,7}", token.text):
                raise ModelError(
                    f"{self.file}:{token.line}: {escape_name(name)} is {token.text[:40]}; "
                    "expected a whole number of at most nine digits"
                )
        return [int(token.text, 16 if token.text[:2].lower() == "0x" else 10) for token in found]

    def whole(self, name: str, default: int) -> int:
        """A field that may come once, as a whole number of at least 0."""
        self._once(name)
        return next(iter(self.wholes(name)), default)

    def texts(self, name: str) -> list[str]:
        """All values of a field as text: in quotation marks, or one of an enumeration's words."""
        return [token.text for token in self.tokens(name, ("text", "word", "number"), "text")]

    def text(self, name: str, default: str = "") -> str:
        """A field that may come once, as text."""
        self._once(name)
        return next(iter(self.texts(name)), default)

    def flag(self, name: str, default: bool) -> bool:
        """A field that may come once, as true or false."""
        text = self.text(name, str(default)).lower()
        if text not in ("true", "t", "1", "false", "f", "0"):
            raise ModelError(
                f"{self.where(name)}: {escape_name(name)} is {escape_name(text)[:40]}; expected true or false"
            )
        return text in ("true", "t", "1")

    def _once(self, name: str) -> None:
        found = self.fields.get(name, [])
        if len(found) > 1:
            raise ModelError(f"{self.file}:{found[1].line}: {escape_name(name)} comes twice; give it once")

    def _number(self, name: str, token: Token) -> float:
        try:
            text = token.text.rstrip("fF") if token.text[:2].lower() != "0x" else token.text
            value = float(int(text, 16)) if text[:2].lower() == "0x" else float(text)
        except (ValueError, OverflowError):
            value = math.nan
        if not math.isfinite(value):
            shown = escape_name(token.text)[:40]
            raise ModelError(f"{self.file}:{token.line}: {escape_name(name)} is {shown}; expected a finite number")
        return value


def parse_prototxt(text: str, file: str) -> Message:
    """The message that a text-format file spells out; `file` is its name, for messages.

    Raises ModelError in one line, with the line's number, for text that is no text format, for messages nested deeper
    than DEEPEST and for more than MOST_FIELDS fields.
    """
    return _Parser(text, file).message()


class _Parser:
    def __init__(self, text: str, file: str) -> None:
        self.file = file
        self.count = 0  # fields read so far
        self.tokens = _tokens(text, file)
        self.next = next(self.tokens)

    def message(self) -> Message:
        """Everything up to the end of the file; nesting is a stack here, so no depth can exhaust Python's own."""
        top = Message(self.file, 1)
        stack: list[tuple[Message, str]] = [(top, "")]
        while self.next.kind != "end" or len(stack) > 1:
            message, closing = stack[-1]
            token = self._take()
            if token.text == closing and token.kind == "mark":
                stack.pop()
                self._skip_separator()
                continue
            if token.kind != "word":
                self._refuse(token, f"a field's name{f' or {closing}' if closing else ''}")
            self.count += 1
            if self.count > MOST_FIELDS:
                raise ModelError(
                    f"{self.file}:{token.line}: more than {MOST_FIELDS:,} fields; this is no definition file"
                )
            values = message.fields.setdefault(token.text, [])
            colon = self._is(":")
            if self.next.kind == "mark" and self.next.text in "{<":
                opening = self._take()
                inner = Message(self.file, opening.line)
                values.append(inner)
                stack.append((inner, "}" if opening.text == "{" else ">"))
                if len(stack) > DEEPEST:
                    raise ModelError(f"{self.file}:{opening.line}: messages nested more than {DEEPEST} deep")
            elif not colon:
                self._refuse(self.next, f": or {{ after {escape_name(token.text)[:40]}")
            else:
                values += self._list() if self._is("[") else [self._value()]
                self._skip_separator()
        return top

    def _list(self) -> list[Token]:
        values: list[Token] = []
        while not self._is("]"):
            if values and not self._is(","):
                self._refuse(self.next, ", or ]")
            values.append(self._value())
        return values

    def _value(self) -> Token:
        """One value; strings that stand side by side are one string."""
        token = self._take()
        if token.kind == "minus":
            word = self._take()
            if word.kind != "word":
                self._refuse(word, "a number")
            return Token("word", f"-{word.text}", token.line)
        if token.kind not in ("text", "word", "number"):
            self._refuse(token, "a value")
        pieces = [token.text]
        while token.kind == "text" and self.next.kind == "text":
            pieces.append(self._take().text)
        return Token(token.kind, "".join(pieces), token.line)

    def _is(self, mark: str) -> bool:
        """Take the mark if it comes next."""
        if self.next.kind == "mark" and self.next.text == mark:
            self._take()
            return True
        return False

    def _skip_separator(self) -> None:
        if not self._is(";"):
            self._is(",")

    def _take(self) -> Token:
        token = self.next
        if token.kind != "end":
            self.next = next(self.tokens)
        return token

    def _refuse(self, token: Token, expected: str) -> NoReturn:
        found = "the end of the file" if token.kind == "end" else escape_name(token.text)[:40] or '""'
        raise ModelError(f"{self.file}:{token.line}: found {found}; expected {expected}")


def _tokens(text: str, file: str) -> Iterator[Token]:
    place = 0
    line = 1
    while place < len(text):
        match = TOKEN.match(text, place)
        if match is None or match.lastgroup is None:
            raise ModelError(f"{file}:{line}: found {escape_name(text[place])}; expected Caffe's text format")
        kind = match.lastgroup
        piece = match[0]
        if kind == "text":
            piece = re.sub(r"\\(.)", lambda found: ESCAPES.get(found[1], found[0]), piece[1:-1], flags=re.DOTALL)
        if kind != "skip":
            yield Token(kind, piece, line)
        line += match[0].count("\n")
        place = match.end()
    yield Token("end", "", line)
