"""Rewrite: code with probes does what the code without them does."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine import why
from engine.catalog import Catalog
from engine.errors import StrategyError
from engine.simulation import Simulation
from engine.why import swap
from engine.why.probes import Recorder
from engine.why.study import Study, entry_of
from tests import build
from tests.engine.why.shapes import from_text, strategy

BUNDLED = [entry for entry in Catalog().all() if entry.strategy is not None]


def plain(bars, cls, **settings):
    simulation = Simulation(bars, cls, **settings)
    simulation.advance(len(bars))
    return simulation


def probed(bars, cls, texts=None, **settings):
    """Return the simulation of a run that has probes in every bar."""
    workshop = swap.prepare(cls, texts)
    simulation = Simulation(bars, cls, **settings)
    recorder = Recorder(entry_of(cls, workshop))
    with swap.swapped(workshop.codes(recorder.probes)):
        simulation.advance(len(bars))
    assert recorder.lines
    return simulation


@pytest.mark.parametrize("entry", BUNDLED, ids=lambda entry: entry.name)
def test_a_bundled_strategy_writes_the_same_tape_with_probes(entry):
    bars = build.random_bars(600, seed=4)
    one, other = plain(bars, entry.strategy), probed(bars, entry.strategy)
    assert len(one.tape.events) > 1
    assert one.tape.events == other.tape.events
    assert one.tape.frame(0, 600) == other.tape.frame(0, 600)


@pytest.mark.parametrize("entry", BUNDLED, ids=lambda entry: entry.name)
def test_a_bar_under_the_microscope_leaves_the_run_as_it_is(entry):
    bars = build.random_bars(400, seed=5)
    one, study = plain(bars, entry.strategy), Study(bars, entry.strategy)
    for bar in (3, 60, 61, 200, 399):
        study.look_at(bar)
    study.advance_to(400)
    assert one.tape.events == study.tape.events
    assert one.tape.frame(0, 400) == study.tape.frame(0, 400)


def test_the_functions_have_their_own_code_again_afterwards():
    cls = BUNDLED[0].strategy
    before = cls.next.__code__
    why.explain(build.random_bars(60), cls, bar=40)
    why.survey(build.random_bars(60), cls)
    assert cls.next.__code__ is before


def test_also_after_a_failure():
    cls, text = strategy("def next(self):\n    raise SystemExit")
    before = cls.next.__code__
    answer = why.explain(build.random_bars(10), cls, bar=1, texts={"shape.py": text})
    assert answer.error == "Shape failed on bar 2 (line 6): SystemExit"
    assert cls.next.__code__ is before


def test_other_threads_leave_no_trace_in_an_answer():
    text = """
import threading
from engine import Strategy

class Shape(Strategy):
    def next(self):
        if threading.current_thread() is threading.main_thread():
            other = threading.Thread(target=self.think)
            other.start()
            other.join()

    def think(self):
        if 1 < len(self.data):
            self.x = 1
