// Colours, found by number: every pair stays apart under the three colour-blindnesses (tests/palette.test.ts).

export type Theme = 'light' | 'dark'

export const SERIES: Record<Theme, readonly string[]> = {
  light: ['#db708d', '#8e0b62', '#0000ff', '#998f00', '#2b93ee', '#990000'],
  dark: ['#3385ff', '#99ddff', '#f0cec2', '#858e0b', '#ec1387', '#b8e600'],
}

export const CARD: Record<Theme, string> = { light: '#ffffff', dark: '#171e27' }
export const TEXT: Record<Theme, string> = { light: '#1c2430', dark: '#e6ebf1' }
export const MUTED: Record<Theme, string> = { light: '#5b6675', dark: '#9aa7b5' }
export const GRID: Record<Theme, string> = { light: '#e3e7ec', dark: '#2a333f' }

export const MAX_SERIES = 6

/** Dashes tell series apart where colours cannot; the first two stay solid. */
export const DASHES: readonly (readonly number[])[] = [[], [], [10, 3], [4, 3], [12, 3, 3, 3], [7, 2]]

export function seriesColor(theme: Theme, index: number): string {
  return index < MAX_SERIES ? SERIES[theme][index]! : MUTED[theme]
}

/** `#rrggbb` with an alpha of 0 to 1. */
export function withAlpha(hex: string, alpha: number): string {
  return hex + Math.round(alpha * 255).toString(16).padStart(2, '0')
}
