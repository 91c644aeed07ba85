"""`select`: which models belong to a pool, and which of them are preferred, by an expression over what they are.

Owns: the expression language and its evaluation.
Must never: reach Python itself: no calls but the listed functions, no attributes but a model's own.

The language is the part of Python's expressions that Python's own parser reads and the table `_Compiler` knows; every
other node is refused. What is compiled are closures over the attributes' readers: nothing is ever evaluated by Python.

A boolean decides membership. A number is also a score, the higher the better: over static attributes it orders the
pool's members; over live ones it comes before the strategy, which decides between equals. `boolean and number` scores
some models and leaves the others out. A comparison with an unknown value is false, and an unknown score leaves the
model out.
"""

from __future__ import annotations

import ast
import operator
import re
import warnings
from collections.abc import Callable, Mapping
from fnmatch import translate
from math import isfinite, isnan
from typing import Any, Literal, NamedTuple

from meshd.routing.select.attributes import ATTRIBUTES, Kind, Live, Reader, SelectionError, Value
from meshd.routing.table.specs import ModelSpec
from modelmesh.wording import likeliest

LONGEST = 2000
"""Characters of an expression."""
DEEPEST = 50
"""Levels of nesting."""


class Selection:
    """A compiled expression. live: it names attributes that change while requests run (latency, failures, headroom),
    so that it is evaluated at each decision; others decide membership when the table is built. scores: it gives a
    number rather than a truth."""

    def __init__(self, text: str, kind: Kind, read: Reader, live: bool) -> None:
        self.text = text
        self.live = live
        self.scores = kind == "number"
        self._read = read

    def score(self, model: ModelSpec, live: Live | None = None) -> float | None:
        """None: not selected. Otherwise higher is better; true is 1. Live attributes are unknown without `live`."""
        value = self._read(model, live)
        if not self.scores:
            return 1.0 if value else None
        return None if value is None or isnan(value) else float(value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Selection) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return f"Selection({self.text!r})"


def compile_selection(text: str) -> Selection:
    """Raises SelectionError."""
    if len(text) > LONGEST:
        raise SelectionError(f"has {len(text)} characters; at most {LONGEST} are allowed")
    for character in "\\#":
        if character in text:
            raise SelectionError(f"{character} is not part of the language", text.index(character) + 1)
    line = re.sub(r"\s", " ", text)
    begin = len(line) - len(line.lstrip())
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(line.strip(), mode="eval")
    except SyntaxError as error:
        raise SelectionError(f"cannot be read: {error.msg}", begin + (error.offset or 1)) from None
    except (ValueError, MemoryError, RecursionError):
        raise SelectionError("cannot be read") from None
    compiler = _Compiler(line, begin)
    part = compiler.compile(tree.body)
    if part.kind not in ("truth", "number"):
        raise SelectionError(f"is {_A[part.kind]}; expected a condition, or a number to prefer models by")
    return Selection(text.strip(), part.kind, part.read, compiler.live)


# -- the language --------------------------------------------------------------------------------------

_A: Mapping[Kind, str] = {"truth": "a condition", "number": "a number", "text": "a text", "list": "a list"}


class _Part(NamedTuple):
    """A compiled node. items: of a list written in the expression, what it holds. constant: of a literal, its value."""

    kind: Kind
    read: Reader
    items: Kind = "text"
    constant: Value = None


