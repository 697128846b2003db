// What do I fix first? Per agent one sentence, its critical path with what a faster part saves, slow against normal.

import { useSignal } from '@preact/signals'
import { useEffect } from 'preact/hooks'

import { type WhyAgent, type WhyAnswer, type WhyPart, type WhySlow, fetchWhy } from '../api'
import { MISSING, text } from '../format'
import { CopyButton } from '../parts/copy'
import { Icon } from '../parts/icons'
import { bounds } from '../range'
import { barOf, queueText, savesText, signed, wasteLines } from '../saving'
import { agent, live, nowMs, range } from '../state'

const EVERY_MS = 10_000
const LEAST_SHARE = 0.002

export function Why() {
  const answer = useSignal<WhyAnswer | null>(null)
  const error = useSignal('')

  useEffect(() => {
    let ended = false
    async function ask(): Promise<void> {
      const span = bounds(range.value, nowMs())
      if (!span) return
      try {
        const found = await fetchWhy((span.endMs - span.startMs) / 1000, agent.value, span.endMs)
        if (ended) return
        answer.value = found
        error.value = ''
      } catch (cause) {
        if (!ended) error.value = cause instanceof Error ? cause.message : String(cause)
      }
      if (!ended) requestAnimationFrame(() => requestAnimationFrame(() => (document.documentElement.dataset.ready = '')))
    }
    void ask()
    const timer = live.value ? setInterval(() => void ask(), EVERY_MS) : undefined
    return () => {
      ended = true
      clearInterval(timer)
    }
  }, [range.value, agent.value])

  const found = answer.value
  return (
    <>
      <h1 class="sr-only">Bottleneck</h1>
      {error.value && (
        <div class="banner bad" role="alert">
          <Icon name="bad" /> {error.value}
        </div>
      )}
      {!found && !error.value && <div class="card skeleton" style={{ height: '400px' }} aria-label="loading" />}
      {found?.missing && (
        <section class="card hero">
          <h2>{found.missing.says}</h2>
          <p>{found.missing.do}</p>
        </section>
      )}
      {found?.agents.map((one) => <AgentCard key={one.agent} of={one} k={found.k} />)}
      {found && !found.missing && <Queries queries={found.queries} />}
    </>
  )
}

function AgentCard({ of, k }: { of: WhyAgent; k: number }) {
  const id = `why-${of.agent}`
  return (
    <section class="card why" aria-labelledby={id}>
      <header class="panel-head">
        <h2 id={id}>{of.agent}</h2>
        <span class="panel-question">
          {text(Math.round(of.tasks), 'count')} tasks, {text(of.seconds_per_task, 'seconds')} each
        </span>
        {!agent.value && (
          <button type="button" class="button small" onClick={() => (agent.value = of.agent)}>
            Only this agent
          </button>
        )}
      </header>
      <p class="why-sentence">{of.sentence}</p>
      {of.caveats.map((caveat) => (
        <p key={caveat} class="why-caveat">
          <Icon name="warn" /> {caveat}
        </p>
      ))}
      <PartTable of={of} k={k} />
      {wasteLines(of).map((line) => (
        <p key={line} class="muted why-waste">
          {line}
        </p>
      ))}
      {of.slow && <Slow slow={of.slow} />}
    </section>
  )
}

function PartTable({ of, k }: { of: WhyAgent; k: number }) {
  const parts = of.path.filter((part) => part.share >= LEAST_SHARE)
  return (
    <div class="table-scroll free" tabIndex={0} role="group" aria-label={`Critical path of ${of.agent}`}>
      <table>
        <thead>
          <tr>
            <th scope="col">On the critical path</th>
            <th scope="col">Share</th>
            <th scope="col" class="number">
              Time a task
            </th>
            <th scope="col" class="number">
              Calls
            </th>
            <th scope="col" class="number">
              Time a call
            </th>
            <th scope="col" class="number" title="Share of the time in which nothing else runs">
              Alone
            </th>
            <th scope="col">{k}× faster saves</th>
          </tr>
        </thead>
        <tbody>
          {parts.map((part) => (
            <PartRow key={`${part.component} ${part.name}`} part={part} of={of} />
          ))}
        </tbody>
      </table>
    </div>
  )
}

