// The agent table: one row per agent, sortable by every column; a click on a name shows that agent alone.

import { useSignal } from '@preact/signals'

import type { PanelDef, Tick } from '../api'
import { panelsOf, tick } from '../frames'
import { MISSING, text } from '../format'
import { agent } from '../state'
import { answerOf } from './tile'

export interface AgentRow {
  agent: string
  cells: Record<string, { value: number | null; words: string }>
}

export interface Sort {
  column: string
  down: boolean
}

/** Rows of the table. An agent has a row when it finished or uses anything; a mere agent type has not. */
export function agentRows(columns: PanelDef[], at: Tick | null): AgentRow[] {
  if (!at) return []
  const agents = new Set<string>()
  for (const column of columns) {
    if (column.id === 'agent_in_flight') continue
    for (const [labels] of at.values[column.id]?.[0] ?? []) if (labels.agent) agents.add(labels.agent)
  }
  return [...agents].map((name) => ({
    agent: name,
    cells: Object.fromEntries(
      columns.map((column) => [
        column.id,
        answerOf(column, [(at.values[column.id]?.[0] ?? []).filter(([labels]) => labels.agent === name)]),
      ]),
    ),
  }))
}

/** Sort by a column; what has no value comes last either way, equal values by name. */
export function sorted(rows: AgentRow[], { column, down }: Sort): AgentRow[] {
  const sign = down ? -1 : 1
  return [...rows].sort((a, b) => {
    if (column === 'agent') return sign * a.agent.localeCompare(b.agent)
    const x = a.cells[column]?.value ?? null
    const y = b.cells[column]?.value ?? null
    if (x === null || y === null) return x === y ? a.agent.localeCompare(b.agent) : x === null ? 1 : -1
    return sign * (x - y) || a.agent.localeCompare(b.agent)
  })
}

export function AgentTable() {
  const sort = useSignal<Sort>({ column: 'agent_tasks', down: true })
  const columns = panelsOf('column')
  const rows = sorted(agentRows(columns, tick.value), sort.value)
  const by = (column: string) => () => {
    sort.value = { column, down: sort.value.column === column ? !sort.value.down : column !== 'agent' }
  }
  return (
    <section class="card" id="agents" aria-labelledby="agents-title">
      <header class="panel-head">
        <h2 id="agents-title">Agents</h2>
        <span class="panel-question">Which one do I look at?</span>
        {agent.value && (
          <button type="button" class="button small" onClick={() => (agent.value = '')}>
            Show all agents
          </button>
        )}
      </header>
      <div class="table-scroll tall" tabIndex={0} role="group" aria-label="Agents">
        <table class="agents">
          <thead>
            <tr>
              <Header title="Agent" id="agent" sort={sort.value} onSort={by('agent')} help="The agent's name." />
              {columns.map((column) => (
                <Header key={column.id} title={column.title} id={column.id} sort={sort.value} onSort={by(column.id)} help={column.help} number={!column.hints.pick} />
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.map((row) => (
              <tr key={row.agent}>
                <th scope="row">
                  <button type="button" class="link" title="Show this agent alone" onClick={() => (agent.value = row.agent)}>
                    {row.agent}
                  </button>
                </th>
                {columns.map((column) => (
                  <td key={column.id} class={column.hints.pick ? '' : 'number'}>
                    {column.hints.pick ? (
                      <Pick {...row.cells[column.id]!} />
                    ) : column.id === 'agent_failures' ? (
                      <Failures value={row.cells[column.id]!.value} />
                    ) : (
                      text(row.cells[column.id]!.value, column.unit)
                    )}
                  </td>
                ))}
              </tr>
            ))}
            {!rows.length && (
              <tr>
                <td colSpan={columns.length + 1} class="nothing">
                  {tick.value ? 'No agent reports now.' : 'Loading'}
                </td>
              </tr>
            )}
          </tbody>
        </table>
      </div>
    </section>
  )
}

interface HeaderProps {
  title: string
  id: string
  sort: Sort
  onSort: () => void
  help: string
  number?: boolean
}

function Header({ title, id, sort, onSort, help, number }: HeaderProps) {
  const mine = sort.column === id
  return (
    <th scope="col" class={number ? 'number' : ''} aria-sort={mine ? (sort.down ? 'descending' : 'ascending') : 'none'}>
      <button type="button" class="sort" title={help} onClick={onSort}>
        {title}
        <span class="arrow" aria-hidden="true">
          {mine ? (sort.down ? '▾' : '▴') : '▾'}
        </span>
      </button>
    </th>
  )
}

function Pick({ value, words }: { value: number | null; words: string }) {
  if (value === null) return <>{MISSING}</>
  return (
    <span class="pick">
      <span class="pick-bar" aria-hidden="true">
        <span style={{ width: `${Math.min(100, value * 100).toFixed(0)}%` }} />
      </span>
      <span class="pick-share">{text(value, 'ratio')}</span>
      <span>{words}</span>
    </span>
  )
}

const WARN_RATIO = 0.05
const BAD_RATIO = 0.25

function Failures({ value }: { value: number | null }) {
  const shown = text(value, 'ratio')
  if (value === null || value < WARN_RATIO) return <>{shown}</>
  const bad = value >= BAD_RATIO
  return (
    <span class={bad ? 'status-bad' : 'status-warn'} title={bad ? 'bad: a quarter or more fails' : 'warning: 5 % or more fail'}>
      {bad ? '✗' : '!'} {shown}
    </span>
  )
}
