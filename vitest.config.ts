import { defineConfig } from 'vitest/config'
import { isShared } from './server/test/remote.ts'

/** Limits in ms. They only end what never comes: on a machine busy with other things everything takes many times longer. */
const patient = { testTimeout: 60_000, hookTimeout: 60_000, setupFiles: 'scripts/patience.ts' }

export default defineConfig({
  test: {
    globalSetup: 'scripts/temporary.ts',
    projects: [
      {
        test: {
          ...patient,
          name: 'unit',
          include: [
            '{shared,check,widget,engine,extension,site,server,tap,deploy,scripts}/**/*.test.{ts,tsx}',
          ],
          exclude: ['**/*.remote.test.ts', '**/node_modules/**'],
        },
        oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
      },
      {
        test: {
          ...patient,
          name: 'remote',
          // The server again, on a libSQL server.
          include: ['server/src/**/*.test.ts'],
          exclude: ['**/*.file.test.ts'],
          env: { TEST_PROJECT: 'remote' },
          globalSetup: 'server/test/remote.ts',
          fileParallelism: !isShared,
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          ...patient,
          name: 'e2e',
          include: ['e2e/**/*.test.ts'],
          // One network and one browser at a time on a small machine.
          fileParallelism: false,
          // And nothing else beside them.
          sequence: { groupOrder: 2 },
          testTimeout: 180_000,
          hookTimeout: 180_000,
        },
      },
    ],
  },
})
