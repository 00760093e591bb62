"""Rewrite: the same code, with a probe at every condition.

Only calls that hand their argument on are added. Each operand is still evaluated once, in its place, by the code it
stands in; `and`, `or` and chained comparisons still stop where they did; no name, argument or scope is added, for the
probes are constants of the code. So a rewritten function does what the original does, exceptions and their lines
included.
"""

from __future__ import annotations

import ast
import copy
import types
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

MARK = "\0tapedeck.why:"  # begins the constants that probes are put in the place of
LINES = f"{MARK}lines"

_OPERATORS: dict[type[ast.cmpop], str] = {
    ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!=",
    ast.Is: "is", ast.IsNot: "is not", ast.In: "in", ast.NotIn: "not in",
}  # fmt: skip
CROSSINGS = ("crossover", "cross")
ORDERING = ("buy", "sell", "close")  # calls that place an order
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_CONDITIONS = (ast.Compare, ast.BoolOp)

Chain = tuple[tuple[int, bool], ...]  # the tests that lead to a place, each with the outcome that does


@dataclass(slots=True)
class Site:
    """A condition in the source.

    `kind` is "compare", "all" (and), "any" (or), "not", "call", "value", "match" or "case". `role` says what it is for:
    "if", "elif", "while", "assert", "choice" (ternary), "filter" (comprehension), "match", or "value". `tested`: only
    its truth is used. `orders`: what it guards places an order; the last part of such an `and` is the order.
    """

    number: int
    kind: str
    role: str
    text: str
    line: int
    function: str
    parent: int | None = None
    tested: bool = True
    operands: list[str] = field(default_factory=list)
    constants: dict[int, Any] = field(default_factory=dict)
    operators: list[str] = field(default_factory=list)
    parts: list[int] = field(default_factory=list)
    orders: bool = False
    source: ast.BoolOp | None = None  # of an "all", as it was written

    @property
    def mark(self) -> str:
        """Return the constant that stands for its probe."""
        return f"{MARK}{self.number}"


@dataclass(frozen=True, slots=True)
class Span:
    """Where a statement stands, and which tests lead to it."""

    line: int
    column: int
    end_line: int
    end_column: int
    chain: Chain


@dataclass(slots=True)
class Rewritten:
    """A module's code with probes, and what they stand for. `functions`: (qualname, first line) -> codes."""

    plain: dict[tuple[str, int], list[types.CodeType]]
    functions: dict[tuple[str, int], list[types.CodeType]]
    sites: list[Site]
    spans: list[Span]
    bodies: dict[tuple[str, int], tuple[int, int]]  # function -> its first and last line

    def chain_at(self, line: int, column: int) -> Chain:
        """Return the tests that lead to a place in the source."""
        place = (line, column)
        inside = [s for s in self.spans if (s.line, s.column) <= place < (s.end_line, s.end_column)]
        return max(inside, key=lambda s: (s.line, s.column, len(s.chain))).chain if inside else ()


def rewrite(text: str, filename: str, *, lines: bool = True) -> Rewritten:
    """Return the code of a module's functions with probes: at conditions, and before each function's first statement.

    With `lines` there is one before every statement.

    Raises:
        SyntaxError: the text is not Python.
    """
    tree = ast.parse(text, filename)
    writer = _Writer(text, lines)
    probed = writer.module(copy.deepcopy(tree))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the user's own were shown when the file was imported
        plain, functions = (_codes(compile(t, filename, "exec", dont_inherit=True)) for t in (tree, probed))
    return Rewritten(plain, functions, writer.sites, writer.spans, writer.bodies)


def plant(code: types.CodeType, probes: Mapping[str, Any]) -> types.CodeType:
    """Return `code` with the probes in the place of their marks."""
    consts = tuple(
        plant(const, probes)
        if isinstance(const, types.CodeType)
        else probes.get(const, const)
        if type(const) is str and const.startswith(MARK)
        else const
        for const in code.co_consts
    )
    return code.replace(co_consts=consts)


def _codes(code: types.CodeType) -> dict[tuple[str, int], list[types.CodeType]]:
    found: dict[tuple[str, int], list[types.CodeType]] = {}
    for const in code.co_consts:
        if isinstance(const, types.CodeType):
            found.setdefault((const.co_qualname, const.co_firstlineno), []).append(const)
            for key, codes in _codes(const).items():
                found.setdefault(key, []).extend(codes)
    return found


