// One key, one thing; nothing while a person types.

import { helpOpen } from './parts/help'
import { pause, resume } from './live'
import { PAGES, goTo, paused, toggleTheme } from './state'
import { shift, undoZoom } from './zoom'

const CHORD_MS = 1200
let goPressedAt = -Infinity

export function startKeyboard(): void {
  addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return
    if (act(event)) event.preventDefault()
  })
}

function act(event: KeyboardEvent): boolean {
  const { key } = event
  if (event.timeStamp - goPressedAt < CHORD_MS) {
    goPressedAt = -Infinity
    const goal = PAGES.find((page) => page.key === key)
    if (goal) goTo(goal.id)
    return goal !== undefined
  }
  switch (key) {
    case 'g':
      goPressedAt = event.timeStamp
      return true
    case '?':
      helpOpen.value = !helpOpen.value
      return true
    case 't':
      toggleTheme()
      return true
    case 'z':
      undoZoom()
      return true
    case '[':
      shift(-1)
      return true
    case ']':
      shift(1)
      return true
    case ' ':
      if (event.target instanceof Element && event.target.closest('button, a, summary, select')) return false
      if (paused.value) resume()
      else pause()
      return true
    default:
      return false
  }
}

function isTyping(target: EventTarget | null): boolean {
  return target instanceof Element && target.closest('input, textarea, select, [contenteditable]') !== null
}
