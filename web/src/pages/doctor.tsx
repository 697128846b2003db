// Is the monitor right? One row per check: what it saw, what it looked at, the command that mends it.

import { useSignal } from '@preact/signals'
import { Fragment } from 'preact'
import { useEffect } from 'preact/hooks'

import { type Diagnosis, type Finding, type Verdict, fetchDoctor } from '../api'
import { chosen, summary } from '../diagnosis'
import { loadChartsOf, panelsOf } from '../frames'
import { Breaking } from '../parts/breaking'
import { CopyButton } from '../parts/copy'
import { Icon, type IconName } from '../parts/icons'
import { Panel } from '../parts/panel'
import { live, range } from '../state'

const EVERY_MS = 10_000

const WORDS: Record<Verdict, string> = { ok: 'ok', warn: 'look', bad: 'bad', unknown: 'not seen' }
const ICONS: Record<Verdict, IconName> = { ok: 'ok', warn: 'warn', bad: 'bad', unknown: 'quiet' }
const CLASSES: Record<Verdict, string> = { ok: 'status-ok', warn: 'status-warn', bad: 'status-bad', unknown: 'muted' }

export function Doctor() {
  const seen = useSignal<Diagnosis | null>(null)
  const error = useSignal('')
  const failuresOnly = useSignal(false)

  useEffect(() => {
    let ended = false
    async function look(): Promise<void> {
      const charts = loadChartsOf('doctor')
      try {
        const diagnosis = await fetchDoctor()
        if (ended) return
        seen.value = diagnosis
        error.value = ''
      } catch (cause) {
        if (!ended) error.value = cause instanceof Error ? cause.message : String(cause)
      }
      await charts
      if (!ended) requestAnimationFrame(() => requestAnimationFrame(() => (document.documentElement.dataset.ready = '')))
    }
    void look()
    const timer = live.value ? setInterval(() => void look(), EVERY_MS) : undefined
    return () => {
      ended = true
      clearInterval(timer)
    }
  }, [range.value])

  return (
    <>
      <section class="card" aria-labelledby="doctor-title">
        <header class="panel-head">
          <div class="panel-titles">
            <h1 id="doctor-title">Doctor</h1>
            <p class="panel-question">{seen.value ? summary(seen.value) : 'Is the monitor right?'}</p>
          </div>
          <button type="button" class="chip" aria-pressed={failuresOnly.value} onClick={() => (failuresOnly.value = !failuresOnly.value)}>
            Only what needs a look
          </button>
        </header>
        {error.value && (
          <p class="status-bad" role="alert">
            <Icon name="bad" /> {error.value}
          </p>
        )}
        {!seen.value && !error.value && <div class="skeleton" style={{ height: '400px' }} aria-label="loading" />}
        {seen.value && <Table findings={chosen(seen.value.findings, failuresOnly.value)} />}
      </section>
      <h2 class="section-title">What the monitor costs, and what it loses</h2>
      <div class="charts">
        {panelsOf('chart', 'doctor').map((panel) => (
          <Panel key={panel.id} panel={panel} />
        ))}
      </div>
    </>
  )
}

function Table({ findings }: { findings: Finding[] }) {
  return (
    <div class="table-scroll free" tabIndex={0} role="group" aria-label="Checks">
      <table class="doctor stacked">
        <thead>
          <tr>
            <th scope="col">Check</th>
            <th scope="col">Verdict</th>
            <th scope="col">What it saw</th>
            <th scope="col">Looked at</th>
          </tr>
        </thead>
        <tbody>
          {findings.map((row, i) => (
            <Fragment key={row.check}>
              {row.group !== findings[i - 1]?.group && (
                <tr class="group">
                  <th scope="rowgroup" colSpan={4}>
                    {row.group}
                  </th>
                </tr>
              )}
              <Row row={row} />
            </Fragment>
          ))}
          {findings.length === 0 && (
            <tr>
              <td colSpan={4} class="nothing">
                Nothing needs a look.
              </td>
            </tr>
          )}
        </tbody>
      </table>
    </div>
  )
}

function Row({ row }: { row: Finding }) {
  return (
    <tr data-check={row.check} data-verdict={row.verdict}>
      <th scope="row">{row.title}</th>
      <td>
        <span class={CLASSES[row.verdict]}>
          <Icon name={ICONS[row.verdict]} /> {WORDS[row.verdict]}
        </span>
      </td>
      <td class="saw">
        <Breaking text={row.detail} />
        {row.mend && row.verdict !== 'ok' && (
          <div class="snippet mend">
            <pre>
              <code>{row.mend}</code>
            </pre>
            <CopyButton text={row.mend} />
          </div>
        )}
      </td>
      <td class="looked muted">
        <Breaking text={row.looked_at} />
      </td>
    </tr>
  )
}
