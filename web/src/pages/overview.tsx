// Is all well? One sentence, five numbers, six charts, one table.

import { Icon } from '../parts/icons'
import { AgentTable } from '../parts/agents'
import { Panel } from '../parts/panel'
import { Tile } from '../parts/tile'
import { failure, load, panels, panelsOf, tick } from '../frames'
import { ago } from '../format'
import { behindMs, connection, resume, stale } from '../live'
import { zooms } from '../state'
import { undoZoom } from '../zoom'
import { Empty } from './empty'

const LEVEL_WORDS = { ok: 'all well', warn: 'warning', bad: 'bad', quiet: 'quiet', empty: 'waiting' } as const

export function Overview() {
  if (failure.value && !panels.value) return <Failure />
  if (tick.value && !tick.value.facts.ever_seen) return <Empty />
  return (
    <>
      <h1 class="sr-only">Overview</h1>
      <StateSentence />
      <Banner />
      <div class="tiles">
        {panels.value ? panelsOf('tile').map((panel) => <Tile key={panel.id} panel={panel} />) : [0, 1, 2, 3, 4].map((i) => <div key={i} class="tile skeleton" />)}
      </div>
      <div class="charts">
        {panels.value ? panelsOf('chart').map((panel) => <Panel key={panel.id} panel={panel} />) : [0, 1, 2, 3, 4, 5].map((i) => <div key={i} class="card panel skeleton" />)}
      </div>
      <AgentTable />
    </>
  )
}

function StateSentence() {
  const now = tick.value
  if (!now) return <p class="sentence skeleton">&nbsp;</p>
  return (
    <p class={`sentence level-${now.level}`} id="state">
      <span class="badge">
        <Icon name={now.level} />
        <span>{LEVEL_WORDS[now.level]}</span>
      </span>
      <span class="sentence-text">{now.sentence}</span>
    </p>
  )
}

function Banner() {
  if (failure.value)
    return (
      <div class="banner bad" role="alert">
        <Icon name="bad" /> {failure.value}
        <button type="button" class="button small" onClick={() => void load()}>
          Retry
        </button>
      </div>
    )
  if (connection.value === 'paused')
    return (
      <div class="banner" role="status">
        <Icon name="pause" /> Paused, {ago(behindMs.value ?? 0)} behind
        <button type="button" class="button small" onClick={resume}>
          Resume
        </button>
        {zooms.value.length > 0 && (
          <button type="button" class="button small" onClick={undoZoom}>
            Undo zoom
          </button>
        )}
      </div>
    )
  if (stale.value)
    return (
      <div class="banner warn" role="status">
        <Icon name="warn" /> Stale: nothing new for {ago(behindMs.value ?? 0)}. The page reconnects by itself.
      </div>
    )
  return null
}

function Failure() {
  return (
    <div class="card hero">
      <h1>The page has no data</h1>
      <p>{failure.value}</p>
      <button type="button" class="button" onClick={() => void load()}>
        Retry
      </button>
    </div>
  )
}
