// Zooming is choosing a range: it pauses the live stream, and can be undone.

import { batch } from '@preact/signals'

import { type Range, follows, shifted } from './range'
import { nowMs, paused, range, zooms } from './state'

export function zoomTo(startMs: number, endMs: number): void {
  choose({ from: String(Math.round(startMs)), to: String(Math.round(endMs)) }, true)
}

export function choose(next: Range, undoable = false): void {
  batch(() => {
    zooms.value = undoable ? [...zooms.value, range.value] : []
    range.value = next
    paused.value = !follows(next)
  })
}

export function undoZoom(): void {
  const before = zooms.value.at(-1)
  if (!before) return
  batch(() => {
    zooms.value = zooms.value.slice(0, -1)
    range.value = before
    paused.value = !follows(before)
  })
}

export function shift(direction: -1 | 1): void {
  choose(shifted(range.value, direction, nowMs()))
}
