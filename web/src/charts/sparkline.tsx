// A line without axes: the shape of the last while, for a tile.

import type { Cell } from '../align'

const WIDTH = 120
const HEIGHT = 32

/** SVG path of the values; gaps break the line. The axis starts at zero, as the charts' do. */
export function pathOf(values: readonly Cell[], width = WIDTH, height = HEIGHT): { line: string; area: string } {
  const max = Math.max(...values.map((cell) => cell ?? 0), 0) || 1
  const x = (i: number) => ((i / Math.max(1, values.length - 1)) * width).toFixed(1)
  const y = (cell: number) => (height - 1.5 - (cell / max) * (height - 3)).toFixed(1)
  let line = ''
  let area = ''
  let start = -1
  values.forEach((cell, i) => {
    if (cell === null) {
      if (start >= 0) area += `L${x(i - 1)},${height}L${x(start)},${height}Z`
      start = -1
      return
    }
    const point = `${x(i)},${y(cell)}`
    line += (start < 0 ? 'M' : 'L') + point
    area += (start < 0 ? 'M' : 'L') + point
    if (start < 0) start = i
  })
  if (start >= 0) area += `L${x(values.length - 1)},${height}L${x(start)},${height}Z`
  return { line, area }
}

export function Sparkline({ values }: { values: readonly Cell[] }) {
  const { line, area } = pathOf(values)
  return (
    <svg class="sparkline" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
      <path class="sparkline-area" d={area} />
      <path class="sparkline-line" d={line} />
    </svg>
  )
}
