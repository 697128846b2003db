// Small drawings, 16 px, in the colour of the text beside them.

const PATHS = {
  query: 'M5 4 1.5 8 5 12M11 4l3.5 4L11 12M9.2 3 6.8 13',
  table: 'M2 3.5h12v9H2zM2 6.5h12M2 9.5h12M6.5 3.5v9',
  chart: 'M2 13h12M3 10l3-3.5 3 2.5 4.5-6',
  explore: 'M7 12A5 5 0 1 0 7 2a5 5 0 0 0 0 10ZM11 11l3.5 3.5',
  sun: 'M8 11a3 3 0 1 0 0-6 3 3 0 0 0 0 6ZM8 1v1.6M8 13.4V15M1 8h1.6M13.4 8H15M3 3l1.2 1.2M11.8 11.8 13 13M13 3l-1.2 1.2M4.2 11.8 3 13',
  moon: 'M13.5 9.8A6 6 0 0 1 6.2 2.5a6 6 0 1 0 7.3 7.3Z',
  pause: 'M5.5 3.5v9M10.5 3.5v9',
  play: 'M5 3.2v9.6L12.5 8Z',
  help: 'M6 6a2 2 0 1 1 2.8 1.8c-.6.3-.8.7-.8 1.4M8 11.6v.2',
  ok: 'm3 8.5 3.3 3.3L13 4.8',
  warn: 'M8 2 1.5 13.5h13ZM8 6.5v3.2M8 11.6v.2',
  bad: 'm4 4 8 8M12 4l-8 8',
  quiet: 'M3 8h10',
  empty: 'M8 13.5a5.5 5.5 0 1 0 0-11 5.5 5.5 0 0 0 0 11ZM8 5v3.2l2 1.6',
  copy: 'M5.5 5.5h8v8h-8zM10.5 5.5v-3h-8v8h3',
  left: 'M10 3 5 8l5 5',
  right: 'm6 3 5 5-5 5',
  close: 'm4 4 8 8M12 4l-8 8',
} as const

export type IconName = keyof typeof PATHS

export function Icon({ name }: { name: IconName }) {
  return (
    <svg class="icon" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  )
}
