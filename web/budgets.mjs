// Compress what was built, and fail when the page has grown past its budget (kB gzip).
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'

const BUDGETS_KB = { '.js': 60, '.css': 10 }
const root = join(import.meta.dirname, '../src/agentgauge/view/static')
const totals = { '.js': 0, '.css': 0 }

for (const entry of readdirSync(root, { recursive: true, withFileTypes: true })) {
  const match = /\.(?:js|css|html|svg)$/.exec(entry.name)
  if (!entry.isFile() || !match) continue
  const path = join(entry.parentPath, entry.name)
  const body = readFileSync(path)
  const gzip = gzipSync(body, { level: 9 })
  writeFileSync(`${path}.gz`, gzip)
  writeFileSync(`${path}.br`, brotliCompressSync(body, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } }))
  if (match[0] in totals) totals[match[0]] += gzip.length / 1000
}

for (const [kind, budget] of Object.entries(BUDGETS_KB)) {
  const size = totals[kind]
  console.log(`${kind} ${size.toFixed(1)} kB gzip of ${budget}`)
  if (size > budget) {
    console.error(`The page's ${kind} is over its budget.`)
    process.exitCode = 1
  }
}
