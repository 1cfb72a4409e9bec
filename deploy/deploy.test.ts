/** What hosts are told, as far as it can be checked without them: each by the tool that reads it there. */
import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  copyFileSync,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { TAP_IMAGE, TAP_MODULE, TAP_VERSION } from '@pollz/tap/find'
import { tapEnvironment } from '@pollz/tap/settings'
import { parse } from 'smol-toml'
import { describe, expect, test } from 'vitest'

const root = join(import.meta.dirname, '..')
const read = (file: string) => readFileSync(join(root, file), 'utf8')
const there = (command: string) => spawnSync(command, ['--version'], { stdio: 'ignore' }).status === 0
const folder = () => mkdtempSync(join(tmpdir(), 'pollz-deploy-'))

const hasGo = spawnSync('go', ['version'], { stdio: 'ignore' }).status === 0
const ACTIONLINT = 'github.com/rhysd/actionlint/cmd/actionlint@v1.7.7'
/** What `docker compose` loads its files with. */
const COMPOSE_LOADER = 'github.com/compose-spec/compose-go/v2/cmd@v2.16.2'

/** The environment variables that the server reads. */
const known = new Set([
  ...[...read('server/src/config.ts').matchAll(/(?:text|env|list)[([]'([A-Z_]+)'/g)].map(([, name]) => name!),
  'NODE_ENV',
])
const tapElsewhere = (databaseUrl: string, bind: string) =>
  tapEnvironment({
    relayUrl: 'https://relay1.us-east.bsky.network',
    plcUrl: 'https://plc.directory',
    bind,
    databaseUrl,
  })

test('the README lists every variable, and no other', () => {
  const rows = read('README.md').matchAll(/^\| (`[A-Z_`, ]+`) +\|/gm)
  const listed = [...rows].flatMap(([, names]) =>
    [...names!.matchAll(/`([A-Z_]+)`/g)].map(([, name]) => name!),
  )
  expect(listed.toSorted()).toEqual([...known].filter((name) => name !== 'NODE_ENV').toSorted())
})

describe('a release', () => {
  type Package = { version: string; workspaces: string[] }
  const packageOf = (folder: string) => JSON.parse(read(join(folder, 'package.json'))) as Package

  test('has one version, which the changelog begins with', () => {
    const { version, workspaces } = packageOf('.')
    for (const workspace of workspaces)
      expect([workspace, packageOf(workspace).version]).toEqual([workspace, version])
    expect(/^## (\S+)$/m.exec(read('CHANGELOG.md'))?.[1]).toBe(version)
  })
})

test.skipIf(!hasGo)('actionlint finds nothing in the workflows', { timeout: 180_000 }, () => {
  const workflows = globSync('.github/workflows/*.yml', { cwd: root }).map((file) => join(root, file))
  expect(workflows.length).toBeGreaterThan(1)
  const { stdout, stderr } = spawnSync('go', ['run', ACTIONLINT, ...workflows], {
    cwd: folder(),
    encoding: 'utf8',
    env: { ...process.env, GOFLAGS: '-mod=mod' },
  })
  expect(stdout + stderr.replaceAll(/^go: downloading .*\n/gm, '')).toBe('')
})

describe('tap', () => {
  const VERSION = /\bv\d+\.\d+\.\d+-\d{14}-[0-9a-f]{12}\b/g

  test('has the same version everywhere, and is taken from nowhere else', () => {
    const files = ['tap/Dockerfile', 'tap/find.mjs', 'compose.yaml', 'docs/hosting.md']
    for (const file of files)
      expect([file, [...new Set(read(file).match(VERSION))]]).toEqual([file, [TAP_VERSION]])
    const others = globSync(['*.{yaml,toml}', 'Dockerfile', '{tap,deploy,docs,.github}/**/*.*'], {
      cwd: root,
    })
    expect(others).toContain('tap/fly.toml')
    const named = others.filter((file) => !file.startsWith('tap/bin/') && /indigo\/tap:/.test(read(file)))
    expect(named).toEqual([])
    // As Fly resolves it: from the folder of its own file.
    expect(parse(read('tap/fly.toml'))['build']).toEqual({ dockerfile: 'Dockerfile' })
    expect(read('tap/Dockerfile')).toContain(`${TAP_MODULE}@\${TAP_VERSION}`)
  })

  test('where there is no Go, Docker builds that version', () => {
    const at = folder()
    const calls = join(at, 'calls')
    mkdirSync(join(at, 'tap'))
    copyFileSync(join(root, 'tap/find.mjs'), join(at, 'tap/find.mjs'))
    // A Docker that has no image, and says what it was asked for.
    writeFileSync(join(at, 'docker'), `#!/bin/sh\necho "$@" >> ${calls}\ntest "$1" != image\n`)
    chmodSync(join(at, 'docker'), 0o755)
    const find = `import('./tap/find.mjs').then(({ findTap }) => console.log(JSON.stringify(findTap(() => {}))))`
    const { stdout } = spawnSync(process.execPath, ['-e', find], {
      cwd: at,
      encoding: 'utf8',
      env: { PATH: at, TMPDIR: at },
    })
    const { command } = JSON.parse(stdout) as { command: string[] }
    expect(command.slice(-2)).toEqual([TAP_IMAGE, '/tap'])
    expect(existsSync(join(at, 'tap/bin'))).toBe(false)
    expect(readFileSync(calls, 'utf8')).toContain(
      `build -t ${TAP_IMAGE} --build-arg TAP_VERSION=${TAP_VERSION} ${join(at, 'tap')}`,
    )
  })
})

describe('Fly', () => {
  /** https://fly.io/docs/reference/configuration/, as much of it as is used here. */
  const documented: Record<string, string[]> = {
    '': [
      'app',
      'primary_region',
      'kill_signal',
      'kill_timeout',
      'build',
      'env',
      'processes',
      'mounts',
      'http_service',
      'checks',
      'vm',
    ],
    build: ['dockerfile', 'image'],
    mounts: ['source', 'destination', 'initial_size', 'snapshot_retention'],
    http_service: [
      'processes',
      'internal_port',
      'force_https',
      'auto_stop_machines',
      'auto_start_machines',
      'min_machines_running',
      'concurrency',
      'checks',
    ],
    'http_service.concurrency': ['type', 'soft_limit', 'hard_limit'],
    'http_service.checks': ['method', 'path', 'interval', 'timeout', 'grace_period'],
    'checks.health': ['type', 'port', 'method', 'path', 'interval', 'timeout', 'grace_period'],
    vm: ['memory', 'cpu_kind', 'cpus'],
  }
  const load = (file: string) => parse(read(file)) as Record<string, Record<string, unknown>>

  test.each(['fly.toml', 'tap/fly.toml', 'fly.many.toml', 'deploy/fly.database.toml'])(
    '%s has only what is documented',
    (file) => {
      const wrong: string[] = []
      const look = (value: unknown, path: string) => {
        if (path === 'env' || path === 'processes') return
        if (Array.isArray(value)) return value.forEach((it) => look(it, path))
        if (typeof value !== 'object' || value === null) return
        for (const [name, inner] of Object.entries(value)) {
          if (path !== 'checks' && !documented[path]?.includes(name)) wrong.push(`${path}.${name}`)
          look(inner, path === '' ? name : `${path}.${name}`)
        }
      }
      look(load(file), '')
      expect(wrong).toEqual([])
    },
  )

  test('the server’s environment is one that it reads, and leads to tap', () => {
    for (const file of ['fly.toml', 'fly.many.toml']) {
      const { env } = load(file)
      expect(Object.keys(env!).filter((name) => !known.has(name))).toEqual([])
      expect(env!['TAP_URL']).toBe(`http://${String(load('tap/fly.toml')['app'])}.internal:2480`)
    }
  })

  test('many servers have each a role, the database’s address, and a command as the image’s', () => {
    const { env, processes } = load('fly.many.toml')
    const { app, processes: database } = load('deploy/fly.database.toml')
    for (const [role, command] of Object.entries(processes!)) {
      const [, set = '', started] = /^env ((?:[A-Z_]+=\S+ )+)(.*)$/.exec(String(command))!
      expect(
        Object.fromEntries(
          set
            .trim()
            .split(' ')
            .map((it) => it.split('=')),
        ),
      ).toMatchObject({ ROLE: role })
      expect(read('Dockerfile')).toContain(`CMD ${JSON.stringify(started!.split(' ')).replaceAll(',', ', ')}`)
    }
    expect(env!['DATABASE_URL']).toContain(`${String(app)}.internal:8080`)
    expect(Object.keys(database!)).toEqual(['primary', 'replica'])
    expect(processes!['ingest']).toContain(`primary.process.${String(app)}.internal:8080`)
  })

  test('tap is set as everywhere', () => {
    expect(load('tap/fly.toml')['env']).toEqual(tapElsewhere('sqlite:///data/tap.db', ':2480'))
  })
})

describe('systemd', () => {
  const units = ['pollz.service', 'pollz-tap.service']
  const environment = (unit: string) =>
    Object.fromEntries(
      [...read(`deploy/systemd/${unit}`).matchAll(/^Environment=(\w+)=(.*)$/gm)].map(([, name, value]) => [
        name,
        value,
      ]),
    )

  test.skipIf(!there('systemd-analyze'))('systemd-analyze finds nothing', () => {
    const at = folder()
    // It looks for what is to be started: here it is where this checkout is.
    for (const unit of units)
      writeFileSync(join(at, unit), read(`deploy/systemd/${unit}`).replaceAll('/opt/pollz/', `${root}/`))
    const started = { stdio: 'pipe' as const, encoding: 'utf8' as const }
    const { status, stderr } = spawnSync(
      'systemd-analyze',
      ['verify', ...units.map((unit) => join(at, unit))],
      started,
    )
    // A checkout without tap has no file to start.
    const found = stderr
      .split('\n')
      .filter((line) => line !== '' && !line.includes('tap/bin/tap is not executable'))
    expect(found).toEqual([])
    expect(status === 0 || stderr.includes('tap/bin/tap')).toBe(true)
  })

  test('tap is set as everywhere, and the server as it can read it', () => {
    expect(environment('pollz-tap.service')).toEqual(
      tapElsewhere('sqlite:///var/lib/pollz-tap/tap.db', '127.0.0.1:2480'),
    )
    expect(Object.keys(environment('pollz.service')).filter((name) => !known.has(name))).toEqual([])
  })
})

describe.skipIf(!hasGo)('docker compose', () => {
  type Service = {
    image: string
    build?: { context: string }
    environment: Record<string, string>
    healthcheck?: { test: string[] }
    read_only?: boolean
    cap_drop?: string[]
  }

  /** The loader's own command knows no environment: variables are put in before, where there are any. */
  function load(env: Record<string, string>) {
    const at = folder()
    const text = read('compose.yaml').replaceAll(
      /\$\{([A-Z_]+)(:-([^}]*))?[^}]*\}/g,
      (whole, name: string, optional, fallback: string) => env[name] ?? (optional ? fallback : whole),
    )
    writeFileSync(join(at, 'compose.yaml'), text)
    return spawnSync('go', ['run', COMPOSE_LOADER, '-format', 'json', 'compose.yaml'], {
      cwd: at,
      encoding: 'utf8',
      env: { ...process.env, GOFLAGS: '-mod=mod' },
    })
  }

  test(
    'loads, with tap as everywhere, and a server that can write nothing but its data',
    { timeout: 180_000 },
    () => {
      const { status, stdout, stderr } = load({ PUBLIC_URL: 'https://polls.example.com' })
      expect([status, stderr.replaceAll(/^go: downloading .*\n/gm, '')]).toEqual([0, ''])
      const { services } = JSON.parse(stdout) as { services: Record<string, Service> }
      const { TAP_ADMIN_PASSWORD, ...tap } = services['tap']!.environment
      expect(TAP_ADMIN_PASSWORD).toBeFalsy()
      expect(tap).toEqual(tapElsewhere('sqlite:///data/tap.db', ':2480'))
      expect(services['tap']!.image).toBe(TAP_IMAGE)
      expect(services['tap']!.build?.context).toMatch(/\/tap$/)
      const { environment, healthcheck, read_only: readOnly, cap_drop: dropped } = services['server']!
      // The image's own, which is run by e2e/image.test.ts.
      const [, inImage] = /^HEALTHCHECK [^[]*(\[[^\n]*\])$/m.exec(read('Dockerfile'))!
      expect(healthcheck?.test).toEqual(['CMD', ...(JSON.parse(inImage!) as string[])])
      expect(Object.keys(environment).filter((name) => !known.has(name))).toEqual([])
      expect([environment['PUBLIC_URL'], readOnly, dropped]).toEqual([
        'https://polls.example.com',
        true,
        ['ALL'],
      ])
      // The profile "many".
      const { ingest, primary, replica } = services as Record<
        string,
        Service & { deploy?: object; ports?: object[] }
      >
      expect(ingest!.environment).toEqual({
        ...environment,
        ROLE: 'ingest',
        DATABASE_URL: 'http://primary:8080',
      })
      expect([ingest!.deploy, ingest!.ports ?? []]).toEqual([{ replicas: 2 }, []])
      expect(replica!.environment['SQLD_PRIMARY_URL']).toBe('http://primary:5001')
      expect(read('deploy/fly.database.toml')).toContain(`image = '${primary!.image}'`)
    },
  )

  test('without an address it says which variable is missing', { timeout: 180_000 }, () => {
    expect(load({}).stderr).toMatch(/PUBLIC_URL.*like https:\/\/polls\.example\.com/)
  })
})
