// What the page asks of its server: PANELS, ticks, and the Prometheus HTTP API like anybody else.

import type { Cell, Grid, Labels, MatrixSeries } from './align'
import { endOf } from './align'

export interface PanelDef {
  id: string
  title: string
  question: string
  kind: 'tile' | 'chart' | 'column'
  page: 'overview' | 'doctor'
  unit: string
  help: string
  source: string
  metrics: string[]
  window_s: number
  queries: { expr: string; legend: string }[]
  hints: { stack?: boolean; good?: 'up' | 'down'; pick?: string; drill?: string; min_window_s?: number; none?: string }
}

export interface Panels {
  version: string
  interval_s: number
  step_s: number
  range_s: number
  panels: PanelDef[]
}

/** Labels, value, and for panels that pick a component, its words. */
export type TickValue = [Labels, Cell, string?]

export interface Tick {
  t_ms: number
  previous_ms: number
  /** The step whose chart values are in this tick; null when it has none. */
  charts_ms: number | null
  sentence: string
  level: 'empty' | 'quiet' | 'ok' | 'warn' | 'bad'
  facts: { ever_seen: boolean; n_agents: number | null; n_targets: number | null; n_targets_down: number | null }
  values: Record<string, TickValue[][]>
  previous: Record<string, TickValue[][]>
  errors: Record<string, string>
}

/** What `agentgauge why --json` prints; seconds are per task, shares of a task's mean time. */
export interface WhyAnswer {
  window_seconds: number
  k: number
  agents: WhyAgent[]
  missing: { metric: string; says: string; do: string } | null
  queries: Record<string, string>
}

export interface WhyAgent {
  agent: string
  tasks: number
  seconds_per_task: number
  sentence: string
  bottleneck: { kind: 'component' | 'loop' | 'retries'; component: string; name: string; label: string; share: number } | null
  path: WhyPart[]
  slow: WhySlow | null
  waste: {
    tokens: Record<string, number>
    wasted_share: number
    repeated: { label: string; per_task: number; share_of_calls: number; cost_seconds: number }[]
    retry_seconds: number
    backoff_seconds: number
  }
  caveats: string[]
}

export interface WhyPart {
  component: string
  name: string
  label: string
  seconds: number
  share: number
  alone_share: number | null
  calls: number
  seconds_per_call: number
  what_if: {
    low_share: number | null
    high_share: number | null
    low_seconds: number | null
    high_seconds: number | null
    high_seconds_without_waits: number | null
    reason: string
    says: string
  }
}

export interface WhySlow {
  normal: { tasks: number; seconds_per_task: number }
  slow: { tasks: number; seconds_per_task: number }
  gap_seconds: number
  parts: WhyChange[]
}

export interface WhyChange {
  label: string
  calls_normal: number
  calls_slow: number
  seconds_per_call_normal: number
  seconds_per_call_slow: number
  more_calls_seconds: number
  slower_calls_seconds: number
}

export interface Target {
  labels: Labels
  scrapeUrl: string
  health: string
  lastError: string
  lastScrape: string
  lastScrapeDuration: number
  scrapeInterval: string
}

export interface InstantSeries {
  metric: Labels
  value: [number, string]
}

export type Verdict = 'ok' | 'warn' | 'bad' | 'unknown'

/** One check of the doctor: what it looked at, what it saw, and the command that mends it. */
export interface Finding {
  check: string
  title: string
  group: string
  verdict: Verdict
  looked_at: string
  detail: string
  mend: string
}

export interface Diagnosis {
  t_ms: number
  healthy: boolean
  counts: Record<Verdict, number>
  findings: Finding[]
}

interface Envelope<T> {
  status: 'success' | 'error'
  data: T
  error?: string
  warnings?: string[]
}

export class ApiError extends Error {}

async function answer(path: string, init?: RequestInit): Promise<Response> {
  try {
    return await fetch(path, init)
  } catch (cause) {
    if (cause instanceof DOMException && cause.name === 'AbortError') throw cause
    throw new ApiError('The server does not answer. Is `agentgauge serve` still running?')
  }
}

async function json<T>(path: string, init?: RequestInit): Promise<T> {
  const response = await answer(path, init)
  if (!response.ok) throw new ApiError((await response.text()) || `HTTP ${response.status}`)
  return (await response.json()) as T
}

async function prometheus<T>(path: string, form?: Record<string, string>, signal?: AbortSignal): Promise<T> {
  const init: RequestInit = form ? { method: 'POST', body: new URLSearchParams(form) } : {}
  const response = await answer(`api/v1/${path}`, signal ? { ...init, signal } : init)
  let body: Envelope<T>
  try {
    body = (await response.json()) as Envelope<T>
  } catch {
    throw new ApiError(`HTTP ${response.status}: no JSON in the answer`)
  }
  if (body.status !== 'success') throw new ApiError(body.error ?? `HTTP ${response.status}`)
  return body.data
}

function viewParams(rangeS: number, agent: string): string {
  const params = new URLSearchParams({ range: String(Math.round(rangeS * 1000) / 1000) })
  if (agent) params.set('agent', agent)
  return params.toString()
}

export const fetchPanels = (rangeS: number, agent: string) => json<Panels>(`api/panels?${viewParams(rangeS, agent)}`)

export const fetchOverview = (rangeS: number, agent: string, tMs?: number) =>
  json<Tick>(`api/overview?${viewParams(rangeS, agent)}${tMs ? `&t_ms=${Math.round(tMs)}` : ''}`)

export const fetchWhy = (rangeS: number, agent: string, tMs: number) =>
  json<WhyAnswer>(`api/why?${viewParams(rangeS, agent)}&t_ms=${Math.round(tMs)}`)

export const fetchDoctor = () => json<Diagnosis>('api/doctor')

export const liveUrl = (rangeS: number, agent: string) => `api/live?${viewParams(rangeS, agent)}`

export async function queryRange(expr: string, grid: Grid, signal?: AbortSignal): Promise<MatrixSeries[]> {
  const form = {
    query: expr,
    start: String(grid.startMs / 1000),
    end: String(endOf(grid) / 1000),
    step: String(grid.stepMs / 1000),
  }
  return (await prometheus<{ result: MatrixSeries[] }>('query_range', form, signal)).result
}

export async function queryInstant(expr: string, tMs: number): Promise<{ resultType: string; result: unknown }> {
  return prometheus('query', { query: expr, time: String(tMs / 1000) })
}

export const metricNames = () => prometheus<string[]>('label/__name__/values')

export const agentNames = () => prometheus<string[]>('label/agent/values')

export const fetchTargets = async () =>
  (await prometheus<{ activeTargets: Target[]; droppedTargets: unknown[] }>('targets')).activeTargets
