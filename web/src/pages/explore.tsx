// Any PromQL, as a chart over the page's range and as a table of now.

import { useSignal } from '@preact/signals'
import { useEffect } from 'preact/hooks'

import { type Series, alignSeries, gridOf } from '../align'
import { type InstantSeries, fetchPanels, metricNames, queryInstant, queryRange } from '../api'
import { Chart } from '../charts/chart'
import { dateTime } from '../format'
import { beginOf } from '../frames'
import { bounds } from '../range'
import { agentPattern, expr, nowMs, range } from '../state'
import { StepTable } from '../parts/panel'
import { Icon } from '../parts/icons'
import { zoomTo } from '../zoom'

const EXAMPLES: Record<string, string> = {
  'busiest tools': 'topk(5, sum(rate(agent_tool_calls_total[5m])) by (tool_name))',
  'tool errors by agent': 'sum(rate(agent_tool_calls_total{status="error"}[5m])) by (agent) / sum(rate(agent_tool_calls_total[5m])) by (agent)',
  'LLM latency, p95': 'histogram_quantile(0.95, sum(rate(agent_llm_latency_seconds_bucket[5m])) by (le))',
}
const MAX_ROWS = 200

interface Outcome {
  grid: { startMs: number; stepMs: number; n: number }
  series: Series[]
  instant: { labels: string; value: string }[]
  tMs: number
}

export function Explore() {
  const draft = useSignal(expr.value)
  const outcome = useSignal<Outcome | null>(null)
  const error = useSignal('')
  const busy = useSignal(false)
  const names = useSignal<string[]>([])

  useEffect(() => {
    metricNames().then(
      (found) => (names.value = found),
      () => {}, // completion is a convenience: without it the box still works
    )
  }, [])

  async function run(): Promise<void> {
    const text = expr.value.trim()
    const span = bounds(range.value, nowMs())
    if (!text || !span) return
    busy.value = true
    error.value = ''
    try {
      const { step_s } = await fetchPanels((span.endMs - span.startMs) / 1000, agentPattern.value)
      const grid = gridOf(span.startMs, span.endMs, step_s * 1000)
      const [matrix, instant] = await Promise.all([queryRange(text, grid), queryInstant(text, span.endMs)])
      outcome.value = { grid, series: alignSeries(matrix, grid, 0, ''), instant: instantRows(instant), tMs: span.endMs }
    } catch (cause) {
      outcome.value = null
      error.value = cause instanceof Error ? cause.message : String(cause)
    }
    busy.value = false
  }

  useEffect(() => {
    draft.value = expr.value
    void run()
  }, [expr.value, range.value])

  function submit(event?: Event): void {
    event?.preventDefault()
    if (expr.value === draft.value) void run()
    else expr.value = draft.value
  }

  const found = outcome.value
  return (
    <>
      <section class="card explore">
        <header class="panel-head">
          <h1>Explore</h1>
          <span class="panel-question">Ask in PromQL; Enter runs, Shift+Enter makes a new line.</span>
        </header>
        <form onSubmit={submit}>
          <textarea
            aria-label="PromQL expression"
            spellcheck={false}
            autocapitalize="off"
            rows={Math.min(8, Math.max(2, draft.value.split('\n').length, Math.ceil(draft.value.length / 110)))}
            value={draft.value}
            placeholder={Object.values(EXAMPLES)[0]}
            onInput={(event) => (draft.value = event.currentTarget.value)}
            onKeyDown={(event) => {
              if (event.key === 'Enter' && !event.shiftKey) submit(event)
            }}
          />
          <div class="explore-tools">
            <button type="submit" class="button primary" disabled={busy.value}>
              {busy.value ? 'Running' : 'Run'}
            </button>
            <select aria-label="Insert a metric" value="" onChange={(event) => (draft.value += event.currentTarget.value)}>
              <option value="">insert a metric…</option>
              {names.value.map((name) => (
                <option key={name}>{name}</option>
              ))}
            </select>
            <span class="muted">For example</span>
            {Object.entries(EXAMPLES).map(([name, example]) => (
              <button key={name} type="button" class="button small" title={example} onClick={() => (expr.value = example)}>
                {name}
              </button>
            ))}
          </div>
        </form>
        {error.value && (
          <p class="status-bad message" role="alert">
            <Icon name="bad" /> {error.value}
          </p>
        )}
      </section>
      {found && (
        <section class="card" aria-label="Result">
          {found.series.length ? (
            <>
              <Chart title={expr.value} unit="count" grid={found.grid} series={found.series} beginMs={beginOf([found])} onZoom={zoomTo} />
              <details>
                <summary>View as table</summary>
                <StepTable frame={found} unit="count" title="Result" />
              </details>
            </>
          ) : (
            <p class="nothing">No series in this range.</p>
          )}
          <h2>At {dateTime(found.tMs)}</h2>
          <div class="table-scroll free" tabIndex={0} role="group" aria-label="Values now">
            <table>
              <thead>
                <tr>
                  <th scope="col">series</th>
                  <th scope="col" class="number">
                    value
                  </th>
                </tr>
              </thead>
              <tbody>
                {found.instant.slice(0, MAX_ROWS).map((row) => (
                  <tr key={row.labels}>
                    <th scope="row">
                      <code>{row.labels}</code>
                    </th>
                    <td class="number">{row.value}</td>
                  </tr>
                ))}
                {!found.instant.length && (
                  <tr>
                    <td colSpan={2} class="nothing">
                      empty
                    </td>
                  </tr>
                )}
              </tbody>
            </table>
          </div>
          {found.instant.length > MAX_ROWS && <p class="muted">{found.instant.length - MAX_ROWS} more series are not shown.</p>}
        </section>
      )}
    </>
  )
}

/** Rows of the table for any kind of result. */
export function instantRows({ resultType, result }: { resultType: string; result: unknown }): { labels: string; value: string }[] {
  if (resultType === 'scalar' || resultType === 'string') return [{ labels: resultType, value: (result as [number, string])[1] }]
  if (resultType !== 'vector') return []
  return (result as InstantSeries[]).map(({ metric, value }) => ({ labels: seriesText(metric), value: value[1] }))
}

function seriesText({ __name__: name = '', ...labels }: Record<string, string>): string {
  const pairs = Object.entries(labels).map(([key, value]) => `${key}="${value}"`)
  return pairs.length ? `${name}{${pairs.join(', ')}}` : name || '{}'
}
