import { expect, it } from 'vitest'

import type { Cell, Series } from '../src/align'
import { foldOf, limitSeries, stackValues, withHeight } from '../src/stack'

const series = (name: string, ...values: Cell[]): Series => ({ key: name, name, labels: {}, values })

it('stacks running sums and counts a missing value as nothing added', () => {
  expect(stackValues([[1, null, 3], [10, 20, null]])).toEqual([[1, 0, 3], [11, 20, 3]])
})

it('keeps a gap where every series is missing', () => {
  expect(stackValues([[1, null], [2, null]])).toEqual([[1, null], [3, null]])
})

it('shows at most six series and one that stands for the rest', () => {
  const many = Array.from({ length: 9 }, (_, i) => series(`s${i}`, i, i))
  const shown = limitSeries(many, 'sum')
  expect(shown.map((one) => one.name)).toEqual(['s3', 's4', 's5', 's6', 's7', 's8', 'other (3)'])
  expect(shown.at(-1)!.values).toEqual([3, 3])
})

it('never adds up durations: the rest shows its worst', () => {
  expect(foldOf('seconds')).toBe('max')
  const many = Array.from({ length: 8 }, (_, i) => series(`s${i}`, i, null))
  expect(limitSeries(many, 'max').at(-1)).toMatchObject({ name: 'worst of 2 others', values: [1, null] })
})

it('leaves layers without height out of a stack, unless there is nothing else', () => {
  const [none, some] = [series('none', 0, null), series('some', 0, 1)]
  expect(withHeight([none, some])).toEqual([some])
  expect(withHeight([none])).toEqual([none])
})

it('orders by name, or as the queries stand', () => {
  const two = [series('p95', 1), series('p50', 2)]
  expect(limitSeries(two, 'max').map((one) => one.name)).toEqual(['p50', 'p95'])
  expect(limitSeries(two, 'max', true).map((one) => one.name)).toEqual(['p95', 'p50'])
})
