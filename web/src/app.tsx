// The frame of every page: where one can go, which time is on display, whether it is live.

import { ago } from './format'
import { behindMs, connection, pause, resume } from './live'
import { Help, helpOpen } from './parts/help'
import { Icon } from './parts/icons'
import { Doctor } from './pages/doctor'
import { Explore } from './pages/explore'
import { Overview } from './pages/overview'
import { Targets } from './pages/targets'
import { Why } from './pages/why'
import { PRESETS, presetOf } from './range'
import { PAGES, type Page, address, agent, goTo, page, range, theme, toggleTheme } from './state'
import { choose, shift } from './zoom'

export function App() {
  return (
    <>
      <a class="skip" href="#main">
        Skip to the content
      </a>
      <header class="top">
        <div class="top-inner">
          <a class="brand" href={address({}, 'overview')} onClick={follow('overview')}>
            <Logo />
            agentgauge
          </a>
          <nav aria-label="Pages">
            {PAGES.map((one) => (
              <a key={one.id} href={address({}, one.id)} aria-current={page.value === one.id ? 'page' : undefined} onClick={follow(one.id)}>
                {one.title}
              </a>
            ))}
          </nav>
          <div class="controls">
            {agent.value && (
              <button type="button" class="chip" title="Show all agents" onClick={() => (agent.value = '')}>
                {agent.value} <Icon name="close" />
              </button>
            )}
            {page.value !== 'targets' && <RangeChoice />}
            <LiveButton />
            <button type="button" class="tool" aria-label={`Use the ${theme.value === 'dark' ? 'light' : 'dark'} theme`} title="Theme (t)" onClick={toggleTheme}>
              <Icon name={theme.value === 'dark' ? 'sun' : 'moon'} />
            </button>
            <button type="button" class="tool" aria-label="Help" title="Keys (?)" onClick={() => (helpOpen.value = true)}>
              <Icon name="help" />
            </button>
          </div>
        </div>
      </header>
      <main id="main" tabIndex={-1}>
        <PageBody />
      </main>
      <Help />
    </>
  )
}

function PageBody() {
  switch (page.value) {
    case 'overview':
      return <Overview />
    case 'targets':
      return <Targets />
    case 'explore':
      return <Explore />
    case 'why':
      return <Why />
    case 'doctor':
      return <Doctor />
  }
}

function follow(goal: Page) {
  return (event: MouseEvent) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return
    event.preventDefault()
    goTo(goal)
  }
}

function RangeChoice() {
  const preset = presetOf(range.value)
  return (
    <div class="segmented" role="group" aria-label="Time range">
      <button type="button" aria-label="Half a range back" title="Back ([)" onClick={() => shift(-1)}>
        <Icon name="left" />
      </button>
      {PRESETS.map((one) => (
        <button key={one} type="button" aria-pressed={preset === one} onClick={() => choose({ from: `now-${one}`, to: 'now' })}>
          {one}
        </button>
      ))}
      {!preset && (
        <button type="button" aria-pressed="true">
          custom
        </button>
      )}
      <button type="button" aria-label="Half a range forth" title="Forth (])" onClick={() => shift(1)}>
        <Icon name="right" />
      </button>
    </div>
  )
}

const WORDS = { live: 'Live', paused: 'Paused', connecting: 'Connecting', reconnecting: 'Reconnecting', off: 'Not live' } as const

function LiveButton() {
  const state = connection.value
  if (page.value !== 'overview' || state === 'off') return null
  const isPaused = state === 'paused'
  return (
    <button
      type="button"
      class="live-button"
      data-state={state}
      aria-pressed={!isPaused}
      title={`${isPaused ? 'Resume' : 'Pause'} (space); the newest value is ${ago(behindMs.value ?? 0)} old`}
      onClick={isPaused ? resume : pause}
    >
      <span class="dot" data-state={state} />
      {WORDS[state]}
    </button>
  )
}

function Logo() {
  return (
    <svg class="logo" viewBox="0 0 32 32" width="24" height="24" aria-hidden="true">
      <rect width="32" height="32" rx="8" />
      <path class="logo-scale" d="M7 21a9 9 0 1 1 18 0" />
      <path d="M7 21a9 9 0 0 1 9-9M16 21l5-7" />
    </svg>
  )
}
