import { expect, it } from 'vitest'

import type { PanelDef, Tick } from '../src/api'
import { agentRows, sorted } from '../src/parts/agents'
import { answerOf } from '../src/parts/tile'

const column = (id: string, pick = false) => ({ id, kind: 'column', unit: 'count', hints: pick ? { pick: 'largest' } : {} }) as unknown as PanelDef
const columns = [column('agent_in_flight'), column('agent_tasks'), column('agent_bottleneck', true)]
const tick = {
  values: {
    agent_in_flight: [[[{ agent: 'kind' }, 1], [{ agent: 'a' }, 2]]],
    agent_tasks: [[[{ agent: 'a' }, 0.5], [{ agent: 'b' }, 2], [{ agent: 'c' }, null]]],
    agent_bottleneck: [[[{ agent: 'a' }, 0.2, 'own code'], [{ agent: 'a' }, 0.7, 'tool sql']]],
  },
} as unknown as Tick

it('has a row per agent, not per agent type, and no number where none was measured', () => {
  const rows = agentRows(columns, tick)
  expect(rows.map((row) => row.agent)).toEqual(['a', 'b', 'c'])
  expect(rows[0]!.cells.agent_bottleneck).toEqual({ value: 0.7, words: 'tool sql' })
  expect(rows[1]!.cells.agent_in_flight!.value).toBeNull()
})

it('sorts both ways with the unknown last', () => {
  const rows = agentRows(columns, tick)
  const names = (down: boolean) => sorted(rows, { column: 'agent_tasks', down }).map((row) => row.agent)
  expect(names(true)).toEqual(['b', 'a', 'c'])
  expect(names(false)).toEqual(['a', 'b', 'c'])
  expect(sorted(rows, { column: 'agent', down: true }).map((row) => row.agent)).toEqual(['c', 'b', 'a'])
})

it('answers a tile with nothing when nothing was measured', () => {
  expect(answerOf(column('x'), undefined)).toEqual({ value: null, words: '' })
  expect(answerOf(column('x', true), [[[{}, null, 'own code']]])).toEqual({ value: null, words: '' })
})
