import { expect, it } from 'vitest'

import type { WhyAgent, WhyPart } from '../src/api'
import { barOf, queueText, savesText, signed, wasteLines } from '../src/saving'

const part = (what_if: Partial<WhyPart['what_if']>) =>
  ({ what_if: { low_seconds: 0.6, high_seconds: 1.3, high_seconds_without_waits: 1.3, low_share: 0.04, high_share: 0.09, reason: '', says: '', ...what_if } }) as WhyPart

it('says what is saved as an interval, in one unit', () => {
  expect(savesText(part({}), 14.2)).toBe('4.2–9.2 %: 600 ms–1.3 s')
  expect(savesText(part({ low_seconds: 1.1 }), 14.2)).toBe('7.7–9.2 %: 1.1–1.3 s')
  expect(savesText(part({ low_seconds: 1.3 }), 14.2)).toBe('9.2 %: 1.3 s')
})

it('shows the lower end alone after a race, and no number where none holds', () => {
  const race = part({ high_seconds: null, high_share: null, high_seconds_without_waits: null, reason: 'race' })
  expect(savesText(race, 14.2)).toBe('at least 4.2 %: 600 ms')
  const unknown = part({ low_seconds: null, high_seconds: null, high_seconds_without_waits: null, reason: 'unwrapped' })
  expect(savesText(unknown, 14.2)).toBe('not valid: unwrapped')
  expect(barOf(unknown, 14.2)).toBeNull()
})

it('tells the queue apart', () => {
  const queued = part({ high_seconds: 7.1, high_share: 0.5 })
  expect(queueText(queued)).toBe('up to 50 % with its queue')
  expect(queueText(part({}))).toBe('')
  expect(barOf(queued, 14.2)).toEqual({ sure: 0.6 / 14.2, possible: 1.3 / 14.2, withQueue: 0.5 })
})

it('signs seconds and calls dust nothing', () => {
  expect([signed(1.5), signed(-0.02), signed(1e-5)]).toEqual(['+1.5 s', '−20 ms', '0'])
})

it('tells waste only where there is some', () => {
  const waste = { tokens: { useful: 80, retried: 20 }, wasted_share: 0.1, repeated: [], retry_seconds: 0, backoff_seconds: 0 }
  expect(wasteLines({ waste } as unknown as WhyAgent)).toEqual(['Tokens: 80 % useful, 20 % thrown away.'])
  expect(wasteLines({ waste: { ...waste, tokens: {} } } as unknown as WhyAgent)).toEqual([])
})
