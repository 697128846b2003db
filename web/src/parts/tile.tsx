// One number that answers one question, its last while as a line, and how it moved.

import type { Cell } from '../align'
import type { PanelDef, Tick, TickValue } from '../api'
import { type Frame, beginMs, frameOf, missingMetrics, tick } from '../frames'
import { ago, change, changeText, quantity, text } from '../format'
import { Sparkline } from '../charts/sparkline'

const NOTABLE_CHANGE = 0.01

interface Answer {
  value: number | null
  words: string
}

export function Tile({ panel }: { panel: PanelDef }) {
  const now = tick.value
  const answer = answerOf(panel, now?.values[panel.id])
  const before = answerOf(panel, now?.previous[panel.id])
  const { value, unit } = quantity(answer.value, panel.unit)
  const error = now?.errors[panel.id]
  return (
    <button class="tile" type="button" data-panel={panel.id} title={`${panel.question} ${panel.help}`} onClick={() => drill(panel)}>
      <span class="tile-title">{panel.title}</span>
      {answer.words ? (
        <>
          <span class="tile-value tile-words">{answer.words}</span>
          <Share ratio={answer.value ?? 0} />
          <span class="tile-note">{text(answer.value, 'ratio')} of the time</span>
        </>
      ) : (
        <>
          <span class="tile-value">
            {value}
            {unit && <small> {unit}</small>}
          </span>
          {!panel.hints.pick && <Sparkline values={recent(frameOf(panel.id).value)} />}
          <span class="tile-note">{noteOf(panel, answer.value, before.value, now, error)}</span>
        </>
      )}
    </button>
  )
}

/** The values of the first series from where the charts begin. */
function recent({ grid, series }: Frame): Cell[] {
  const skipped = beginMs.value === null ? 0 : Math.round((beginMs.value - grid.startMs) / grid.stepMs)
  return series[0]?.values.slice(Math.max(0, skipped)) ?? []
}

/** A panel's one value: its only series, or the largest where the panel picks. */
export function answerOf(panel: PanelDef, queries: TickValue[][] | undefined): Answer {
  const rows = queries?.[0] ?? []
  if (!panel.hints.pick) return { value: rows[0]?.[1] ?? null, words: '' }
  const best = rows.reduce<TickValue | null>((top, row) => ((row[1] ?? 0) > (top?.[1] ?? 0) ? row : top), null)
  return { value: best?.[1] ?? null, words: best?.[2] ?? '' }
}

function noteOf(panel: PanelDef, now: number | null, before: number | null, at: Tick | null, error?: string) {
  if (!at) return 'loading'
  if (error) return `error: ${error}`
  if (now === null) {
    const missing = missingMetrics(panel)
    return missing.length ? `not reported: ${panel.source}` : panel.unit === 'ratio' ? 'no task finished lately' : 'nothing lately'
  }
  const delta = change(now, before)
  const since = ago(at.t_ms - at.previous_ms)
  if (delta === null) return before === null ? `no value ${since} ago` : now === 0 ? `none, as ${since} ago` : `▲ from 0, ${since} ago`
  if (Math.abs(delta) < NOTABLE_CHANGE) return `as ${since} ago`
  const up = delta > 0
  const good = panel.hints.good
  const verdict = good ? ((good === 'up') === up ? 'better' : 'worse') : ''
  return (
    <>
      <span class={`delta ${verdict}`}>
        {changeText(delta)}
        {verdict && `, ${verdict}`}
      </span>{' '}
      {verdict ? 'than' : 'vs'} {since} ago
    </>
  )
}

function Share({ ratio }: { ratio: number }) {
  return (
    <svg class="share" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">
      <rect class="share-all" width="100" height="6" rx="3" />
      <rect class="share-part" width={Math.min(100, ratio * 100).toFixed(1)} height="6" rx="3" />
    </svg>
  )
}

/** Show what is behind a tile: bring its chart or table into view and let it flash. */
function drill(panel: PanelDef): void {
  const goal = document.getElementById(panel.hints.drill ?? panel.id)
  if (!goal) return
  const calm = matchMedia('(prefers-reduced-motion: reduce)').matches
  goal.scrollIntoView({ behavior: calm ? 'auto' : 'smooth', block: 'center' })
  goal.classList.remove('flash')
  requestAnimationFrame(() => goal.classList.add('flash'))
  goal.querySelector<HTMLElement>('.plot, th button')?.focus({ preventScroll: true })
}
