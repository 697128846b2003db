import { beforeEach, expect, it, vi } from 'vitest'

import type { Panels, Tick } from '../src/api'
import { applyTick, beginOf, failure, frameOf, load, missingMetrics, panels, stateOf } from '../src/frames'

const TABLE: Panels = {
  version: 'test',
  interval_s: 5,
  step_s: 5,
  range_s: 900,
  panels: [
    {
      id: 'chart', title: 'Chart', question: '?', kind: 'chart', page: 'overview', unit: 'tasks/s', help: '', source: 'ag.task()',
      metrics: ['agent_tasks_total'], window_s: 20, queries: [{ expr: 'up', legend: '{{agent}}' }], hints: {},
    },
  ],
}
const overview = (tMs: number): Tick => ({
  t_ms: tMs, previous_ms: tMs - 60_000, charts_ms: null, sentence: '', level: 'ok',
  facts: { ever_seen: true, n_agents: 1, n_targets: 1, n_targets_down: null }, values: {}, previous: {}, errors: {},
})

function answerWith(matrix: unknown, names: string[] = ['agent_tasks_total'], status = 'success'): void {
  vi.stubGlobal('fetch', (url: string) => {
    const body = url.startsWith('api/panels') ? TABLE
      : url.startsWith('api/overview') ? overview(Date.now())
      : url.includes('values') ? { status: 'success', data: names }
      : status === 'success' ? { status, data: { resultType: 'matrix', result: matrix } } : { status, error: 'it broke' }
    return Promise.resolve(new Response(JSON.stringify(body)))
  })
}

const seconds = () => Math.floor(Date.now() / 5000) * 5

beforeEach(() => (panels.value = null))

it('shows what the queries answer', async () => {
  answerWith([{ metric: { agent: 'a' }, values: [[seconds(), '2']] }])
  await load()
  expect(frameOf('chart').value).toMatchObject({ state: 'ok', series: [{ name: 'a' }] })
})

it('tells a metric that nobody reports from a range without data, and both from an error', async () => {
  answerWith([], [])
  await load()
  expect(frameOf('chart').value.state).toBe('absent')
  expect(missingMetrics(TABLE.panels[0]!)).toEqual(['agent_tasks_total'])
  answerWith([])
  await load()
  expect(frameOf('chart').value.state).toBe('empty')
  answerWith([], ['agent_tasks_total'], 'error')
  await load()
  expect(frameOf('chart').value).toMatchObject({ state: 'error', message: 'it broke' })
})

it('says that there was no trouble where its counters are not there and others are', async () => {
  const panel = { ...TABLE.panels[0]!, hints: { none: 'Nothing was lost.' } }
  answerWith([], ['agentgauge_build_info'])
  await load()
  expect(stateOf(panel, [])).toBe('none')
  answerWith([], ['agent_tasks_total'])
  await load()
  expect(stateOf(panel, [])).toBe('empty')
})

it('says it when the server does not answer', async () => {
  vi.stubGlobal('fetch', () => Promise.reject(new TypeError('refused')))
  await load()
  expect(failure.value).toContain('does not answer')
})

it('begins the axis where young data begins, a minute before the end at the latest', () => {
  const grid = { startMs: 0, stepMs: 10_000, n: 91 }
  const series = (at: number) => [{ key: '', name: '', labels: {}, values: Array.from({ length: 91 }, (_, i) => (i < at ? null : 1)) }]
  expect(beginOf([{ grid, series: series(50) }])).toBe(500_000)
  expect(beginOf([{ grid, series: series(89) }])).toBe(840_000)
  expect(beginOf([{ grid, series: series(0) }, { grid, series: series(50) }])).toBe(0)
  expect(beginOf([])).toBeNull()
})

it('appends ticks, and asks for a reload when some were missed', async () => {
  answerWith([{ metric: { agent: 'a' }, values: [[seconds(), '2']] }])
  await load()
  const { grid } = frameOf('chart').value
  const end = grid.startMs + (grid.n - 1) * grid.stepMs
  const tick = (tMs: number): Tick => ({ ...overview(tMs), charts_ms: tMs, values: { chart: [[[{ agent: 'a' }, 3]]] } })
  expect(applyTick(tick(end + 5000))).toBe(true)
  expect(frameOf('chart').value.series[0]!.values.at(-1)).toBe(3)
  expect(applyTick(tick(end + 30_000))).toBe(false)
})
