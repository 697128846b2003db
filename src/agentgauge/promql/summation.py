"""Sums, means and variances whose last bits are Prometheus' own.

Its scripts expect exact zeros, so the order of additions and the compensation are part of the meaning: Neumaier's
sum in the order of the elements, the compensation reset when the sum is infinite; Welford's variance, compensated or
not. Each step takes the next element of many sequences at once, so a loop runs along one sequence only.

Infinities and NaN take part, so the engine turns NumPy's warnings about them off around everything.
Shapes: all arguments of a step broadcast against each other; ``take`` marks the sequences that have this element.
Source: Prometheus util/kahansum, promql/functions.go (avg_over_time, varianceOverTime), engine.go (aggregation).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agentgauge.model.series import Mask, Values


def neumaier_add(inc: Values, total: Values, comp: Values) -> tuple[Values, Values]:
    """Add one element to each compensated sum; return the new sums and compensations.

    Neumaier takes what was lost from the larger of the two; Knuth's form finds the same number, which is exact,
    without asking which is larger.
    """
    new = total + inc
    taken = new - total
    more = comp + ((total - (new - taken)) + (inc - taken))
    if np.isfinite(new).all():
        return new, more
    return new, np.where(np.isinf(new), 0.0, more)


def finished_sum(total: Values, comp: Values) -> Values:
    """Return sum plus compensation; an infinite sum has none."""
    return np.where(np.isinf(total), total, total + comp)


@dataclass(slots=True)
class RunningSum:
    """Neumaier's sum of many sequences."""

    total: Values
    comp: Values

    @classmethod
    def zeros(cls, shape: tuple[int, ...]) -> RunningSum:
        """Start with empty sums."""
        return cls(np.zeros(shape), np.zeros(shape))

    def add(self, element: Values, take: Mask | None, where: slice | np.ndarray = slice(None)) -> None:
        """Add the next element of the sequences at index ``where``."""
        inc = element if take is None else np.where(take, element, 0.0)
        self.total[where], self.comp[where] = neumaier_add(inc, self.total[where], self.comp[where])

    def result(self) -> Values:
        """Return the sums."""
        return finished_sum(self.total, self.comp)


@dataclass(slots=True)
class RunningMean:
    """Mean by sum and count, which turns to an incremental mean where the sum would overflow."""

    total: Values
    comp: Values
    count: Values
    incremental: Mask

    @classmethod
    def zeros(cls, shape: tuple[int, ...]) -> RunningMean:
        """Start with empty means."""
        return cls(np.zeros(shape), np.zeros(shape), np.zeros(shape), np.zeros(shape, np.bool_))

    def add(self, element: Values, take: Mask | None, where: slice | np.ndarray = slice(None)) -> None:
        """Add the next element of the sequences at index ``where``.

        The first element enters as it is, an infinite one too; only a later overflow turns to the incremental mean.
        """
        total, comp, incremental = self.total[where], self.comp[where], self.incremental[where]
        count = self.count[where] + 1
        new, new_comp = neumaier_add(element, total, comp)
        overflow = np.isinf(new) & (count > 1) & ~incremental
        if overflow.any() or incremental.any():
            turned = overflow | incremental
            mean = np.where(overflow, total / np.maximum(count - 1, 1), total)
            mean_comp = np.where(overflow, comp / np.maximum(count - 1, 1), comp)
            share = (count - 1) / count
            inc_new, inc_comp = neumaier_add(element / count, share * mean, share * mean_comp)
            new, new_comp = np.where(turned, inc_new, new), np.where(turned, inc_comp, new_comp)
            incremental = turned
        taken = np.ones(new.shape, np.bool_) if take is None else take
        self.total[where] = np.where(taken, new, total)
        self.comp[where] = np.where(taken, new_comp, comp)
        self.count[where] = np.where(taken, count, count - 1)
        self.incremental[where] = np.where(taken, incremental, self.incremental[where])

    def result(self) -> Values:
        """Return the means."""
        return np.where(self.incremental, self.total + self.comp, self.total / self.count + self.comp / self.count)


@dataclass(slots=True)
class RunningVariance:
    """Welford's population variance, not compensated: the aggregations' ``stddev`` and ``stdvar``."""

    mean: Values
    aux: Values
    count: Values

    @classmethod
    def zeros(cls, shape: tuple[int, ...]) -> RunningVariance:
        """Start with empty variances."""
        return cls(np.zeros(shape), np.zeros(shape), np.zeros(shape))

    def add(self, element: Values, take: Mask | None, where: slice | np.ndarray = slice(None)) -> None:
        """Add the next element of the sequences at index ``where``; a first one that is not finite gives NaN."""
        mean, aux, count = self.mean[where], self.aux[where], self.count[where] + 1
        delta = element - mean
        new_mean = mean + delta / count
        new_aux = aux + delta * (element - new_mean)
        first = count == 1
        if first.any():
            new_mean = np.where(first, element, new_mean)
            new_aux = np.where(first, np.where(np.isfinite(element), 0.0, np.nan), new_aux)
        if take is not None:
            new_mean, new_aux = np.where(take, new_mean, mean), np.where(take, new_aux, aux)
            count = np.where(take, count, count - 1)
        self.mean[where], self.aux[where], self.count[where] = new_mean, new_aux, count

    def result(self) -> Values:
        """Return the variances."""
        return self.aux / self.count


@dataclass(slots=True)
class RunningWindowVariance:
    """Welford's population variance with compensation: ``stddev_over_time`` and ``stdvar_over_time``."""

    mean: Values
    mean_comp: Values
    aux: Values
    aux_comp: Values
    count: Values

    @classmethod
    def zeros(cls, shape: tuple[int, ...]) -> RunningWindowVariance:
        """Start with empty variances."""
        return cls(*(np.zeros(shape) for _ in range(5)))

    def add(self, element: Values, take: Mask | None) -> None:
        """Add the next element of every sequence."""
        count = self.count + 1
        delta = element - (self.mean + self.mean_comp)
        mean, mean_comp = neumaier_add(delta / count, self.mean, self.mean_comp)
        aux, aux_comp = neumaier_add(delta * (element - (mean + mean_comp)), self.aux, self.aux_comp)
        new = (mean, mean_comp, aux, aux_comp, count)
        if take is not None:
            old = (self.mean, self.mean_comp, self.aux, self.aux_comp, self.count)
            new = tuple(np.where(take, a, b) for a, b in zip(new, old, strict=True))  # type: ignore[assignment]
        self.mean, self.mean_comp, self.aux, self.aux_comp, self.count = new

    def result(self) -> Values:
        """Return the variances."""
        return (self.aux + self.aux_comp) / self.count


def exactly_summable(values: Values) -> bool:
    """Tell whether any sum of a subset of these values is exact: whole numbers that stay below 2**53 together.

    Counters are whole numbers most of the time, and then the order of additions does not matter.
    """
    if values.size == 0:
        return True
    top = float(np.max(np.abs(values)))
    return top * values.shape[0] < 2.0**53 and bool((values == np.rint(values)).all())
