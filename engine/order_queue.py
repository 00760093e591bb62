"""OrderQueue: the waiting orders, and the nearest prices at which one of them can fill."""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from math import inf
from operator import attrgetter

from engine.orders import WAITING, Order

_Entry = tuple[float, int, Order]
by_place = attrgetter("place")


class OrderQueue:
    """Orders in the order in which they are looked at, watched by price.

    Two heaps hold the prices that wait below and above the market, so that a bar which reaches neither costs nothing
    however many orders rest. Entries of orders that have gone or moved are dropped when they surface: an order that is
    done with has no `_trigger`, and whoever takes that away empties `listed`.
    """

    __slots__ = ("_back", "_front", "_room", "above", "below", "expiring", "fresh", "listed")

    def __init__(self) -> None:
        self.fresh: list[Order] = []  # placed since they were last looked at
        self.expiring: list[Order] = []
        self.below: list[_Entry] = []  # its prices negated: the highest comes first
        self.above: list[_Entry] = []
        self._front = 0
        self._back = 0
        self._room = 64
        self.listed: tuple[Order, ...] | None = ()  # what `ordered` said last, None when that no longer holds

    def ordered(self) -> tuple[Order, ...]:
        """Return all waiting orders, first looked at first."""
        if self.listed is None:
            waiting = [order for order in self.fresh if order.state is WAITING]
            for heap in (self.below, self.above):
                waiting += [entry[2] for entry in heap if entry[2]._trigger is entry]
            self.listed = tuple(sorted(waiting, key=by_place))
        return self.listed

    def add(self, order: Order, front: bool) -> None:
        """Take in a new order at the end of the queue, or at its front; see `put`."""
        if front:
            self._front = order.place = self._front - 1
        else:
            self._back = order.place = self._back + 1
        self.listed = None
        self.fresh.append(order)

    def put(self, order: Order, front: bool) -> None:
        """Give an order its place at the end of the queue, or at its front."""
        if front:
            self._front -= 1
            order.place = self._front
        else:
            self._back += 1
            order.place = self._back
        self.listed = None

    def surround(self, first: Order, last: Order) -> None:
        """Take in two new orders, one at each end of the queue; `last` came first."""
        self._front = first.place = self._front - 1
        self._back = last.place = self._back + 1
        self.listed = None
        self.fresh += (last, first)

    def watch(self, order: Order) -> None:
        """Watch the price at which an order can next do something: its stop, then its limit."""
        buys, price = order.size > 0, order.stop
        above = buys if price is not None else not buys
        price = order.limit if price is None else price
        assert price is not None
        if above:
            heap, entry = self.above, (price, order.place, order)
        else:
            heap, entry = self.below, (-price, order.place, order)
        order._trigger = entry
        if len(heap) >= self._room:
            self._clean(heap)
        heappush(heap, entry)

    def reached(self, low: float, high: float) -> bool:
        """Return whether a bar from `low` to `high` may reach a watched price."""
        below, above = self.below, self.above
        return bool((below and below[0][0] <= -low) or (above and above[0][0] <= high))

    def add_reached(self, found: list[Order], low: float, high: float) -> None:
        """Add the watched orders that a bar from `low` to `high` can fill to `found`, and stop watching them."""
        self._surface(self.below, -low, found)
        self._surface(self.above, high, found)

    @staticmethod
    def _surface(heap: list[_Entry], bound: float, found: list[Order]) -> None:
        while heap and heap[0][0] <= bound:
            entry = heappop(heap)
            if entry[2]._trigger is entry:
                entry[2]._trigger = None
                found.append(entry[2])

    def nearest(self, heap: list[_Entry]) -> float:
        """Return the price in `below` (negated) or `above` that is nearest to the market, inf when there is none."""
        while heap:
            entry = heap[0]
            if entry[2]._trigger is entry:
                return entry[0]
            heappop(heap)
        return inf

    def _clean(self, heap: list[_Entry]) -> None:
        # A stop that trails every bar leaves an entry behind each time.
        heap[:] = [entry for entry in heap if entry[2]._trigger is entry]
        heapify(heap)
        self._room = max(64, 2 * len(heap))
