import { beforeEach, vi } from 'vitest'

// No test reaches a network: a test that needs answers stubs them itself.
beforeEach(() => {
  vi.stubGlobal('fetch', () => Promise.reject(new Error('fetch is not stubbed in this test')))
})
