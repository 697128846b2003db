// A query's answer on a grid of steps: missing steps are gaps (null), never zero.

import { legendOf } from './format'

export type Labels = Record<string, string>
export type Cell = number | null

/** `n` steps from `startMs`, `stepMs` apart. */
export interface Grid {
  startMs: number
  stepMs: number
  n: number
}

export interface Series {
  key: string
  name: string
  labels: Labels
  values: Cell[]
}

/** One series of the API's matrix: values are `[seconds, text]`. */
export interface MatrixSeries {
  metric: Labels
  values: [number, string][]
}

export function gridOf(startMs: number, endMs: number, stepMs: number): Grid {
  const end = Math.floor(endMs / stepMs) * stepMs
  const start = Math.ceil(startMs / stepMs) * stepMs
  return { startMs: start, stepMs, n: Math.max(1, Math.floor((end - start) / stepMs) + 1) }
}

export function endOf(grid: Grid): number {
  return grid.startMs + (grid.n - 1) * grid.stepMs
}

export function timesOf(grid: Grid): number[] {
  return Array.from({ length: grid.n }, (_, i) => (grid.startMs + i * grid.stepMs) / 1000)
}

export function cellOf(text: string): Cell {
  const value = Number(text)
  return Number.isFinite(value) ? value : null
}

export function keyOf(query: number, labels: Labels): string {
  return query + JSON.stringify(Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1)))
}

export function alignSeries(matrix: MatrixSeries[], grid: Grid, query: number, legend: string): Series[] {
  return matrix.map(({ metric, values }) => {
    const cells: Cell[] = new Array<Cell>(grid.n).fill(null)
    for (const [seconds, text] of values) {
      const i = Math.round((seconds * 1000 - grid.startMs) / grid.stepMs)
      if (i >= 0 && i < grid.n) cells[i] = cellOf(text)
    }
    return { key: keyOf(query, metric), name: legendOf(legend, metric), labels: metric, values: cells }
  })
}

/** Move a grid on so that it ends at `tMs`, and write the values of that step; the oldest steps fall off. */
export function appendStep(
  grid: Grid,
  series: Series[],
  tMs: number,
  values: { key: string; name: string; labels: Labels; value: Cell }[],
): { grid: Grid; series: Series[] } {
  const shift = Math.round((tMs - endOf(grid)) / grid.stepMs)
  if (shift < 0) return { grid, series }
  const moved = new Map(
    series.map((one) => [
      one.key,
      { ...one, values: [...one.values.slice(Math.min(shift, grid.n)), ...new Array<Cell>(Math.min(shift, grid.n)).fill(null)] },
    ]),
  )
  for (const { key, name, labels, value } of values) {
    let one = moved.get(key)
    if (!one) {
      one = { key, name, labels, values: new Array<Cell>(grid.n).fill(null) }
      moved.set(key, one)
    }
    one.values[grid.n - 1] = value
  }
  const alive = [...moved.values()].filter((one) => one.values.some((cell) => cell !== null))
  return { grid: { ...grid, startMs: grid.startMs + shift * grid.stepMs }, series: alive }
}

/** The time of a series' first value, ms; null when it has none. */
export function firstMs(grid: Grid, cells: readonly Cell[]): number | null {
  const i = cells.findIndex((cell) => cell !== null)
  return i < 0 ? null : grid.startMs + i * grid.stepMs
}

export function lastOf(cells: readonly Cell[]): Cell {
  for (let i = cells.length - 1; i >= 0; i--) if (cells[i] !== null) return cells[i]!
  return null
}

/** The newest value, when it is no older than `steps` steps: a legend must not show what ended long ago as if it were now. */
export function currentOf(cells: readonly Cell[], steps: number): Cell {
  return lastOf(cells.slice(-Math.max(1, steps)))
}
