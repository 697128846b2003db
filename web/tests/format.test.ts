import { describe, expect, it } from 'vitest'

import { ago, change, changeText, legendOf, quantity, text, tick } from '../src/format'

describe('values', () => {
  it.each([
    [0.0042, 'seconds', '4.2 ms'],
    [0.662, 'seconds', '662 ms'],
    [4.14, 'seconds', '4.1 s'],
    [41.2, 'seconds', '41 s'],
    [185, 'seconds', '3.1 min'],
    [9000, 'seconds', '2.5 h'],
    [0.0131, 'ratio', '1.3 %'],
    [0, 'ratio', '0 %'],
    [1, 'ratio', '100 %'],
    [2.9, 'tasks/s', '2.9'],
    [0.0033, 'tasks/s', '0.0033'],
    [12_345, 'tokens', '12.3k'],
    [2_500_000, 'tokens', '2.5M'],
    [3, 'count', '3'],
    [91.7, 'MiB', '92 MiB'],
  ])('%f as %s is %s', (value, unit, expected) => expect(text(value, unit)).toBe(expected))

  it('shows what is missing as a dash, never as 0', () => {
    expect([null, undefined, NaN, Infinity].map((value) => text(value, 'seconds'))).toEqual(['–', '–', '–', '–'])
  })
  it('keeps the unit apart for tiles', () => {
    expect(quantity(2.94, 'tasks/s')).toEqual({ value: '2.9', unit: 'tasks/s' })
  })
})

it('labels axes', () => {
  expect([tick(0, 'seconds'), tick(0.5, 'seconds'), tick(30, 'seconds'), tick(0.25, 'ratio'), tick(20_000, 'tokens/s'), tick(50, 'MiB')]).toEqual(
    ['0', '500 ms', '30 s', '25%', '20k', '50 MiB'],
  )
})

it('fills legends from labels', () => {
  expect(legendOf('{{component}} {{name}}', { component: 'tool', name: 'sql' })).toBe('tool sql')
  expect(legendOf('{{agent}}', {})).toBe('none')
  expect(legendOf('', { a: 'b' })).toBe('{a="b"}')
  expect(legendOf('', {})).toBe('value')
})

it('compares with before only where that says something', () => {
  expect(change(3, 2)).toBeCloseTo(0.5)
  expect([change(null, 2), change(3, null), change(3, 0)]).toEqual([null, null, null])
})

it('says how much more or less', () => {
  expect([changeText(0.098), changeText(-0.53), changeText(1), changeText(29.3)]).toEqual(['▲ 9.8 %', '▼ 53 %', '▲ 2.0×', '▲ 30×'])
})

it('says how long ago', () => {
  expect([ago(12_000), ago(600_000), ago(3 * 3600_000), ago(5 * 86_400_000)]).toEqual(['12 s', '10 min', '3 h', '5 days'])
})
