import { useSignal } from '@preact/signals'

import { Icon } from './icons'

const SHOWN_MS = 1500

export function CopyButton({ text }: { text: string }) {
  const copied = useSignal(false)
  async function copy(): Promise<void> {
    await copyText(text)
    copied.value = true
    setTimeout(() => (copied.value = false), SHOWN_MS)
  }
  return (
    <button type="button" class="tool copy" aria-label={copied.value ? 'Copied' : 'Copy'} title="Copy" onClick={() => void copy()}>
      <Icon name={copied.value ? 'ok' : 'copy'} />
    </button>
  )
}

/** The clipboard is only there on https and localhost; elsewhere a hidden field does it. */
async function copyText(text: string): Promise<void> {
  if (navigator.clipboard) {
    try {
      await navigator.clipboard.writeText(text)
      return
    } catch {
      // no permission: as without a clipboard
    }
  }
  const area = document.createElement('textarea')
  area.value = text
  document.body.append(area)
  area.select()
  document.execCommand('copy')
  area.remove()
}
