/** Saves what somebody has set: what is right at once, and a server once it has said that it is one. */
import type { Settings } from '../requests.ts'
import { originPattern } from '../sites.ts'
import { readHosts, readServer, type Wrong } from './check.ts'
import { giveBack, type Permissions } from './permissions.ts'

export type Saving = {
  permissions: Permissions
  /** @returns what is wrong with a server */
  check: (server: string) => Promise<Wrong | undefined>
  save: (settings: Settings) => Promise<unknown>
}

/** As it was typed. */
export type Typed = Omit<Settings, 'hosts' | 'sites'> & { hosts: string }

/**
 * Whatever is wrong keeps its value from before. To be called in answer to a click, before anything that takes time: the
 * browser asks for permissions only then.
 *
 * @returns what is saved now, and what is not
 */
export async function saveSettings(
  before: Settings,
  typed: Typed,
  { permissions, check, save }: Saving,
): Promise<{ settings: Settings; wrong: Wrong[] }> {
  const wrong: Wrong[] = []
  const server = readServer(typed.server)
  if (server === undefined) wrong.push(['serverInvalid'])
  const hosts = readHosts(typed.hosts)
  if ('wrong' in hosts) wrong.push(['hostInvalid', hosts.wrong])
  const second = typed.second.trim() === '' ? '' : readServer(typed.second)
  if (second === undefined) wrong.push(['secondInvalid'])
  const settings: Settings = {
    ...typed,
    second: second ?? before.second,
    server: before.server,
    sites: before.sites,
    hosts: 'wrong' in hosts ? before.hosts : hosts.hosts,
  }
  // A server that is in use may be away, and what else was set counts all the same.
  if (server === undefined || server === before.server) {
    await save(settings)
    return { settings, wrong }
  }

  const origins = [originPattern(server)]
  const had = permissions.contains({ origins })
  const granting = permissions.request({ origins }).catch(() => false)
  await save(settings)
  const granted = await granting
  const refused: Wrong | undefined = granted ? await check(server) : ['serverRefused', server]
  if (!refused) {
    const changed = { ...settings, server }
    await save(changed)
    await giveBack(permissions, before.server, changed)
    return { settings: changed, wrong }
  }
  if (granted && !(await had)) await giveBack(permissions, server, settings)
  return { settings, wrong: [refused, ...wrong] }
}
