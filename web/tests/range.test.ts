import { describe, expect, it } from 'vitest'

import { bounds, durationMs, follows, presetOf, shifted, timeMs } from '../src/range'

const NOW = 1_800_000_000_000

describe('times', () => {
  it.each([
    ['now', NOW],
    ['now-1h', NOW - 3_600_000],
    ['now-90s', NOW - 90_000],
    ['1700000000', 1_700_000_000_000],
    ['1700000000123', 1_700_000_000_123],
    ['2026-01-02T03:04:05Z', Date.UTC(2026, 0, 2, 3, 4, 5)],
    ['yesterday', null],
    ['now-', null],
    ['', null],
  ])('%s', (text, expected) => expect(timeMs(text, NOW)).toBe(expected))

  it('reads durations with one unit', () => {
    expect([durationMs('15m'), durationMs('1.5h'), durationMs('7d'), durationMs('5'), durationMs('1h30m')]).toEqual([
      900_000, 5_400_000, 604_800_000, null, null,
    ])
  })
})

it('refuses a range whose end is not after its start', () => {
  expect(bounds({ from: 'now', to: 'now-1h' }, NOW)).toBeNull()
  expect(bounds({ from: 'now-1h', to: 'now' }, NOW)).toEqual({ startMs: NOW - 3_600_000, endMs: NOW })
})

it('knows which ranges move on with time', () => {
  expect(follows({ from: 'now-5m', to: 'now' })).toBe(true)
  expect(follows({ from: '1700000000', to: 'now' })).toBe(false)
  expect(presetOf({ from: 'now-15m', to: 'now' })).toBe('15m')
  expect(presetOf({ from: 'now-16m', to: 'now' })).toBeNull()
})

it('goes back by half a range, and forth until it follows now again', () => {
  const back = shifted({ from: 'now-1h', to: 'now' }, -1, NOW)
  expect(back).toEqual({ from: String(NOW - 5_400_000), to: String(NOW - 1_800_000) })
  expect(shifted(back, 1, NOW)).toEqual({ from: 'now-1h', to: 'now' })
})
