// What the person chose. The URL is the state: every choice is in it, so a copied address shows the same picture.

import { computed, effect, signal } from '@preact/signals'

import type { Theme } from './palette'
import { DEFAULT, type Range, timeMs } from './range'

export type Page = 'overview' | 'targets' | 'explore' | 'why' | 'doctor'
export const PAGES: { id: Page; title: string; key: string }[] = [
  { id: 'overview', title: 'Overview', key: 'o' },
  { id: 'targets', title: 'Targets', key: 't' },
  { id: 'explore', title: 'Explore', key: 'e' },
  { id: 'why', title: 'Bottleneck', key: 'b' },
  { id: 'doctor', title: 'Doctor', key: 'd' },
]

const params = new URLSearchParams(location.search)

export const page = signal<Page>(pageOf(location.hash))
export const range = signal<Range>({ from: params.get('from') ?? DEFAULT.from, to: params.get('to') ?? DEFAULT.to })
export const agent = signal(params.get('agent') ?? '')
export const expr = signal(params.get('expr') ?? '')
/** Whether there is an event stream at all: `live=0` serves pictures and reports. */
export const live = signal(params.get('live') !== '0')
export const paused = signal(false)
/** A time that stands still, for pictures. */
export const fixedNow = params.get('now') ? timeMs(params.get('now')!, Date.now()) : null

/** Ranges before the zooms, the last one on top. */
export const zooms = signal<Range[]>([])

type Choice = Theme | 'auto'
const darkMedia = typeof matchMedia === 'function' ? matchMedia('(prefers-color-scheme: dark)') : null
const systemDark = signal(darkMedia?.matches ?? false)
darkMedia?.addEventListener('change', (event) => (systemDark.value = event.matches))

export const themeChoice = signal<Choice>(themeOf(params.get('theme') ?? remembered('theme')))
export const theme = computed<Theme>(() =>
  themeChoice.value === 'auto' ? (systemDark.value ? 'dark' : 'light') : themeChoice.value,
)

/** The queries' `agent=~` for the choice of one agent; empty for all. */
export const agentPattern = computed(() => agent.value.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))

export function nowMs(): number {
  return fixedNow ?? Date.now()
}

export function toggleTheme(): void {
  themeChoice.value = theme.value === 'dark' ? 'light' : 'dark'
  remember('theme', themeChoice.value)
}

export function goTo(next: Page): void {
  if (page.value === next) return
  history.pushState(null, '', address({}, next))
  page.value = next
}

/** The address of the page as it is, with other parameters where given. */
export function address(changes: Record<string, string> = {}, hash: Page = page.value): string {
  const wanted: Record<string, string> = {
    from: range.value.from === DEFAULT.from && range.value.to === DEFAULT.to ? '' : range.value.from,
    to: range.value.to === DEFAULT.to ? '' : range.value.to,
    agent: agent.value,
    expr: expr.value,
    theme: params.has('theme') || themeChoice.value !== 'auto' ? themeChoice.value : '',
    live: live.value ? '' : '0',
    now: params.get('now') ?? '',
    ...changes,
  }
  const kept = new URLSearchParams(Object.entries(wanted).filter(([, value]) => value !== '' && value !== 'auto'))
  const query = kept.toString()
  return `${location.pathname}${query ? `?${query}` : ''}${hash === 'overview' ? '' : `#/${hash}`}`
}

/** Keep the address bar, the browser's back button and the document in step with the signals. */
export function followAddress(): void {
  effect(() => history.replaceState(null, '', address()))
  effect(() => {
    document.documentElement.dataset.theme = theme.value
  })
  addEventListener('popstate', () => {
    const next = new URLSearchParams(location.search)
    page.value = pageOf(location.hash)
    range.value = { from: next.get('from') ?? DEFAULT.from, to: next.get('to') ?? DEFAULT.to }
    agent.value = next.get('agent') ?? ''
    expr.value = next.get('expr') ?? ''
  })
  addEventListener('hashchange', () => (page.value = pageOf(location.hash)))
}

function pageOf(hash: string): Page {
  const name = hash.replace(/^#\/?/, '')
  return PAGES.find((one) => one.id === name)?.id ?? 'overview'
}

function themeOf(text: string | null): Choice {
  return text === 'light' || text === 'dark' ? text : 'auto'
}

function remembered(key: string): string | null {
  try {
    return localStorage.getItem(`agentgauge.${key}`)
  } catch {
    return null // storage is off: the choice lasts as long as the page
  }
}

function remember(key: string, value: string): void {
  try {
    localStorage.setItem(`agentgauge.${key}`, value)
  } catch {
    // as above
  }
}
