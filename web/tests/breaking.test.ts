import { expect, it } from 'vitest'

import { partsOf } from '../src/parts/breaking'

it('breaks names behind their parts, nothing else, and loses nothing', () => {
  const text = '/app/agent.py:42 in answer: agent_tool_calls_total, __other__, 1/2'
  expect(partsOf('agent_tool_calls_total')).toEqual(['agent_', 'tool_', 'calls_', 'total'])
  expect(partsOf('__other__')).toEqual(['__other__'])
  expect(partsOf(text).join('')).toBe(text)
})
