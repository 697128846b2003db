import { effect } from '@preact/signals'
import { render } from 'preact'

import { App } from './app'
import { load } from './frames'
import { startKeyboard } from './keyboard'
import { startLive } from './live'
import { agentPattern, followAddress, page, range } from './state'
import './style.css'

followAddress()
startKeyboard()
render(<App />, document.getElementById('app')!)

/** Pictures and tests wait for `data-ready`: the answers are in and two frames have passed, so the charts are drawn. */
async function loadAndTell(): Promise<void> {
  delete document.documentElement.dataset.ready
  await load()
  requestAnimationFrame(() => requestAnimationFrame(() => (document.documentElement.dataset.ready = '')))
}

effect(() => {
  void [range.value, agentPattern.value]
  if (page.value !== 'overview') return
  void loadAndTell()
})
startLive()