"""
    cls = from_text(text, "Shape")
    assert threading.current_thread() is threading.main_thread()
    answer = why.explain(build.random_bars(10), cls, bar=4, texts={"shape.py": text})
    assert [c.function for c in answer.conditions] == ["Shape.next"]


# Programs made by chance: whatever they compute, call and raise is the same with probes.

ATOMS = st.sampled_from(["a", "b", "c", "t(1)", "t(0)", "t(2)", "n()", "boom()", "1", "0", "None", "self.v"])
OPERATORS = st.sampled_from(["<", "<=", ">", ">=", "==", "!=", "is", "is not", "in", "not in"])


def grow(inner):
    return st.one_of(
        st.tuples(inner, OPERATORS, inner).map(lambda p: f"({p[0]} {p[1]} {p[2]})"),
        st.tuples(inner, OPERATORS, inner, OPERATORS, inner).map(lambda p: f"({' '.join(p)})"),
        st.tuples(inner, inner).map(lambda p: f"({p[0]} and {p[1]})"),
        st.tuples(inner, inner, inner).map(lambda p: f"({p[0]} or {p[1]} or {p[2]})"),
        inner.map(lambda p: f"(not {p})"),
        st.tuples(inner, inner, inner).map(lambda p: f"({p[0]} if {p[1]} else {p[2]})"),
        inner.map(lambda p: f"(w := {p})"),
        inner.map(lambda p: f"[x for x in (1, 2, a) if {p}]"),
        inner.map(lambda p: f"any({p} for x in (0, 1))"),
        inner.map(lambda p: f"(lambda y: {p})(1)"),
        inner.map(lambda p: f"t({p})"),
        inner.map(lambda p: f"cross(*[{p}, a])"),
    )


EXPRESSIONS = st.recursive(ATOMS, grow, max_leaves=12)


@st.composite
def statements(draw, depth=2):
    kind = draw(st.sampled_from(["if", "assign", "return", "assert", "while", "for", "match", "try", "expr", "aug"]))
    e = draw(EXPRESSIONS)
    if depth == 0 or kind in ("assign", "return", "assert", "expr", "aug"):
        return {"return": f"return {e}", "assert": f"assert {e}, 'no'", "expr": e, "aug": f"c = (c or 0, {e})"}.get(
            kind, f"b = {e}"
        )
    body = indent("\n".join(draw(st.lists(statements(depth - 1), min_size=1, max_size=2))))
    other = indent(draw(statements(depth - 1)))
    match kind:
        case "if":
            return f"if {e}:\n{body}\nelif {draw(EXPRESSIONS)}:\n{other}\nelse:\n    log.append('else')"
        case "while":
            return f"while tick() and {e}:\n{body}\nelse:\n{other}"
        case "for":
            return f"for a in (3, {e}):\n{body}\n    if {draw(EXPRESSIONS)}: break\nelse:\n{other}"
        case "match":
            return (
                f"match {e}:\n    case 1 | 2:\n{indent(body)}\n    case x if {draw(EXPRESSIONS)}:\n"
                f"{indent(other)}\n    case _:\n        log.append('rest')"
            )
    return f"try:\n{body}\nexcept ValueError as error:\n    log.append(str(error))\nfinally:\n{other}"


def indent(text):
    return "\n".join(f"    {row}" for row in text.splitlines())


PROGRAM = '''
def work(self, log, a, b, c):
    """Its words stay its words."""
    w = None
    def t(x):
        log.append(("t", repr(x)[:20]))
        return x
    def n():
        log.append("n")
        return float("nan")
    def boom():
        log.append("boom")
        raise ValueError("boom")
    def tick():
        log.append("tick")
        return log.count("tick") < 6
    cross = lambda *values: values[0] != values[-1]
{body}
    return sorted(locals().keys() - {{"error"}})
'''


class Odd:
    """A value that writes down what is asked of it."""

    def __init__(self, log):
        self.log = log
        self.v = 3

    def __bool__(self):
        self.log.append("bool")
        return len(self.log) % 2 == 0

    def __lt__(self, other):
        self.log.append("lt")
        return Odd(self.log)

    def __eq__(self, other):
        self.log.append("eq")
        return self

    __hash__ = None

    def __contains__(self, item):
        self.log.append("contains")
        return True


def outcome(work):
    """Return what a call gives or raises, and on which line, and what it did on the way."""
    log: list = []
    try:
        result = work(Odd(log), log, 1, Odd(log), 2)
        shown = "Odd" if isinstance(result, Odd) else repr(result) if not callable(result) else "callable"
        return shown if " object at " not in shown else type(result).__name__, log
    except Exception as error:
        trace, line = error.__traceback__, 0
        while trace is not None:
            line = trace.tb_lineno if trace.tb_frame.f_code.co_filename == "made.py" else line
            trace = trace.tb_next
        return type(error), str(error), line, log


@settings(max_examples=300)
@given(st.lists(statements(), min_size=1, max_size=3))
@example(["b = (not (b and a))"])  # asks b twice; in a test it asks once
@example(["if (not (b and a)):\n    c = 1"])
@example(["if ((b and a) if c else b):\n    c = 1"])
@example(["b = (not (b if a else c))"])
@example(["if b < t(1) < a:\n    c = 1"])  # a chain asks each link once; as a value it asks the one that fails twice
@example(["b = (not (not [x for x in (1, 2, a) if (b < t(1) < a)]))"])
@example(["assert (b < t(1) < a) or c, 'no'"])
@example(["while tick() and (not (b or (c and b))):\n    a = 1"])
def test_generated_functions_do_the_same_with_probes(rows):
    import warnings

    text = PROGRAM.format(body=indent("\n".join(rows)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # such as: "is" with a literal
        space: dict = {"__name__": "made"}
        exec(compile(text, "made.py", "exec"), space)
    work = space["work"]
    expected = outcome(work)
    for lines in (True, False):
        made = why.rewrite.rewrite(text, "made.py", lines=lines)
        recorder = Recorder([(0, 1, 10_000)])
        (code,) = made.functions["work", 2]
        with swap.swapped([(work, why.rewrite.plant(code, recorder.probes(made.sites)))]):
            assert outcome(work) == expected
        assert work.__doc__ == "Its words stay its words."


@given(seed=st.integers(0, 5), level=st.floats(0.9, 1.1), every=st.integers(2, 9))
def test_generated_runs_write_the_same_tape_with_probes(seed, level, every):
    body = f"""
    def init(self):
        self.mean = self.I(lambda c: np.cumsum(c) / np.arange(1, len(c) + 1), self.data.Close, name="mean")

    def next(self):
        c = self.data.Close
        if c > self.mean * {level} and not self.position.is_long or len(c) % {every} == 0:
            self.buy(size=0.3 if c[-1] < c[-2] else 2, sl=c[-1] * 0.95)
        elif cross(c, self.mean) and [t for t in self.trades if t.pl > 0]:
            self.position.close()
        for trade in self.trades:
            trade.sl = max(trade.sl or 0, c[-1] * 0.9)
    """
    cls, text = strategy(body, helpers="import numpy as np\n")
    bars = build.random_bars(120, seed=seed)
    texts = {"shape.py": text}
    one, other = plain(bars, cls, commission=0.001), probed(bars, cls, texts, commission=0.001)
    assert one.tape.events == other.tape.events
    assert np.array_equal(one.tape.equity(), other.tape.equity())


def test_a_failing_strategy_fails_at_the_same_place():
    cls, text = strategy("def next(self):\n    if len(self.data) > 3 and 1 / (len(self.data) - 5) < 9:\n        pass")
    bars = build.random_bars(10)
    errors = []
    for run in (plain, lambda b, c: probed(b, c, {"shape.py": text})):
        with pytest.raises(StrategyError) as caught:
            run(bars, cls)
        errors.append((caught.value.message, caught.value.line, caught.value.bar))
    assert errors[0] == errors[1]
