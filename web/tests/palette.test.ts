// The colours hold by number: contrast on the card, and every pair apart under normal and the three colour-blind sights.
import { describe, expect, it } from 'vitest'

import { CARD, SERIES, TEXT, type Theme, MUTED, withAlpha } from '../src/palette'
import css from '../src/style.css?raw'

type Triple = [number, number, number]

// Machado, Oliveira, Fernandes 2009, severity 1.0, on linear RGB.
const SIGHTS: Record<string, Triple[]> = {
  normal: [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
  protan: [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
  deutan: [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
  tritan: [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}
const LEAST_DISTANCE = 16
const LEAST_CONTRAST: Record<Theme, number> = { light: 3, dark: 4 }
const TEXT_CONTRAST = 4.5

function linear(hex: string): Triple {
  return [1, 3, 5].map((i) => {
    const part = parseInt(hex.slice(i, i + 2), 16) / 255
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4
  }) as Triple
}

const dot = (a: Triple, b: Triple) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
const luminance = (hex: string) => dot(linear(hex), [0.2126, 0.7152, 0.0722])

function contrast(a: string, b: string): number {
  const [dark, light] = [luminance(a), luminance(b)].sort((x, y) => x - y) as [number, number]
  return (light + 0.05) / (dark + 0.05)
}

function labUnder(sight: Triple[], hex: string): Triple {
  const rgb = sight.map((row) => Math.min(1, Math.max(0, dot(row, linear(hex))))) as Triple
  const x = dot(rgb, [0.4124564, 0.3575761, 0.1804375]) / 0.95047
  const y = dot(rgb, [0.2126729, 0.7151522, 0.072175])
  const z = dot(rgb, [0.0193339, 0.119192, 0.9503041]) / 1.08883
  const f = (t: number) => (t > 216 / 24389 ? Math.cbrt(t) : (t * 24389) / 27 / 116 + 16 / 116)
  return [116 * f(y) - 16, 500 * (f(x) - f(y)), 200 * (f(y) - f(z))]
}

/** CIEDE2000, after Sharma, Wu, Dalal 2005. */
function distance([l1, a1, b1]: Triple, [l2, a2, b2]: Triple): number {
  const rad = Math.PI / 180
  const meanC = (Math.hypot(a1, b1) + Math.hypot(a2, b2)) / 2
  const g = 0.5 * (1 - Math.sqrt(meanC ** 7 / (meanC ** 7 + 25 ** 7)))
  const [x1, x2] = [a1 * (1 + g), a2 * (1 + g)]
  const [c1, c2] = [Math.hypot(x1, b1), Math.hypot(x2, b2)]
  const hue = (x: number, b: number) => (x === 0 && b === 0 ? 0 : (Math.atan2(b, x) / rad + 360) % 360)
  const [h1, h2] = [hue(x1, b1), hue(x2, b2)]
  let dh = c1 * c2 === 0 ? 0 : h2 - h1
  if (dh > 180) dh -= 360
  if (dh < -180) dh += 360
  const dH = 2 * Math.sqrt(c1 * c2) * Math.sin((dh * rad) / 2)
  const [l, c] = [(l1 + l2) / 2, (c1 + c2) / 2]
  const h = c1 * c2 === 0 ? h1 + h2 : Math.abs(h1 - h2) <= 180 ? (h1 + h2) / 2 : (h1 + h2 + (h1 + h2 < 360 ? 360 : -360)) / 2
  const t =
    1 - 0.17 * Math.cos((h - 30) * rad) + 0.24 * Math.cos(2 * h * rad) + 0.32 * Math.cos((3 * h + 6) * rad) - 0.2 * Math.cos((4 * h - 63) * rad)
  const sl = 1 + (0.015 * (l - 50) ** 2) / Math.sqrt(20 + (l - 50) ** 2)
  const [sc, sh] = [1 + 0.045 * c, 1 + 0.015 * c * t]
  const rotation = -2 * Math.sqrt(c ** 7 / (c ** 7 + 25 ** 7)) * Math.sin(60 * Math.exp(-(((h - 275) / 25) ** 2)) * rad)
  const [kl, kc, kh] = [(l2 - l1) / sl, (c2 - c1) / sc, dH / sh]
  return Math.sqrt(kl ** 2 + kc ** 2 + kh ** 2 + rotation * kc * kh)
}

/** The values of a custom property: in the light block, then in the dark one. */
function token(name: string): Record<Theme, string> {
  const found = [...css.matchAll(new RegExp(`--${name}: (#[0-9a-f]{6})`, 'g'))].map((match) => match[1]!)
  return { light: found[0]!, dark: found[1]! }
}

describe('the distance itself', () => {
  it('agrees with a published pair', () => {
    expect(distance([50, 2.6772, -79.7751], [50, 0, -82.7485])).toBeCloseTo(2.0425, 3)
    expect(distance([50, 2.5, 0], [73, 25, -18])).toBeCloseTo(27.1492, 3)
  })
})

describe.each(['light', 'dark'] as const)('%s', (theme) => {
  it('series stand out from the card', () => {
    for (const color of SERIES[theme]) expect(contrast(color, CARD[theme])).toBeGreaterThanOrEqual(LEAST_CONTRAST[theme])
  })
  it.each(Object.keys(SIGHTS))('series stay apart in %s sight', (sight) => {
    const labs = SERIES[theme].map((color) => labUnder(SIGHTS[sight]!, color))
    for (let i = 0; i < labs.length; i++)
      for (let j = 0; j < i; j++) expect(distance(labs[i]!, labs[j]!)).toBeGreaterThanOrEqual(LEAST_DISTANCE)
  })
  it('words can be read on the card', () => {
    const { bad, ok, warn, accent } = { bad: token('bad'), ok: token('ok'), warn: token('warn'), accent: token('accent') }
    for (const color of [TEXT[theme], MUTED[theme], bad[theme], ok[theme], warn[theme], accent[theme]])
      expect(contrast(color, CARD[theme])).toBeGreaterThanOrEqual(TEXT_CONTRAST)
  })
  it('charts and style sheet agree on the card and the words', () => {
    expect([token('card')[theme], token('text')[theme], token('muted')[theme]]).toEqual([CARD[theme], TEXT[theme], MUTED[theme]])
  })
})

it('writes alpha as two hex digits', () => {
  expect(withAlpha('#102030', 0.4)).toBe('#10203066')
})