_ARITHMETIC: Mapping[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_COMPARED: Mapping[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda item, within: item in within,
    ast.NotIn: lambda item, within: item not in within,
}
_CONSTANTS = {"true": True, "false": False, "True": True, "False": False}
FUNCTIONS: Mapping[str, str] = {
    "min": "two numbers or more",
    "max": "two numbers or more",
    "abs": "a number",
    "known": "an attribute",
    "default": "an attribute, and a value to use if it is unknown",
    "startswith": "two texts",
    "endswith": "two texts",
    "matches": 'a text and a pattern like "gpt-*"',
}
"""The functions, and what each takes."""


class _Compiler:
    """One pass over one expression. Unknown values stay None throughout."""

    def __init__(self, text: str, begin: int) -> None:
        self.live = False
        self._text = text
        self._begin = begin

    def compile(self, node: ast.expr, depth: int = 0) -> _Part:
        if depth > DEEPEST:
            raise self._error(node, f"is nested more than {DEEPEST} deep")
        deeper = depth + 1
        match node:
            case ast.Constant():
                return self._constant(node)
            case ast.Name() | ast.Attribute():
                return self._attribute(node)
            case ast.List() | ast.Tuple() | ast.Set():
                return self._list(node, deeper)
            case ast.BoolOp():
                return self._logic(node, deeper)
            case ast.UnaryOp(op=ast.Not()):
                truth = self._of(node.operand, deeper, "truth").read
                return _Part("truth", lambda model, live: not truth(model, live))
            case ast.UnaryOp(op=ast.USub() | ast.UAdd()):
                number = self._number(node.operand, deeper)
                return _Part("number", _negated(number) if isinstance(node.op, ast.USub) else number)
            case ast.BinOp() if type(node.op) in _ARITHMETIC:
                left, right = self._number(node.left, deeper), self._number(node.right, deeper)
                return _Part("number", _arithmetic(_ARITHMETIC[type(node.op)], left, right))
            case ast.Compare():
                return self._comparison(node, deeper)
            case ast.IfExp():
                return self._choice(node, deeper)
            case ast.Call():
                return self._call(node, deeper)
        raise self._error(node, "is not part of the language")

    # -- values ---------------------------------------------------------------------------------------

    def _constant(self, node: ast.Constant) -> _Part:
        value = node.value
        if isinstance(value, bool):
            return _literal("truth", value)
        if isinstance(value, str):
            return _literal("text", value)
        if isinstance(value, int | float):
            try:
                number = float(value)
            except OverflowError:
                number = float("inf")
            if isfinite(number):
                return _literal("number", number)
            raise self._error(node, "is too large a number")
        if value is None:
            raise self._error(node, "None is not part of the language; known(…) says whether something is known")
        raise self._error(node, "expected a number, a text in quotes, true or false")

    def _attribute(self, node: ast.Name | ast.Attribute) -> _Part:
        name = self._dotted(node)
        if name in _CONSTANTS:
            return _literal("truth", _CONSTANTS[name])
        attribute = ATTRIBUTES.get(name)
        if attribute is None:
            below = next((known for known in ATTRIBUTES if known.startswith(f"{name}.")), None)
            shown = name if len(name) <= 60 else f"{name[:60]}…"
            near = below or likeliest(name, [*ATTRIBUTES, *FUNCTIONS])
            raise self._error(node, f"there is no attribute {shown!r}", near)
        self.live |= attribute.live
        read = attribute.read
        if attribute.kind == "number" and not attribute.live:  # live ones are floats
            return _Part("number", lambda model, live: _float(read(model, live)))
        return _Part(attribute.kind, read)

    def _dotted(self, node: ast.expr) -> str:
        names: list[str] = []
        while isinstance(node, ast.Attribute):
            names.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            raise self._error(node, "has no attributes")
        return ".".join([node.id, *reversed(names)])

    def _list(self, node: ast.List | ast.Tuple | ast.Set, depth: int) -> _Part:
        parts = [self.compile(item, depth) for item in node.elts]
        kinds = {part.kind for part in parts}
        if kinds not in ({"text"}, {"number"}) or any(part.constant is None for part in parts):
            raise self._error(node, "expected a list of texts in quotes, or of numbers")
        held = frozenset(part.constant for part in parts)
        return _Part("list", lambda _model, _live: held, items=parts[0].kind)

    # -- operators ------------------------------------------------------------------------------------

    def _logic(self, node: ast.BoolOp, depth: int) -> _Part:
        *conditions, last = node.values
        reads = [self._of(each, depth, "truth").read for each in conditions]
        if isinstance(node.op, ast.And):
            part = self.compile(last, depth)
            if part.kind == "number":
                number = part.read
                return _Part("number", lambda m, v: number(m, v) if all(read(m, v) for read in reads) else None)
        reads.append(self._of(last, depth, "truth").read)
        decide: Callable[..., bool] = all if isinstance(node.op, ast.And) else any
        return _Part("truth", lambda m, v: decide(read(m, v) for read in reads))

    def _comparison(self, node: ast.Compare, depth: int) -> _Part:
        parts = [self.compile(each, depth) for each in (node.left, *node.comparators)]
        tests = [
            self._test(at, left, op, right)
            for at, left, op, right in zip(node.comparators, parts, node.ops, parts[1:], strict=False)
        ]
        return _Part("truth", lambda m, v: all(test(m, v) for test in tests))

    def _test(self, node: ast.expr, left: _Part, op: ast.cmpop, right: _Part) -> Reader:
        compare = _COMPARED.get(type(op))
        if compare is None:
            raise self._error(node, "`is` is not part of the language; == compares")
        if isinstance(op, ast.In | ast.NotIn):
            fits = (right.kind == "list" and left.kind == right.items) or left.kind == right.kind == "text"
        elif isinstance(op, ast.Eq | ast.NotEq):
            fits = _comparable(left) == _comparable(right) != "list"
        else:
            fits = _comparable(left) == _comparable(right) == "number"
        if not fits:
            raise self._error(node, f"{_A[left.kind]} cannot be compared in this way with {_A[right.kind]}")

        def test(model: ModelSpec, live: Live | None) -> bool:
            one, other = left.read(model, live), right.read(model, live)
            return one is not None and other is not None and compare(one, other)

        return test

    def _choice(self, node: ast.IfExp, depth: int) -> _Part:
        condition = self._of(node.test, depth, "truth").read
        then, otherwise = self.compile(node.body, depth), self.compile(node.orelse, depth)
        if then.kind != otherwise.kind or then.kind == "list":
            raise self._error(
                node, f"gives {_A[then.kind]} or {_A[otherwise.kind]}; expected two texts, numbers or conditions"
            )
        yes, no = then.read, otherwise.read
        return _Part(then.kind, lambda m, v: yes(m, v) if condition(m, v) else no(m, v))

    # -- functions ------------------------------------------------------------------------------------

    def _call(self, node: ast.Call, depth: int) -> _Part:
        name = self._dotted(node.func) if isinstance(node.func, ast.Name | ast.Attribute) else ""
        takes = FUNCTIONS.get(name)
        if takes is None:
            raise self._error(node, f"there is no function {name[:60]!r}", likeliest(name, FUNCTIONS))
        if node.keywords or any(isinstance(each, ast.Starred) for each in node.args):
            raise self._error(node, f"{name}() takes {takes}")
        parts = [self.compile(each, depth) for each in node.args]
        made = _called(name, parts)
        if made is None:
            raise self._error(node, f"{name}() takes {takes}")
        return made

    # -- what is expected -----------------------------------------------------------------------------

    def _of(self, node: ast.expr, depth: int, kind: Literal["truth", "number"]) -> _Part:
        part = self.compile(node, depth)
        if part.kind == kind or (kind == "number" and part.kind == "truth"):
            return part
        raise self._error(node, f"expected {_A[kind]}, not {_A[part.kind]}")

    def _number(self, node: ast.expr, depth: int) -> Reader:
        """A boolean counts as 1 or 0."""
        return self._of(node, depth, "number").read

    def _error(self, node: ast.expr, problem: str, suggestion: str | None = None) -> SelectionError:
        source = self._text[self._begin :].encode("utf-8", "replace")
        at = len(source[: node.col_offset].decode("utf-8", "ignore"))
        return SelectionError(problem, self._begin + at + 1, suggestion)


def _literal(kind: Kind, value: Value) -> _Part:
    return _Part(kind, lambda _model, _live: value, constant=value)


def _float(value: Value) -> float | None:
    return None if value is None else float(value)


def _comparable(part: _Part) -> Kind:
    return "number" if part.kind == "truth" else part.kind


def _negated(number: Reader) -> Reader:
    return lambda model, live: None if (value := number(model, live)) is None else -value


def _arithmetic(operation: Callable[[float, float], float], left: Reader, right: Reader) -> Reader:
    def read(model: ModelSpec, live: Live | None) -> float | None:
        one, other = left(model, live), right(model, live)
        if one is None or other is None:
            return None
        try:
            # As floats, which cannot grow without bound.
            return operation(float(one), float(other))
        except ZeroDivisionError:
            return None

    return read


def _called(name: str, parts: list[_Part]) -> _Part | None:
    """None: the function does not take these."""
    kinds, reads = [part.kind for part in parts], [part.read for part in parts]
    if name in ("min", "max") and len(parts) > 1 and set(kinds) <= {"number", "truth"}:
        choose = min if name == "min" else max
        return _Part("number", lambda m, v: _if_known(lambda *numbers: float(choose(numbers)), reads, m, v))
    if name == "abs" and kinds == ["number"]:
        return _Part("number", lambda m, v: _if_known(abs, reads, m, v))
    if name == "known" and len(parts) == 1:
        return _Part("truth", lambda m, v: reads[0](m, v) not in (None, "", ()))
    if name == "default" and kinds == ["number", "number"]:
        read, otherwise = reads
        return _Part("number", lambda m, v: otherwise(m, v) if (value := read(m, v)) is None else value)
    if name == "default" and kinds == ["text", "text"]:
        return _Part("text", lambda m, v: reads[0](m, v) or reads[1](m, v))
    if name in ("startswith", "endswith") and kinds == ["text", "text"]:
        test = str.startswith if name == "startswith" else str.endswith
        return _Part("truth", lambda m, v: test(reads[0](m, v), reads[1](m, v)))
    if name == "matches" and kinds == ["text", "text"] and parts[1].constant is not None:
        pattern = re.compile(translate(parts[1].constant))
        return _Part("truth", lambda m, v: pattern.match(reads[0](m, v)) is not None)
    return None


def _if_known(operation: Callable[..., float], reads: list[Reader], m: ModelSpec, v: Live | None) -> float | None:
    values = [read(m, v) for read in reads]
    return None if None in values else operation(*values)
