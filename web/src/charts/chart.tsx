// One uPlot chart. uPlot draws; the legend, the summary and the spoken cursor are ours, because a canvas says nothing.

import { useSignal } from '@preact/signals'
import { useEffect, useMemo, useRef } from 'preact/hooks'
import uPlot from 'uplot'
import 'uplot/dist/uPlot.min.css'

import { type Cell, type Grid, type Series, currentOf, timesOf } from '../align'
import { clock, dateTime, text, tick as tickText } from '../format'
import { CARD, DASHES, GRID, MUTED, type Theme, seriesColor, withAlpha } from '../palette'
import { foldOf, limitSeries, stackValues, withHeight } from '../stack'
import { theme } from '../state'

export const PLOT_HEIGHT_PX = 180
const SYNC_KEY = 'page'
const MIN_ZOOM_PX = 4
const MIN_AXIS_PX = 52
const Y_GAP_PX = 6
const RIGHT_PX = 12
const HALF_LABEL_PX = 26
const AXIS_FONT = '11px system-ui, sans-serif'

export interface ChartProps {
  title: string
  unit: string
  grid: Grid
  series: Series[]
  stack?: boolean
  keepOrder?: boolean
  /** Where the time axis begins; the grid's start when null. */
  beginMs?: number | null
  onZoom?: (startMs: number, endMs: number) => void
}

export function Chart({ title, unit, grid, series, stack = false, keepOrder = false, beginMs = null, onZoom }: ChartProps) {
  const host = useRef<HTMLDivElement>(null)
  const plot = useRef<uPlot | null>(null)
  const hover = useSignal<number | null>(null)
  const spoken = useSignal('')
  const focused = useSignal(-1)
  const zoom = useRef(onZoom)
  zoom.current = onZoom
  const begin = useRef(beginMs)
  begin.current = beginMs

  const shown = useMemo(
    () => limitSeries(stack ? withHeight(series) : series, foldOf(unit), keepOrder),
    [series, unit, stack, keepOrder],
  )
  const data = useMemo<uPlot.AlignedData>(() => {
    const columns = shown.map((one) => one.values)
    return [timesOf(grid), ...(stack ? stackValues(columns) : columns)] as uPlot.AlignedData
  }, [shown, grid, stack])
  const shape = `${theme.value}|${stack}|${unit}|${shown.map((one) => one.key).join('|')}`

  useEffect(() => {
    const element = host.current!
    const options = optionsFor(theme.value, unit, stack, shown, element.clientWidth || 400, {
      begin: () => begin.current,
      onHover: (index) => (hover.value = index),
      onZoom: (startMs, endMs) => zoom.current?.(startMs, endMs),
    })
    const chart = new uPlot(options, data, element)
    plot.current = chart
    const observer = new ResizeObserver(() => {
      const width = element.clientWidth
      if (width > 0 && width !== chart.width) chart.setSize({ width, height: PLOT_HEIGHT_PX })
    })
    observer.observe(element)
    return () => {
      observer.disconnect()
      chart.destroy()
      plot.current = null
    }
  }, [shape])

  useEffect(() => {
    plot.current?.setData(data)
  }, [data, beginMs])

  const index = hover.value
  const valueAt = (one: Series): Cell => (index === null ? currentOf(one.values, 3) : (one.values[index] ?? null))
  const summary = `${title}. ${shown.map((one) => `${one.name} ${text(currentOf(one.values, 3), unit)}`).join(', ')}.`

  function moveCursor(event: KeyboardEvent): void {
    const step = event.key === 'ArrowLeft' ? -1 : event.key === 'ArrowRight' ? 1 : 0
    const chart = plot.current
    if (!step || !chart) return
    event.preventDefault()
    const next = Math.min(grid.n - 1, Math.max(0, (hover.value ?? grid.n - 1) + (hover.value === null ? 0 : step)))
    const time = grid.startMs + next * grid.stepMs
    chart.setCursor({ left: chart.valToPos(time / 1000, 'x'), top: PLOT_HEIGHT_PX / 3 })
    hover.value = next
    spoken.value = `${clock(time)}: ${shown.map((one) => `${one.name} ${text(one.values[next], unit)}`).join(', ')}`
  }

  function highlight(i: number): void {
    focused.value = i
    plot.current?.setSeries(i < 0 ? null : i + 1, { focus: true })
  }

  return (
    <div class="chart">
      <div
        class="plot"
        ref={host}
        role="img"
        aria-label={summary}
        tabIndex={0}
        onKeyDown={moveCursor}
        onBlur={() => (hover.value = null)}
      />
      <div class="legend">
        {index !== null && <span class="legend-time">{clock(grid.startMs + index * grid.stepMs)}</span>}
        {shown.map((one, i) => (
          <span
            key={one.key}
            class={`legend-item${focused.value >= 0 && focused.value !== i ? ' faded' : ''}`}
            title={one.name}
            onMouseEnter={() => highlight(i)}
            onMouseLeave={() => highlight(-1)}
          >
            <Swatch theme={theme.value} index={i} filled={stack} />
            <span class="legend-name">{one.name}</span>
            <span class="legend-value">{text(valueAt(one), unit)}</span>
          </span>
        ))}
      </div>
      <div class="sr-only" aria-live="polite">
        {spoken.value}
      </div>
    </div>
  )
}

