// What a chart draws: at most six series, the rest folded into one, stacked by running sums where asked.

import type { Cell, Series } from './align'
import { MAX_SERIES } from './palette'

/** How "the rest" is folded: rates and counts add up, durations and shares do not. */
export type Fold = 'sum' | 'max'

export function foldOf(unit: string): Fold {
  return unit === 'seconds' || unit === 'ratio' ? 'max' : 'sum'
}

function meanOf(cells: readonly Cell[]): number {
  let sum = 0
  let n = 0
  for (const cell of cells) if (cell !== null) (sum += cell), n++
  return n ? sum / n : -Infinity
}

/** Keep the largest six by mean, in the order of their names; fold what is left into one series. */
export function limitSeries(series: Series[], fold: Fold, keepOrder = false): Series[] {
  const ordered = keepOrder ? series : [...series].sort((a, b) => a.name.localeCompare(b.name))
  if (ordered.length <= MAX_SERIES) return ordered
  const ranked = [...ordered].sort((a, b) => meanOf(b.values) - meanOf(a.values))
  const kept = new Set(ranked.slice(0, MAX_SERIES))
  const rest = ranked.slice(MAX_SERIES)
  const values = rest[0]!.values.map((_, i) =>
    rest.reduce<Cell>((total, one) => {
      const cell = one.values[i] ?? null
      if (cell === null) return total
      if (total === null) return cell
      return fold === 'sum' ? total + cell : Math.max(total, cell)
    }, null),
  )
  const name = fold === 'sum' ? `other (${rest.length})` : `worst of ${rest.length} others`
  return [...ordered.filter((one) => kept.has(one)), { key: 'other', name, labels: {}, values }]
}

/** Layers without height are drawn as a line on the one below: leave them out, unless nothing else is left. */
export function withHeight(series: Series[]): Series[] {
  const high = series.filter((one) => one.values.some((cell) => cell !== null && cell > 0))
  return high.length ? high : series
}

/** Running sums from the bottom up; a step at which every series is missing stays a gap. */
export function stackValues(columns: readonly (readonly Cell[])[]): Cell[][] {
  const n = columns[0]?.length ?? 0
  const sums = new Array<number>(n).fill(0)
  const empty = Array.from({ length: n }, (_, i) => columns.every((column) => (column[i] ?? null) === null))
  return columns.map((column) =>
    Array.from({ length: n }, (_, i) => {
      sums[i]! += column[i] ?? 0
      return empty[i] ? null : sums[i]!
    }),
  )
}
