// What each chart shows: its series on the page's grid, or why there are none.

import { type Signal, batch, computed, signal } from '@preact/signals'

import { type Grid, type Labels, type Series, alignSeries, appendStep, endOf, firstMs, gridOf, keyOf } from './align'
import {
  type PanelDef,
  type Panels,
  type Tick,
  fetchOverview,
  fetchPanels,
  metricNames,
  queryRange,
} from './api'
import { legendOf } from './format'
import { bounds, follows } from './range'
import { agentPattern, fixedNow, nowMs, page, range } from './state'

export type FrameState = 'loading' | 'ok' | 'absent' | 'none' | 'empty' | 'error'

export interface Frame {
  state: FrameState
  grid: Grid
  series: Series[]
  message: string
}

const NO_GRID: Grid = { startMs: 0, stepMs: 1000, n: 1 }
const NOTHING: Frame = { state: 'loading', grid: NO_GRID, series: [], message: '' }

export const panels = signal<Panels | null>(null)
export const tick = signal<Tick | null>(null)
/** The metrics that the server knows; null until it said so. */
export const known = signal<Set<string> | null>(null)
/** Why nothing can be shown at all; empty when all is well. */
export const failure = signal('')

/** Reported by everything of ours: with it, counters of trouble that are not there say that there was none. */
const REPORTING = 'agentgauge_build_info'

const frames = new Map<string, Signal<Frame>>()

export function frameOf(panelId: string): Signal<Frame> {
  let frame = frames.get(panelId)
  if (!frame) frames.set(panelId, (frame = signal(NOTHING)))
  return frame
}

export function panelsOf(kind: PanelDef['kind'], page: PanelDef['page'] = 'overview'): PanelDef[] {
  return panels.value?.panels.filter((panel) => panel.kind === kind && panel.page === page) ?? []
}

/** A tile's sparkline is a chart too, unless its value is picked among several series. */
function isDrawn(panel: PanelDef): boolean {
  return panel.page === 'overview' && (panel.kind === 'chart' || (panel.kind === 'tile' && !panel.hints.pick))
}

/** Least width of young data on display: three points should not look like a history. */
const YOUNG_WIDTH_MS = 60_000

/** Where the charts begin: at the range's start, or, while everything is younger than that, where the data begins. */
export const beginMs = computed<number | null>(() => {
  const drawn = panels.value?.panels.filter((panel) => panel.kind === 'chart' && panel.page === page.value).map((panel) => frameOf(panel.id).value) ?? []
  return beginOf(drawn)
})

export function beginOf(drawn: { grid: Grid; series: Series[] }[]): number | null {
  const firsts = drawn.flatMap(({ grid, series }) => series.map((one) => firstMs(grid, one.values))).filter((ms) => ms !== null)
  const grid = drawn.find((one) => one.series.length)?.grid
  if (!grid || !firsts.length || !follows(range.value)) return null
  return Math.max(grid.startMs, Math.min(Math.min(...firsts), endOf(grid) - YOUNG_WIDTH_MS))
}

let loading: AbortController | null = null

/** Ask for everything anew; a load that is under way is given up. Resolves when all panels have their answer. */
export async function load(): Promise<void> {
  loading?.abort()
  const mine = (loading = new AbortController())
  const span = bounds(range.value, nowMs())
  if (!span) {
    failure.value = `The time range “${range.value.from} to ${range.value.to}” is not one.`
    return
  }
  const rangeS = (span.endMs - span.startMs) / 1000
  const tMs = follows(range.value) && fixedNow === null ? undefined : span.endMs
  try {
    const [table, first, names] = await Promise.all([
      fetchPanels(rangeS, agentPattern.value),
      fetchOverview(rangeS, agentPattern.value, tMs),
      metricNames(),
    ])
    if (mine.signal.aborted) return
    batch(() => {
      panels.value = table
      tick.value = first
      known.value = new Set(names)
      failure.value = ''
    })
    const grid = gridOf(span.startMs, span.endMs, table.step_s * 1000)
    await Promise.all(table.panels.filter(isDrawn).map((panel) => loadPanel(panel, grid, mine.signal)))
  } catch (error) {
    if (!mine.signal.aborted) failure.value = error instanceof Error ? error.message : String(error)
  }
}