function Swatch({ theme: name, index, filled }: { theme: Theme; index: number; filled: boolean }) {
  const color = seriesColor(name, index)
  return (
    <svg class="swatch" width="16" height="10" aria-hidden="true">
      {filled ? (
        <rect x="3" y="0" width="10" height="10" rx="2" fill={withAlpha(color, 0.4)} stroke={color} />
      ) : (
        <line x1="0" x2="16" y1="5" y2="5" stroke={color} stroke-width="2.5" stroke-dasharray={DASHES[index]?.join(' ')} />
      )}
    </svg>
  )
}

interface Hooks {
  begin: () => number | null
  onHover: (index: number | null) => void
  onZoom: (startMs: number, endMs: number) => void
}

function optionsFor(name: Theme, unit: string, stack: boolean, shown: Series[], width: number, hooks: Hooks): uPlot.Options {
  const axis = { stroke: MUTED[name], font: AXIS_FONT, grid: { stroke: GRID[name], width: 1 }, ticks: { show: false } }
  return {
    width,
    height: PLOT_HEIGHT_PX,
    padding: [10, RIGHT_PX, 0, 0],
    legend: { show: false },
    focus: { alpha: 0.25 },
    cursor: {
      // Only the pointer is shared: a drag belongs to one chart, or each of them would zoom.
      sync: { key: SYNC_KEY, setSeries: false, filters: { pub: isPointer, sub: isPointer } },
      focus: { prox: 24 },
      drag: { x: true, y: false, setScale: false },
      points: { size: 7, fill: (u, i) => String((u.series[i] as { lineColor?: string }).lineColor ?? CARD[name]) },
    },
    scales: {
      x: { time: true, range: (_u, min, max) => [Math.max(min, (hooks.begin() ?? 0) / 1000), max] },
      y: { range: (_u, _min, max) => [0, ceilingOf(max, unit, stack)] },
    },
    axes: [
      { ...axis, size: 26, gap: 4, space: 64, values: (u, splits) => splits.map((s, i) => (isCut(u, s) ? '' : timeTick(s, splits, i))) },
      { ...axis, size: axisWidth, gap: Y_GAP_PX, space: 34, values: (_u, splits) => splits.map((s) => tickText(s, unit)) },
    ],
    series: [{}, ...shown.map((one, i) => lineOf(one, i, name, stack))],
    ...(stack ? { bands: shown.slice(1).map((_, i): uPlot.Band => ({ series: [i + 2, i + 1] })) } : {}),
    hooks: {
      setCursor: [(u) => hooks.onHover(u.cursor.idx ?? null)],
      setSelect: [
        (u) => {
          if (u.select.width <= MIN_ZOOM_PX) return
          const start = u.posToVal(u.select.left, 'x') * 1000
          const end = u.posToVal(u.select.left + u.select.width, 'x') * 1000
          u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false)
          hooks.onZoom(start, end)
        },
      ],
    },
  }
}

function lineOf(one: Series, index: number, name: Theme, stack: boolean): uPlot.Series {
  const color = seriesColor(name, index)
  return {
    label: one.name,
    stroke: color,
    width: stack ? 1 : 1.75,
    spanGaps: false,
    // A line needs two points; the first of them would not be seen.
    points: { show: (u, i) => (u.data[i] as Cell[]).filter((cell) => cell !== null).length < 3, size: 5, fill: color },
    ...(stack ? { fill: withAlpha(color, 0.4) } : DASHES[index]?.length ? { dash: [...DASHES[index]!] } : {}),
  }
}

/** Room for the longest label, and never less than most charts need, so that their times stand below each other. */
function axisWidth(u: uPlot, labels: string[] | null): number {
  const longest = (labels ?? []).reduce((longer, label) => (label.length > longer.length ? label : longer), '')
  u.ctx.font = AXIS_FONT
  return Math.max(MIN_AXIS_PX, Math.ceil(u.ctx.measureText(longest).width) + Y_GAP_PX + 4)
}

/** Whether the label of a time would be cut by the right edge. */
function isCut(u: uPlot, seconds: number): boolean {
  const { min, max } = u.scales.x ?? {}
  if (min == null || max == null || max <= min) return false
  const fromRightPx = ((max - seconds) / (max - min)) * (u.width - MIN_AXIS_PX - RIGHT_PX) + RIGHT_PX
  return fromRightPx < HALF_LABEL_PX
}

function isPointer(type: string): boolean {
  return type !== 'mousedown' && type !== 'mouseup'
}

function ceilingOf(max: number | null, unit: string, stack: boolean): number {
  if (max === null || max <= 0) return unit === 'ratio' ? 0.01 : 1
  return unit === 'ratio' && stack ? 1 : max * 1.08
}

function timeTick(seconds: number, splits: number[], index: number): string {
  const step = (splits[1] ?? seconds) - (splits[0] ?? seconds)
  if (step >= 86_400) return dateTime(seconds * 1000).slice(5, 10)
  const midnight = dateTime(seconds * 1000).slice(11, 16) === '00:00'
  if (midnight && index > 0) return dateTime(seconds * 1000).slice(5, 10)
  return clock(seconds * 1000, step < 60)
}