class _Writer:
    """Rewrites one module."""

    def __init__(self, text: str, lines: bool):
        self._rows = [row.encode() for row in text.splitlines(keepends=True)]
        self._lines = lines
        self.sites: list[Site] = []
        self.spans: list[Span] = []
        self.bodies: dict[tuple[str, int], tuple[int, int]] = {}
        self._function = ""
        self._path: list[str] = []
        self._chain: Chain = ()  # the tests that lead to the expression at hand

    def module(self, tree: ast.Module) -> ast.Module:
        """Rewrite the functions of a module in place; what runs on import stays as it is."""
        self._outside(tree)
        return tree

    def _outside(self, node: ast.AST) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, _FUNCTIONS):
                self._define(child)
            elif isinstance(child, ast.ClassDef):
                self._path.append(child.name)
                self._outside(child)
                self._path.pop()
            elif isinstance(child, ast.Lambda):
                child.body = self._expression(child.body)
            else:
                self._outside(child)

    def _define(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        outer, self._function = self._function, ".".join([*self._path, node.name])
        self._path += [node.name, "<locals>"]
        first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
        self.bodies[self._function, first] = (first, node.end_lineno or node.lineno)
        head = node.body[:1] if ast.get_docstring(node, clean=False) is not None else []
        body = node.body[len(head) :]
        begins = [] if self._lines or not body else [self._line(body[0])]
        node.body = head + begins + self._block(body, ())
        del self._path[-2:]
        self._function = outer

    # Statements.

    def _block(self, statements: list[Any], chain: Chain) -> list[Any]:
        written = []
        for statement in statements:
            if self._lines:
                written.append(self._line(statement))
            self._statement(statement, chain)
            written.append(statement)
        return written

    def _line(self, statement: Any) -> ast.stmt:
        call = self._call(LINES, "line", [ast.Constant(statement.lineno)], statement)
        return ast.copy_location(ast.Expr(call), statement)

    def _statement(self, node: Any, chain: Chain) -> None:
        """Rewrite a statement in place."""
        self._lead(node, chain)
        match node:
            case ast.If():
                role = "elif" if self._rows[node.lineno - 1][node.col_offset :].startswith(b"elif") else "if"
                self._guarded(node, role, chain)
            case ast.While():
                self._guarded(node, "while", chain)
            case ast.Match():
                self._match(node, chain)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                self._define(node)
            case ast.ClassDef():
                self._path.append(node.name)
                self._outside(node)
                self._path.pop()
            case ast.Assert():
                node.test = self._test(node.test, "assert")[0]
            case ast.AnnAssign() | ast.AugAssign() | ast.Assign() | ast.Return():
                if node.value is not None:
                    node.value = self._expression(node.value)
            case ast.For() | ast.AsyncFor():
                node.iter = self._expression(node.iter)
                node.body, node.orelse = self._block(node.body, chain), self._block(node.orelse, chain)
            case ast.With() | ast.AsyncWith():
                for item in node.items:
                    item.context_expr = self._expression(item.context_expr)
                node.body = self._block(node.body, chain)
            case ast.Try():
                self._try(node, chain)
            case ast.Expr() | ast.Raise():
                self._inside(node)
            case _ if type(node).__name__ == "TryStar":
                self._try(node, chain)

    def _lead(self, node: Any, chain: Chain) -> None:
        """Note which tests lead to a node."""
        self._chain = chain
        self.spans.append(Span(node.lineno, node.col_offset, node.end_lineno, node.end_col_offset, chain))

    def _guarded(self, node: ast.If | ast.While, role: str, chain: Chain) -> None:
        orders = [_places_order(node.body), _places_order(node.orelse)]
        node.test, number = self._test(node.test, role)
        if number is not None:
            self.sites[number].orders = orders[0]
        yes, no = ((*chain, (number, True)), (*chain, (number, False))) if number is not None else (chain, chain)
        node.body, node.orelse = self._block(node.body, yes), self._block(node.orelse, no)

    def _try(self, node: Any, chain: Chain) -> None:
        node.body = self._block(node.body, chain)
        for handler in node.handlers:
            handler.body = self._block(handler.body, chain)
        node.orelse, node.finalbody = self._block(node.orelse, chain), self._block(node.finalbody, chain)

    def _match(self, node: ast.Match, chain: Chain) -> None:
        subject = self._site(node.subject, "match", "match")
        subject.operands = [self._text(node.subject)]
        node.subject = self._probe(subject, "subject", self._expression(node.subject), node.subject)
        for case in node.cases:
            site = self._site(case.pattern, "case", "case", parent=subject.number)
            site.orders = _places_order(case.body)
            subject.parts.append(site.number)
            number = site.number
            if case.guard is not None:
                case.guard = self._test(case.guard, "if", parent=subject.number)[0]
            case.body = self._block(case.body, (*chain, (number, True)))
            hit = self._call(site.mark, "hit", [], case.pattern)
            case.body.insert(0, ast.copy_location(ast.Expr(hit), case.pattern))

    # Expressions.

    def _expression(self, node: Any) -> Any:
        """Return an expression whose value is used."""
        return self._value(node, "value", None)[0]

    def _inside(self, node: ast.AST) -> None:
        """Rewrite the expressions within a node, in place."""
        for name, value in ast.iter_fields(node):
            if isinstance(value, ast.expr):
                setattr(node, name, self._expression(value))
            elif isinstance(value, list):
                new = [self._expression(item) if isinstance(item, ast.expr) else item for item in value]
                setattr(node, name, new)
                for item in new:
                    if isinstance(item, ast.keyword):
                        self._inside(item)
                    elif isinstance(item, ast.comprehension):
                        item.iter = self._expression(item.iter)
                        item.ifs = [self._test(test, "filter")[0] for test in item.ifs]

    def _value(self, node: Any, role: str, parent: int | None) -> tuple[Any, int | None]:
        match node:
            case ast.JoinedStr() | ast.Constant() | ast.Name():
                return node, None
            case ast.BoolOp() | ast.Compare():
                return self._condition(node, role, parent, tested=False)
            case ast.UnaryOp(op=ast.Not()):
                return self._condition(node, role, parent, tested=False)
            case ast.Call() if _name(node.func) in CROSSINGS:
                return self._condition(node, role, parent, tested=False)
            case ast.IfExp():
                self._choose(node, self._expression)
                return node, None
            case ast.NamedExpr():
                node.value, number = self._value(node.value, role, parent)
                return node, number
        self._inside(node)
        return node, None

    def _test(self, node: Any, role: str, parent: int | None = None) -> tuple[Any, int | None]:
        """Return an expression of which only the truth is used, and its site's number."""
        if isinstance(node, ast.Constant):
            return node, None
        if isinstance(node, ast.NamedExpr) and isinstance(node.value, _CONDITIONS):
            return self._value(node, role, parent)
        return self._condition(node, role, parent, tested=True)

    def _condition(self, node: Any, role: str, parent: int | None, *, tested: bool) -> tuple[Any, int]:
        site = self._site(node, _kind(node), role, parent, tested=tested)
        match site.kind:
            case "all" | "any":
                site.source = copy.deepcopy(node) if site.kind == "all" else None
                # `flat and rising and self.buy()`
                site.orders = site.kind == "all" and not tested and _places_order(node.values[1:])
                self._parts(site, node)
            case "not":
                # Python asks `a and b` for its truth once more when `not` makes a value of it, and not in a test.
                node.operand, number = (self._test if tested else self._part)(node.operand, role, site.number)
                site.parts = [] if number is None else [number]
            case "compare":
                operands = [node.left, *node.comparators]
                site.operators = [_OPERATORS[type(operator)] for operator in node.ops]
                node.left, *node.comparators = self._operands(site, operands)
            case "call":
                plain = not any(isinstance(value, ast.Starred) for value in node.args)
                if plain and _name(node.func) != "super":
                    node.args = self._operands(site, node.args)
                    node.func = self._probe(site, "function", self._expression(node.func), node.func)
                    for keyword in node.keywords:
                        self._inside(keyword)
                else:
                    self._inside(node)
            case _ if tested and isinstance(node, ast.IfExp):
                self._choose(node, lambda branch: self._test(branch, role)[0])
            case _:
                self._inside(node)
        if tested and isinstance(node, ast.Compare) and len(node.ops) > 1:
            # As a test a chain asks each link for its truth once; as a value it asks the one that fails again.
            answers = [ast.copy_location(ast.Constant(truth), node) for truth in (True, False)]
            node = ast.copy_location(ast.IfExp(node, *answers), node)
        original = ast.copy_location(ast.Pass(), node)
        begun = self._call(site.mark, "begin", [], original)
        return self._call(site.mark, "test" if tested else "value", [begun, node], original), site.number

    def _parts(self, site: Site, node: ast.BoolOp) -> None:
        """Rewrite the operands of an `and` or `or`; each is led to by those before it."""
        part = self._test if site.tested else self._part
        before = self._chain
        for place, value in enumerate(node.values):
            if place:
                self._lead(value, self._chain)
            orders = site.orders and _places_order([value])
            node.values[place], number = part(value, site.role, site.number)
            if number is not None:
                site.parts.append(number)
                self.sites[number].orders = orders
                self._chain = (*self._chain, (number, site.kind == "all"))
        self._chain = before

    def _choose(self, node: ast.IfExp, branch: Callable[[Any], Any]) -> None:
        """Rewrite a conditional expression in place."""
        orders, before = _places_order([node.body]), self._chain
        node.test, number = self._test(node.test, "choice")
        if number is not None:
            self.sites[number].orders = orders
        for name, outcome in (("body", True), ("orelse", False)):
            inner = getattr(node, name)
            self._lead(inner, before if number is None else (*before, (number, outcome)))
            setattr(node, name, branch(inner))
        self._chain = before

    def _part(self, node: Any, role: str, parent: int | None) -> tuple[Any, int | None]:
        """Return an operand of a boolean expression whose value is used."""
        if isinstance(node, ast.Constant):
            return node, None
        if isinstance(node, ast.NamedExpr):
            return self._value(node, role, parent)
        return self._condition(node, role, parent, tested=False)

    def _operands(self, site: Site, nodes: Iterable[Any]) -> list[Any]:
        written: list[Any] = []
        for place, node in enumerate(nodes):
            site.operands.append(self._text(node))
            if isinstance(node, ast.Constant):
                site.constants[place] = node.value
                written.append(node)
            elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and _is_number(node.operand):
                site.constants[place] = -node.operand.value  # type: ignore[attr-defined]
                written.append(node)
            else:
                written.append(self._call(site.mark, "at", [ast.Constant(place), self._expression(node)], node))
        return written

    # What is made.

    def _site(self, node: Any, kind: str, role: str, parent: int | None = None, *, tested: bool = True) -> Site:
        site = Site(len(self.sites), kind, role, self._text(node), node.lineno, self._function, parent, tested)
        self.sites.append(site)
        return site

    def _probe(self, site: Site, method: str, value: Any, place: Any) -> ast.Call:
        return self._call(site.mark, method, [value], place)

    def _call(self, mark: str, method: str, args: list[Any], place: Any) -> Any:
        target = ast.Attribute(ast.Constant(mark), method, ast.Load())
        call = ast.Call(target, args, [])
        for made in (call, target, target.value, *(arg for arg in args if isinstance(arg, ast.Constant))):
            if not hasattr(made, "lineno"):
                ast.copy_location(made, place)
        return call

    def _text(self, node: Any) -> str:
        """Return the source of a node on one line."""
        first, last = node.lineno - 1, node.end_lineno - 1
        rows = self._rows[first : last + 1]
        if len(rows) != 1:  # taken before the node is rewritten
            return " ".join(ast.unparse(node).split())
        return rows[0][node.col_offset : node.end_col_offset].decode("utf-8", "replace")


def _kind(node: Any) -> str:
    match node:
        case ast.BoolOp(op=ast.And()):
            return "all"
        case ast.BoolOp():
            return "any"
        case ast.UnaryOp(op=ast.Not()):
            return "not"
        case ast.Compare():
            return "compare"
        case ast.Call():
            return "call"
    return "value"


def _name(node: Any) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _is_number(node: Any) -> bool:
    return isinstance(node, ast.Constant) and type(node.value) in (int, float)


def _places_order(body: Sequence[ast.AST]) -> bool:
    return any(
        isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ORDERING
        for statement in body
        for node in ast.walk(statement)
    )
