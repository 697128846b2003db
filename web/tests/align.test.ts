import { describe, expect, it } from 'vitest'

import { alignSeries, appendStep, cellOf, currentOf, endOf, gridOf, keyOf, lastOf, timesOf } from '../src/align'

const grid = gridOf(1_000, 5_000, 1_000)

describe('grid', () => {
  it('holds both ends and falls on whole steps', () => {
    expect(grid).toEqual({ startMs: 1_000, stepMs: 1_000, n: 5 })
    expect(endOf(gridOf(1_234, 5_678, 1_000))).toBe(5_000)
    expect(timesOf(grid)).toEqual([1, 2, 3, 4, 5])
  })
})

describe('alignment', () => {
  it('leaves a gap where a step is missing, never a zero', () => {
    const [one] = alignSeries([{ metric: { agent: 'a' }, values: [[1, '7'], [4, '9']] }], grid, 0, '{{agent}}')
    expect(one!.values).toEqual([7, null, null, 9, null])
    expect(one!.name).toBe('a')
  })
  it('takes NaN and infinity as nothing to draw', () => {
    expect(['NaN', '+Inf', '1.5'].map(cellOf)).toEqual([null, null, 1.5])
  })
  it('drops samples outside the grid', () => {
    const [one] = alignSeries([{ metric: {}, values: [[0, '1'], [9, '1']] }], grid, 0, '')
    expect(one!.values.every((cell) => cell === null)).toBe(true)
  })
  it('knows a series by its labels in any order', () => {
    expect(keyOf(0, { a: '1', b: '2' })).toBe(keyOf(0, { b: '2', a: '1' }))
    expect(keyOf(0, { a: '1' })).not.toBe(keyOf(1, { a: '1' }))
  })
})

describe('appending a tick', () => {
  const series = alignSeries([{ metric: { agent: 'a' }, values: [[1, '1'], [2, '2'], [3, '3'], [4, '4'], [5, '5']] }], grid, 0, '')
  const value = { key: series[0]!.key, name: 'a', labels: { agent: 'a' }, value: 6 }

  it('moves the grid on by one step', () => {
    const next = appendStep(grid, series, 6_000, [value])
    expect(next.grid.startMs).toBe(2_000)
    expect(next.series[0]!.values).toEqual([2, 3, 4, 5, 6])
  })
  it('leaves a hole for the ticks that were missed', () => {
    expect(appendStep(grid, series, 8_000, [value]).series[0]!.values).toEqual([4, 5, null, null, 6])
  })
  it('takes in a series that is new', () => {
    const born = appendStep(grid, series, 6_000, [{ key: 'new', name: 'b', labels: {}, value: 1 }]).series[1]!
    expect(born.values).toEqual([null, null, null, null, 1])
  })
  it('overwrites the last step when the same tick comes again, and ignores older ones', () => {
    expect(appendStep(grid, series, 5_000, [value]).series[0]!.values.at(-1)).toBe(6)
    expect(appendStep(grid, series, 3_000, [value]).series).toBe(series)
  })
  it('lets go of a series when its last value has left the grid', () => {
    expect(appendStep(grid, series, 60_000, []).series).toEqual([])
  })
  it('does not change what it was given', () => {
    appendStep(grid, series, 6_000, [value])
    expect(series[0]!.values).toEqual([1, 2, 3, 4, 5])
  })
})

it('tells the last value from the current one', () => {
  expect(lastOf([1, 2, null])).toBe(2)
  expect(currentOf([1, null, null, null], 3)).toBeNull()
  expect(currentOf([null, 1, null, null], 3)).toBe(1)
})