/** Ask for the charts of a page that no tick feeds; each call moves them on to now. */
export async function loadChartsOf(wanted: PanelDef['page']): Promise<void> {
  loading?.abort()
  const mine = (loading = new AbortController())
  const span = bounds(range.value, nowMs())
  if (!span) return
  try {
    const [table, names] = await Promise.all([fetchPanels((span.endMs - span.startMs) / 1000, ''), metricNames()])
    if (mine.signal.aborted) return
    batch(() => {
      panels.value = table
      known.value = new Set(names)
      failure.value = ''
    })
    const grid = gridOf(span.startMs, span.endMs, table.step_s * 1000)
    await Promise.all(panelsOf('chart', wanted).map((panel) => loadPanel(panel, grid, mine.signal)))
  } catch (error) {
    if (!mine.signal.aborted) failure.value = error instanceof Error ? error.message : String(error)
  }
}

export async function reloadPanel(panel: PanelDef): Promise<void> {
  const frame = frameOf(panel.id)
  frame.value = { ...frame.value, state: 'loading' }
  await loadPanel(panel, frame.value.grid, new AbortController().signal)
}

async function loadPanel(panel: PanelDef, grid: Grid, signal: AbortSignal): Promise<void> {
  const frame = frameOf(panel.id)
  try {
    const answers = await Promise.all(panel.queries.map((query) => queryRange(query.expr, grid, signal)))
    if (signal.aborted) return
    const series = answers
      .flatMap((matrix, i) => alignSeries(matrix, grid, i, panel.queries[i]!.legend))
      .filter((one) => one.values.some((cell) => cell !== null))
    frame.value = { state: stateOf(panel, series), grid, series, message: '' }
  } catch (error) {
    if (signal.aborted) return
    frame.value = { state: 'error', grid, series: [], message: error instanceof Error ? error.message : String(error) }
  }
}

export function stateOf(panel: PanelDef, series: Series[]): FrameState {
  if (series.length) return 'ok'
  if (panel.hints.none && known.value?.has(REPORTING)) return 'none'
  return missingMetrics(panel).length ? 'absent' : 'empty'
}

/** The metrics of a panel that nobody ever reported. A histogram is known by its buckets. */
export function missingMetrics(panel: PanelDef): string[] {
  const names = known.value
  if (!names) return []
  return panel.metrics.filter((name) => !names.has(name) && !names.has(`${name}_bucket`) && !names.has(`${name}_count`))
}

/** Put a tick on the page. False when the charts have a hole before it, which only `load` can fill. */
export function applyTick(next: Tick): boolean {
  if (!panels.value) return false
  let whole = true
  batch(() => {
    tick.value = next
    const chartsMs = next.charts_ms
    if (chartsMs === null) return
    for (const panel of panels.value!.panels.filter(isDrawn)) {
      const frame = frameOf(panel.id)
      const { grid, series, state } = frame.value
      if (state === 'loading') continue
      if (chartsMs - endOf(grid) > grid.stepMs * 1.5) whole = false
      const values = (next.values[panel.id] ?? []).flatMap((rows, query) =>
        rows.map(([labels, value]) => ({
          key: keyOf(query, labels),
          name: legendOf(panel.queries[query]!.legend, labels),
          labels: labels as Labels,
          value,
        })),
      )
      const moved = appendStep(grid, series, chartsMs, values)
      const message = next.errors[panel.id] ?? ''
      if (message && !moved.series.length) frame.value = { state: 'error', ...moved, message }
      else frame.value = { state: moved.series.length ? 'ok' : state === 'ok' ? 'empty' : state, ...moved, message }
    }
  })
  return whole
}