function PartRow({ part, of }: { part: WhyPart; of: WhyAgent }) {
  const first = of.bottleneck?.component === part.component && of.bottleneck.name === part.name
  const isUncalled = part.component === 'own' || !part.calls
  return (
    <tr class={first ? 'first' : undefined} data-component={part.component}>
      <th scope="row">
        {part.label}
        {first && <span class="why-mark">bottleneck</span>}
      </th>
      <td>
        <span class="pick">
          <span class="pick-bar">
            <span style={{ width: `${part.share * 100}%` }} />
          </span>
          <span class="pick-share">{text(part.share, 'ratio')}</span>
        </span>
      </td>
      <td class="number">{text(part.seconds, 'seconds')}</td>
      <td class="number">{isUncalled ? MISSING : text(Math.round(part.calls * 100) / 100, 'count')}</td>
      <td class="number">{isUncalled ? MISSING : text(part.seconds_per_call, 'seconds')}</td>
      <td class="number">{text(part.alone_share, 'ratio')}</td>
      <td title={part.what_if.says || undefined}>
        <Saves part={part} meanS={of.seconds_per_task} />
      </td>
    </tr>
  )
}

function Saves({ part, meanS }: { part: WhyPart; meanS: number }) {
  const bar = barOf(part, meanS)
  return (
    <span class="saves">
      <span class="saves-bar" aria-hidden="true">
        {bar && (
          <>
            <span class="saves-queue" style={{ width: `${bar.withQueue * 100}%` }} />
            <span class="saves-possible" style={{ width: `${bar.possible * 100}%` }} />
            <span class="saves-sure" style={{ width: `${bar.sure * 100}%` }} />
          </>
        )}
      </span>
      <span class={bar && part.what_if.high_share !== null ? undefined : 'status-warn'}>{savesText(part, meanS)}</span>
      <span class="muted">{queueText(part)}</span>
    </span>
  )
}

function Slow({ slow }: { slow: WhySlow }) {
  const all = slow.slow.tasks + slow.normal.tasks
  return (
    <details class="why-slow">
      <summary>
        Why {Math.round(slow.slow.tasks)} of {Math.round(all)} tasks are slow: {text(slow.slow.seconds_per_task, 'seconds')} against{' '}
        {text(slow.normal.seconds_per_task, 'seconds')}
      </summary>
      <div class="table-scroll free" tabIndex={0} role="group" aria-label="Slow against normal tasks">
        <table>
          <thead>
            <tr>
              <th scope="col">Part</th>
              <th scope="col" class="number">
                Calls a task
              </th>
              <th scope="col" class="number">
                Time a call
              </th>
              <th scope="col" class="number">
                From more calls
              </th>
              <th scope="col" class="number">
                From slower calls
              </th>
            </tr>
          </thead>
          <tbody>
            {slow.parts.map((part) => (
              <tr key={part.label}>
                <th scope="row">{part.label}</th>
                <td class="number">
                  {text(Math.round(part.calls_normal * 10) / 10, 'count')} → {text(Math.round(part.calls_slow * 10) / 10, 'count')}
                </td>
                <td class="number">
                  {text(part.seconds_per_call_normal, 'seconds')} → {text(part.seconds_per_call_slow, 'seconds')}
                </td>
                <td class="number">{signed(part.more_calls_seconds)}</td>
                <td class="number">{signed(part.slower_calls_seconds)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </details>
  )
}

function Queries({ queries }: { queries: Record<string, string> }) {
  const all = Object.values(queries).join('\n')
  return (
    <details class="card">
      <summary>The queries behind these numbers</summary>
      <div class="snippet">
        <pre>
          <code>{all}</code>
        </pre>
        <CopyButton text={all} />
      </div>
    </details>
  )
}
