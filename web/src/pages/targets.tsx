// Who is scraped, and does it answer?

import { useSignal } from '@preact/signals'
import { useEffect } from 'preact/hooks'

import { type Target, fetchTargets } from '../api'
import { ago, text } from '../format'
import { Icon } from '../parts/icons'

const EVERY_MS = 5000

export function Targets() {
  const targets = useSignal<Target[] | null>(null)
  const error = useSignal('')

  useEffect(() => {
    async function look(): Promise<void> {
      try {
        targets.value = await fetchTargets()
        error.value = ''
      } catch (cause) {
        error.value = cause instanceof Error ? cause.message : String(cause)
      }
    }
    void look()
    const timer = setInterval(() => void look(), EVERY_MS)
    return () => clearInterval(timer)
  }, [])

  return (
    <section class="card" aria-labelledby="targets-title">
      <header class="panel-head">
        <h1 id="targets-title">Targets</h1>
        <span class="panel-question">Who is scraped, and does it answer?</span>
      </header>
      {error.value && (
        <p class="status-bad" role="alert">
          <Icon name="bad" /> {error.value}
        </p>
      )}
      <div class="table-scroll free" tabIndex={0} role="group" aria-label="Targets">
        <table class="stacked">
          <thead>
            <tr>
              <th scope="col">Target</th>
              <th scope="col">State</th>
              <th scope="col">Labels</th>
              <th scope="col" class="number">
                Last scrape
              </th>
              <th scope="col" class="number">
                Took
              </th>
            </tr>
          </thead>
          <tbody>
            {targets.value?.map((target) => (
              <Row key={target.scrapeUrl} target={target} />
            ))}
            {targets.value?.length === 0 && (
              <tr>
                <td colSpan={5} class="nothing">
                  No target yet. A process that calls <code>ag.start()</code> on this machine is found by itself.
                </td>
              </tr>
            )}
          </tbody>
        </table>
      </div>
    </section>
  )
}

function Row({ target }: { target: Target }) {
  const up = target.health === 'up'
  const scrapedMs = Date.parse(target.lastScrape)
  const known = scrapedMs > 0
  return (
    <tr>
      <th scope="row">
        <a href={target.scrapeUrl} target="_blank" rel="noreferrer">
          {target.scrapeUrl}
        </a>
      </th>
      <td>
        <span class={up ? 'status-ok' : target.health === 'down' ? 'status-bad' : 'muted'}>
          <Icon name={up ? 'ok' : target.health === 'down' ? 'bad' : 'quiet'} /> {target.health}
        </span>
        {target.lastError && <div class="message">{target.lastError}</div>}
      </td>
      <td class="labels">
        {Object.entries(target.labels)
          .filter(([name]) => !name.startsWith('__'))
          .map(([name, value]) => (
            <code key={name}>
              {name}={value}
            </code>
          ))}
      </td>
      <td class="number" data-title="last scrape">
        {known ? `${ago(Date.now() - scrapedMs)} ago` : 'never'}
      </td>
      <td class="number" data-title="took">
        {known ? text(target.lastScrapeDuration, 'seconds') : '–'}
      </td>
    </tr>
  )
}
