// The span of time on display, as text in the URL: `now`, `now-15m`, milliseconds since the epoch, or ISO 8601.

export interface Range {
  from: string
  to: string
}

export interface Bounds {
  startMs: number
  endMs: number
}

export const PRESETS = ['5m', '15m', '1h', '6h', '24h', '7d'] as const
export const DEFAULT: Range = { from: 'now-15m', to: 'now' }

const UNIT_MS: Record<string, number> = { s: 1e3, m: 60e3, h: 3600e3, d: 86_400e3, w: 604_800e3 }
const MIN_RANGE_MS = 10_000

export function durationMs(text: string): number | null {
  const match = /^(\d+(?:\.\d+)?)([smhdw])$/.exec(text.trim())
  return match ? Number(match[1]) * UNIT_MS[match[2]!]! : null
}

export function timeMs(text: string, nowMs: number): number | null {
  const trimmed = text.trim()
  if (trimmed === 'now') return nowMs
  if (trimmed.startsWith('now-')) {
    const back = durationMs(trimmed.slice(4))
    return back === null ? null : nowMs - back
  }
  if (/^\d{9,16}$/.test(trimmed)) return Number(trimmed) < 1e11 ? Number(trimmed) * 1000 : Number(trimmed)
  const parsed = /^\d{4}-\d\d/.test(trimmed) ? Date.parse(trimmed) : NaN
  return Number.isNaN(parsed) ? null : parsed
}

/** Start and end; null when the text is no time or the end is not after the start. */
export function bounds(range: Range, nowMs: number): Bounds | null {
  const startMs = timeMs(range.from, nowMs)
  const endMs = timeMs(range.to, nowMs)
  return startMs === null || endMs === null || endMs - startMs < MIN_RANGE_MS ? null : { startMs, endMs }
}

export function follows(range: Range): boolean {
  return range.to === 'now' && range.from.startsWith('now-')
}

/** The preset that a range is, or null. */
export function presetOf(range: Range): string | null {
  return follows(range) ? (PRESETS.find((preset) => range.from === `now-${preset}`) ?? null) : null
}

/** Half a range back (-1) or forth (+1); a range that reaches now follows it again. */
export function shifted(range: Range, direction: -1 | 1, nowMs: number): Range {
  const now = bounds(range, nowMs)
  if (!now) return DEFAULT
  const width = now.endMs - now.startMs
  const endMs = now.endMs + (direction * width) / 2
  const preset = PRESETS.find((one) => durationMs(one) === Math.round(width / 1000) * 1000)
  if (endMs >= nowMs - 1000) return preset ? { from: `now-${preset}`, to: 'now' } : { from: `now-${Math.round(width / 1000)}s`, to: 'now' }
  return { from: String(Math.round(endMs - width)), to: String(Math.round(endMs)) }
}
