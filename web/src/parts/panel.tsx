// The card around a chart: title, question, its query, its table, and what stands there when there is nothing to draw.

import { useSignal } from '@preact/signals'

import { type Series, lastOf, endOf } from '../align'
import type { PanelDef } from '../api'
import { Chart, PLOT_HEIGHT_PX } from '../charts/chart'
import { type Frame, beginMs, frameOf, missingMetrics, reloadPanel } from '../frames'
import { clock, text } from '../format'
import { DEFAULT } from '../range'
import { address, range } from '../state'
import { zoomTo } from '../zoom'
import { Breaking } from './breaking'
import { CopyButton } from './copy'
import { Icon } from './icons'

const TABLE_ROWS = 40

type View = 'chart' | 'table' | 'query'

export function Panel({ panel }: { panel: PanelDef }) {
  const view = useSignal<View>('chart')
  const frame = frameOf(panel.id).value
  const toggle = (wanted: View) => () => (view.value = view.value === wanted ? 'chart' : wanted)
  return (
    <section class="card panel" id={panel.id} aria-labelledby={`${panel.id}-title`}>
      <header class="panel-head">
        <div class="panel-titles">
          <h2 id={`${panel.id}-title`} title={panel.help}>
            {panel.title}
          </h2>
          <p class="panel-question">{panel.question}</p>
        </div>
        <div class="panel-tools">
          <button type="button" class="tool" aria-pressed={view.value === 'query'} aria-label={`Show query of ${panel.title}`} title="Show query" onClick={toggle('query')}>
            <Icon name="query" />
          </button>
          <button type="button" class="tool" aria-pressed={view.value === 'table'} aria-label={`View ${panel.title} as table`} title="View as table" onClick={toggle('table')}>
            <Icon name="table" />
          </button>
          <a class="tool" href={address({ expr: panel.queries[0]!.expr }, 'explore')} aria-label={`Open ${panel.title} in Explore`} title="Open in Explore">
            <Icon name="explore" />
          </a>
        </div>
      </header>
      <div class="panel-body">
        {view.value === 'query' ? <Queries panel={panel} /> : <Body panel={panel} frame={frame} asTable={view.value === 'table'} />}
      </div>
    </section>
  )
}

function Body({ panel, frame, asTable }: { panel: PanelDef; frame: Frame; asTable: boolean }) {
  switch (frame.state) {
    case 'loading':
      return <div class="skeleton" style={{ height: `${PLOT_HEIGHT_PX}px` }} aria-label="loading" />
    case 'absent':
      return (
        <Notice title="Not reported yet">
          Nobody reports{' '}
          <code>
            <Breaking text={missingMetrics(panel).join(', ')} />
          </code>
          . It comes from {panel.source}.
        </Notice>
      )
    case 'none':
      return <Notice title="None so far">{panel.hints.none}</Notice>
    case 'empty':
      return (
        <Notice title="No data in this range">
          <button type="button" class="button" onClick={() => (range.value = DEFAULT)}>
            Jump to the newest data
          </button>
        </Notice>
      )
    case 'error':
      return (
        <Notice title="The query failed" bad>
          <p class="message">{frame.message}</p>
          <button type="button" class="button" onClick={() => void reloadPanel(panel)}>
            Retry
          </button>
        </Notice>
      )
    case 'ok':
      if (asTable) return <StepTable frame={frame} unit={panel.unit} title={panel.title} />
      return (
        <Chart
          title={panel.title}
          unit={panel.unit}
          grid={frame.grid}
          series={frame.series}
          stack={panel.hints.stack ?? false}
          keepOrder={panel.queries.length > 1}
          beginMs={beginMs.value}
          onZoom={zoomTo}
        />
      )
  }
}

function Notice({ title, bad, children }: { title: string; bad?: boolean; children: preact.ComponentChildren }) {
  return (
    <div class={`notice${bad ? ' bad' : ''}`}>
      <strong>
        {bad && <Icon name="bad" />} {title}
      </strong>
      <div>{children}</div>
    </div>
  )
}

function Queries({ panel }: { panel: PanelDef }) {
  return (
    <div class="queries" tabIndex={0} role="group" aria-label={`Queries of ${panel.title}`}>
      <p>{panel.help}</p>
      {panel.queries.map((query) => (
        <div class="snippet" key={query.expr}>
          <pre>
            <code>{query.expr}</code>
          </pre>
          <CopyButton text={query.expr} />
        </div>
      ))}
    </div>
  )
}

export function StepTable({ frame, unit, title }: { frame: { grid: Frame['grid']; series: Series[] }; unit: string; title: string }) {
  const { grid, series } = frame
  const rows = Array.from({ length: Math.min(TABLE_ROWS, grid.n) }, (_, i) => grid.n - 1 - i)
  const sorted = [...series].sort((a, b) => (lastOf(b.values) ?? 0) - (lastOf(a.values) ?? 0))
  return (
    <div class="table-scroll" tabIndex={0} role="group" aria-label={`${title} as a table`}>
      <table>
        <caption class="sr-only">
          {title}, the last {rows.length} steps up to {clock(endOf(grid))}
        </caption>
        <thead>
          <tr>
            <th scope="col">time</th>
            {sorted.map((one) => (
              <th scope="col" class="number" key={one.key}>
                {one.name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((i) => (
            <tr key={i}>
              <th scope="row">{clock(grid.startMs + i * grid.stepMs)}</th>
              {sorted.map((one) => (
                <td class="number" key={one.key}>
                  {text(one.values[i], unit)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}
