import { signal } from '@preact/signals'
import { useEffect, useRef } from 'preact/hooks'

import { panels } from '../frames'
import { Icon } from './icons'

export const helpOpen = signal(false)

const KEYS: [string, string][] = [
  ['?', 'this help'],
  ['g o · g t · g e · g b · g d', 'Overview · Targets · Explore · Bottleneck · Doctor'],
  ['space', 'pause, resume'],
  ['[ ]', 'half a range back, forth'],
  ['drag', 'zoom all charts'],
  ['z', 'undo the zoom'],
  ['← →', 'move the cursor of the chart that has the focus'],
  ['t', 'light, dark'],
  ['Esc', 'close, leave'],
]

export function Help() {
  const dialog = useRef<HTMLDialogElement>(null)
  useEffect(() => {
    if (helpOpen.value) dialog.current?.showModal()
    else dialog.current?.close()
  }, [helpOpen.value])
  return (
    <dialog ref={dialog} aria-labelledby="help-title" onClose={() => (helpOpen.value = false)}>
      <header class="panel-head">
        <h2 id="help-title">Keys</h2>
        <button type="button" class="tool" aria-label="Close" onClick={() => (helpOpen.value = false)}>
          <Icon name="close" />
        </button>
      </header>
      <dl class="keys">
        {KEYS.map(([key, what]) => (
          <div key={key}>
            <dt>
              <kbd>{key}</kbd>
            </dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
      <p class="muted">
        agentgauge {panels.value?.version} · <a href="licenses.md">licences</a> of what this page is built from
      </p>
    </dialog>
  )
}
