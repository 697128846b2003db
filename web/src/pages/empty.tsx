// Nothing was ever reported: say how to begin. The page flips by itself at the first sample.

import { CopyButton } from '../parts/copy'
import { tick } from '../frames'
import { connection } from '../live'
import { live } from '../state'

const SNIPPETS = [
  {
    title: 'Measure your own agent',
    note: 'A task is one run of an agent; calls inside it are counted to it.',
    code: `import agentgauge as ag

ag.start()  # this page finds it by itself

@ag.task(agent="researcher")
def run(question):
    with ag.tool_call("search"):
        ...`,
  },
  {
    title: 'Measure Ollama without changing a call',
    note: 'Every chat, generate and embed of the official client, streaming or not.',
    code: `import agentgauge as ag
import ollama

ag.start()
ag.instrument()

ollama.chat(model="qwen3:8b", messages=...)`,
  },
  {
    title: 'Scrape a process elsewhere',
    note: 'Local processes are found; name those on other machines, as often as needed.',
    code: `agentgauge serve --target 10.0.0.5:8001`,
  },
]

export function Empty() {
  const facts = tick.value?.facts
  const targets = facts?.n_targets ?? 0
  return (
    <div class="empty" data-empty>
      <div class="card hero">
        <h1>No agent has reported yet</h1>
        <p>This page fills itself as soon as the first sample arrives. Three ways to begin:</p>
        <p class="waiting" role="status">
          <span class="dot" data-state={connection.value} />
          {targets ? `${targets} ${targets === 1 ? 'target answers' : 'targets answer'}, none of them has run an agent.` : 'No target found so far.'}{' '}
          Last sample of an agent: never. {live.value ? 'Waiting.' : 'Not live: reload to look again.'}
        </p>
      </div>
      <div class="snippets">
        {SNIPPETS.map((snippet) => (
          <section class="card" key={snippet.title}>
            <h2>{snippet.title}</h2>
            <p>{snippet.note}</p>
            <div class="snippet">
              <pre tabIndex={0}>
                <code>{snippet.code}</code>
              </pre>
              <CopyButton text={snippet.code} />
            </div>
          </section>
        ))}
      </div>
    </div>
  )
}
