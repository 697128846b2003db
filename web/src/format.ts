// Numbers as a person reads them. Missing is an en dash, never 0.

import type { Cell, Labels } from './align'

export const MISSING = '–'

/** Units that stand beside every value; of the others the title speaks. */
const SPOKEN = new Set(['seconds', 'ratio', 'MiB'])

/** A number and its unit, apart, so that a tile can set them in two sizes. */
export interface Quantity {
  value: string
  unit: string
}

export function legendOf(legend: string, labels: Labels): string {
  const filled = legend.replace(/\{\{\s*(\w+)\s*\}\}/g, (_, name: string) => labels[name] ?? '').trim()
  if (filled) return filled
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${value}"`)
  return legend ? 'none' : pairs.length ? `{${pairs.join(', ')}}` : 'value'
}

export function quantity(value: Cell | undefined, unit: string): Quantity {
  if (value === null || value === undefined || !Number.isFinite(value)) return { value: MISSING, unit: '' }
  if (unit === 'seconds') return seconds(value)
  if (unit === 'ratio') return { value: digits(value * 100), unit: '%' }
  const scaled = compact(value)
  if (unit === 'count') return { value: Number.isInteger(value) ? compactInteger(value) : scaled, unit: '' }
  return { value: scaled, unit }
}

export function text(value: Cell | undefined, unit: string): string {
  const { value: number, unit: name } = quantity(value, unit)
  return name && SPOKEN.has(unit) ? `${number} ${name}` : number
}

function seconds(value: number): Quantity {
  const size = Math.abs(value)
  if (size === 0) return { value: '0', unit: 's' }
  if (size < 0.9995) return { value: digits(value * 1000), unit: 'ms' }
  if (size < 119.5) return { value: digits(value), unit: 's' }
  if (size < 7195) return { value: digits(value / 60), unit: 'min' }
  return { value: digits(value / 3600), unit: 'h' }
}

function compactInteger(value: number): string {
  return Math.abs(value) < 10_000 ? String(value) : compact(value)
}

function compact(value: number): string {
  const size = Math.abs(value)
  if (size >= 999.5e6) return `${digits(value / 1e9)}G`
  if (size >= 999.5e3) return `${digits(value / 1e6)}M`
  if (size >= 9_995) return `${digits(value / 1e3)}k`
  return digits(value)
}

/** Three digits at most after which nothing matters: 0.0042, 0.42, 4.2, 42, 420, 4200. */
export function digits(value: number): string {
  const size = Math.abs(value)
  if (size === 0) return '0'
  if (size >= 99.95) return value.toFixed(0)
  if (size >= 9.995) return value.toFixed(size >= 19.95 ? 0 : 1)
  if (size >= 0.995) return value.toFixed(1)
  if (size >= 0.0995) return value.toFixed(2)
  return Number(value.toPrecision(2)).toString()
}

export function tick(value: number, unit: string): string {
  if (value === 0) return '0'
  if (unit === 'ratio') return `${trim(value * 100)}%`
  if (unit === 'seconds') {
    if (value < 1) return `${trim(value * 1000)} ms`
    return value < 120 ? `${trim(value)} s` : value < 7200 ? `${trim(value / 60)} m` : `${trim(value / 3600)} h`
  }
  if (unit === 'MiB') return `${trim(value)} MiB`
  return value >= 1e6 ? `${trim(value / 1e6)}M` : value >= 1e4 ? `${trim(value / 1e3)}k` : trim(value)
}

function trim(value: number): string {
  return Number(value.toPrecision(4)).toString()
}

export function clock(ms: number, withSeconds = true): string {
  const date = new Date(ms)
  const two = (n: number) => String(n).padStart(2, '0')
  const minutes = `${two(date.getHours())}:${two(date.getMinutes())}`
  return withSeconds ? `${minutes}:${two(date.getSeconds())}` : minutes
}

export function dateTime(ms: number): string {
  const date = new Date(ms)
  const two = (n: number) => String(n).padStart(2, '0')
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${clock(ms)}`
}

export function ago(ms: number): string {
  const s = Math.max(0, Math.round(ms / 1000))
  if (s < 120) return `${s} s`
  if (s < 7200) return `${Math.round(s / 60)} min`
  return s < 172_800 ? `${Math.round(s / 3600)} h` : `${Math.round(s / 86_400)} days`
}

/** Relative change; null when it says nothing: no value before, or before was zero. */
export function change(now: Cell | undefined, before: Cell | undefined): number | null {
  if (now === null || now === undefined || before === null || before === undefined || before === 0) return null
  return (now - before) / Math.abs(before)
}

/** A relative change in words: in percent until it doubles, then how many times as much. */
export function changeText(delta: number): string {
  return delta >= 1 ? `▲ ${digits(1 + delta)}×` : `${delta > 0 ? '▲' : '▼'} ${text(Math.abs(delta), 'ratio')}`
}
