// What the doctor said, in short. No drawing.

import type { Diagnosis, Finding } from './api'

export function chosen(findings: Finding[], failuresOnly: boolean): Finding[] {
  return failuresOnly ? findings.filter((row) => row.verdict === 'bad' || row.verdict === 'warn') : findings
}

export function summary({ counts }: Diagnosis): string {
  const parts = [
    counts.bad ? `${counts.bad} bad` : '',
    counts.warn ? `${counts.warn} to look at` : '',
    `${counts.ok} ok`,
    counts.unknown ? `${counts.unknown} not seen` : '',
  ]
  return `Is the monitor right? ${parts.filter(Boolean).join(', ')}.`
}
