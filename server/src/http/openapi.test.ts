import { expect, test } from 'vitest'
import { createApi, type ApiSources } from './api.ts'
import { createExport, type ExportSources } from './export.ts'
import { openApi, operations } from './openapi.ts'

test('every call below /api is described, and no other', () => {
  const apps = [createApi({} as ApiSources), createExport({} as ExportSources)]
  const routes = apps
    .flatMap((app) => app.routes)
    .filter(({ path }) => path !== '/*' && path !== '*')
    .map(({ method, path }) => `${method} ${path}`)
  expect([...new Set(routes)].toSorted()).toEqual(
    operations.map(({ method, path }) => `${method.toUpperCase()} ${path}`).toSorted(),
  )
})

test('its bodies are those that are checked', () => {
  const { components, paths, openapi } = openApi('https://pollz.example', '1.2.3')
  expect(openapi).toBe('3.1.0')
  expect(components.schemas['Vote']).toEqual({
    type: 'object',
    properties: {
      voter: { type: 'string' },
      option: { type: 'integer', minimum: 0 },
      options: { type: 'array', items: { type: 'integer', minimum: 0 } },
      uri: { type: 'string', maxLength: 1024 },
      createdAt: { type: 'string', format: 'date-time' },
      handle: { type: 'string' },
    },
    required: ['voter', 'option', 'uri', 'createdAt'],
  })
  // Every reference leads somewhere.
  const names = [...JSON.stringify({ paths, components }).matchAll(/#\/components\/schemas\/(\w+)/g)]
  expect(names.map(([, name]) => name).filter((name) => !Object.hasOwn(components.schemas, name!))).toEqual(
    [],
  )
  expect(names.length).toBeGreaterThan(10)
})

test('parameters in a path are those of the path', () => {
  for (const { path, parameters = [] } of operations) {
    const named = [...path.matchAll(/:(\w+)/g)].map(([, name]) => name)
    expect(parameters.filter((it) => it.in === 'path').map(({ name }) => name)).toEqual(named)
  }
})
