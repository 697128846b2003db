// What a faster part saves, in words and as a bar. No drawing.

import type { WhyAgent, WhyPart } from './api'
import { text } from './format'

/** Shares of the task's time where the parts of an interval's bar end: sure, possible, with the queue gone. */
export interface Bar {
  sure: number
  possible: number
  withQueue: number
}

export function barOf({ what_if: gain }: WhyPart, meanS: number): Bar | null {
  if (gain.low_seconds === null || meanS <= 0) return null
  const share = (seconds: number | null) => Math.min(1, (seconds ?? gain.low_seconds!) / meanS)
  return {
    sure: share(gain.low_seconds),
    possible: share(gain.high_seconds_without_waits),
    withQueue: share(gain.high_seconds),
  }
}

/** `4–9 %: 0.6–1.3 s`, or as much of it as holds. */
export function savesText(part: WhyPart, meanS: number): string {
  const { low_seconds: low, high_seconds: high, high_seconds_without_waits: direct, reason } = part.what_if
  if (low === null) return `not valid: ${reason}`
  if (high === null || direct === null) return `at least ${text(low / meanS, 'ratio')}: ${text(low, 'seconds')}`
  return `${between(low / meanS, direct / meanS, 'ratio')}: ${between(low, direct, 'seconds')}`
}

export function queueText({ what_if: gain }: WhyPart): string {
  if (gain.high_share === null || gain.high_seconds === gain.high_seconds_without_waits) return ''
  return `up to ${text(gain.high_share, 'ratio')} with its queue`
}

function between(low: number, high: number, unit: string): string {
  const [from, to] = [text(low, unit), text(high, unit)]
  if (from === to) return to
  const [number, name] = from.split(' ')
  return to.endsWith(` ${name}`) ? `${number}–${to}` : `${from}–${to}`
}

export function signed(seconds: number): string {
  return Math.abs(seconds) < 5e-4 ? '0' : `${seconds > 0 ? '+' : '−'}${text(Math.abs(seconds), 'seconds')}`
}

const FATES: [string, string][] = [
  ['useful', 'useful'],
  ['repeated', 'in repeated calls'],
  ['retried', 'thrown away'],
  ['failed_task', 'in failed tasks'],
]

/** One line per kind of waste; none where nothing is known or lost. */
export function wasteLines({ waste }: WhyAgent): string[] {
  const total = Object.values(waste.tokens).reduce((sum, n) => sum + n, 0)
  const fates = FATES.filter(([fate]) => waste.tokens[fate]).map(([fate, words]) => `${text(waste.tokens[fate]! / total, 'ratio')} ${words}`)
  const lines = total ? [`Tokens: ${fates.join(', ')}.`] : []
  for (const one of waste.repeated.slice(0, 3))
    lines.push(
      `${one.label} is called again with the same arguments and result ${text(one.per_task, 'count')} times a task (${text(one.share_of_calls, 'ratio')} of its calls): about ${text(one.cost_seconds, 'seconds')}.`,
    )
  if (waste.retry_seconds || waste.backoff_seconds)
    lines.push(`Failed attempts take ${text(waste.retry_seconds, 'seconds')} a task, the pauses after them ${text(waste.backoff_seconds, 'seconds')}.`)
  return lines
}
