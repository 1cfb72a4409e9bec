import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: ['{shared,widget,client,extension,site,server,tap,deploy,scripts}/**/*.test.{ts,tsx}'],
        },
        oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
      },
      {
        test: {
          name: 'remote',
          // The server again, on a libSQL server: a stand-in for one, or whatever TEST_DATABASE_URL names.
          include: ['server/src/**/*.test.ts'],
          exclude: ['**/*.file.test.ts'],
          env: { TEST_DATABASE_URL: process.env['TEST_DATABASE_URL'] ?? 'standin' },
          // A real one has one set of tables.
          fileParallelism: process.env['TEST_DATABASE_URL'] === undefined,
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          name: 'e2e',
          include: ['e2e/**/*.test.ts'],
          // One network and one browser at a time on a small machine.
          fileParallelism: false,
          // And nothing else beside them.
          sequence: { groupOrder: 2 },
          testTimeout: 60_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
})
