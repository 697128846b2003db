import { expect, test } from 'vitest'

import type { Finding, Verdict } from '../src/api'
import { chosen, summary } from '../src/diagnosis'

const row = (verdict: Verdict): Finding => ({
  check: verdict,
  title: verdict,
  group: 'chain',
  verdict,
  looked_at: '',
  detail: '',
  mend: '',
})

test('only what needs a look can be chosen', () => {
  const rows = (['ok', 'warn', 'bad', 'unknown'] as const).map(row)
  expect(chosen(rows, true).map((one) => one.verdict)).toEqual(['warn', 'bad'])
  expect(chosen(rows, false)).toHaveLength(4)
})

test('the summary says the worst first and leaves out what is none', () => {
  const counts = { ok: 30, warn: 2, bad: 1, unknown: 0 }
  expect(summary({ t_ms: 0, healthy: false, counts, findings: [] })).toBe('Is the monitor right? 1 bad, 2 to look at, 30 ok.')
})
