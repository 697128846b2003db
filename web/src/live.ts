// One event stream per tab, never one per chart: HTTP/1.1 gives a browser six connections to a server in all.
// It stops while the tab is hidden or the person has paused it; when it comes back, the hole is filled by queries.

import { computed, effect, signal, untracked } from '@preact/signals'

import { type Tick, liveUrl } from './api'
import { applyTick, load, panels, tick } from './frames'
import { bounds, follows } from './range'
import { agentPattern, fixedNow, live, nowMs, page, paused, range } from './state'

export type Connection = 'off' | 'connecting' | 'live' | 'reconnecting' | 'paused'

const MISSED_TICKS = 3
/** A server too busy for its ticks must not be asked for everything again at each of them. */
const REFILL_EVERY_MS = 10_000

export const hidden = signal(typeof document !== 'undefined' && document.visibilityState === 'hidden')
/** The browser's clock, once a second, for what is so and so many seconds old. */
export const second = signal(Date.now())
const connected = signal(false)
const everConnected = signal(false)
const lastTickAt = signal(0)

const wanted = computed(
  () => live.value && !paused.value && !hidden.value && fixedNow === null && follows(range.value) && page.value === 'overview',
)

export const connection = computed<Connection>(() => {
  if (!live.value || fixedNow !== null || page.value !== 'overview') return 'off'
  if (paused.value || !follows(range.value)) return 'paused'
  if (connected.value) return 'live'
  return everConnected.value ? 'reconnecting' : 'connecting'
})

/** How old what is shown is, ms; null before anything is shown. */
export const behindMs = computed(() => (tick.value ? Math.max(0, second.value - tick.value.t_ms) : null))

/** Whether three ticks in a row did not come. */
export const stale = computed(() => {
  const every = (panels.value?.interval_s ?? 5) * 1000
  return connection.value !== 'paused' && connection.value !== 'off' && lastTickAt.value > 0
    ? second.value - lastTickAt.value > MISSED_TICKS * every + 1000
    : false
})

export function pause(): void {
  paused.value = true
}

export function resume(): void {
  if (!follows(range.value)) range.value = { from: `now-${widthText()}`, to: 'now' }
  paused.value = false
}

function widthText(): string {
  const span = bounds(range.value, nowMs())
  return span ? `${Math.max(10, Math.round((span.endMs - span.startMs) / 1000))}s` : '15m'
}

/** Open and close the stream as the page needs it, for as long as the page lives. */
export function startLive(): void {
  document.addEventListener('visibilitychange', () => (hidden.value = document.visibilityState === 'hidden'))
  setInterval(() => (second.value = Date.now()), 1000)
  let wasOpen = false
  effect(() => {
    if (!wanted.value) return
    const span = bounds(untracked(() => range.value), nowMs())
    void range.value
    if (!span) return
    if (wasOpen) void load() // fill what was missed while the stream was closed
    wasOpen = true
    return connect(liveUrl((span.endMs - span.startMs) / 1000, agentPattern.value))
  })
}

let refilledAt = 0

function connect(url: string): () => void {
  const source = new EventSource(url)
  source.addEventListener('open', () => {
    connected.value = true
    everConnected.value = true
  })
  source.addEventListener('error', () => (connected.value = false))
  source.addEventListener('tick', (event) => {
    connected.value = true
    lastTickAt.value = Date.now()
    second.value = Date.now()
    const whole = applyTick(JSON.parse((event as MessageEvent<string>).data) as Tick)
    if (whole || Date.now() - refilledAt < REFILL_EVERY_MS) return
    refilledAt = Date.now()
    void load()
  })
  return () => {
    connected.value = false
    source.close()
  }
}
