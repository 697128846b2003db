import { defineConfig } from 'vite'

// Where the server listens while the page is being worked on: `agentgauge serve` or tests/e2e/page_server.py.
const server = process.env.AGENTGAUGE_URL ?? 'http://127.0.0.1:9095'

export default defineConfig({
  base: './', // works under any path prefix
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  build: {
    target: 'es2022',
    outDir: '../src/agentgauge/view/static',
    emptyOutDir: true,
    assetsDir: 'static',
    assetsInlineLimit: 0, // an inlined image is a data: URL, which the Content-Security-Policy forbids
    license: { fileName: 'licenses.md' },
  },
  server: { proxy: { '/api': server } },
})
