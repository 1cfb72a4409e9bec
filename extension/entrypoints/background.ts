import { defineBackground } from 'wxt/utils/define-background'
import { browser } from 'wxt/browser'
import { pollHosts } from '@pollz/shared/families'
import { pollPage } from '@pollz/shared/links'
import { createEngine } from '@pollz/engine/engine'
import { Pages } from '@pollz/engine/pages'
import { reasonOf } from '@pollz/engine/reasons'
import { checkPoll } from 'pollz-check/check'
import type { EndingPoll, ToEngine, ToPage } from '@pollz/shared/engine'
import { ALARM, followNotifications, notifications } from '../background/notifications.ts'
import { Reminders } from '../background/reminders.ts'
import { isOwnPage } from '../background/sender.ts'
import { SettingsStore } from '../background/settings.ts'
import { closed, closeTab, mayComeBack, navigated, openInTab } from '../background/signin.ts'
import { registerIn, runInOpenTabs } from '../background/tabs.ts'
import { mayNotify } from '../notify.ts'
import { PORT, type Ask, type Requests } from '../requests.ts'
import { defaults, network } from '../settings.ts'
import { covers, sitesOf } from '../sites.ts'

export default defineBackground(() => {
  const pages = new Pages()
  const own = browser.runtime.getURL('/')
  /** The site that a tab shows, as its origin, where the content script runs in it. */
  const siteIn = new Map<number, string>()
  let stop = new AbortController()

  async function start() {
    const store = await SettingsStore.open(defaults)
    const reminders = await Reminders.open({
      ...notifications,
      look: async (uri) => (await running).look(uri),
      changed: () => pages.broadcast((tab) => settings({ store, reminders }, tab)),
    })
    return { store, reminders, ...startEngine(store, reminders) }
  }

  type Kept = { store: SettingsStore; reminders: Reminders }

  function startEngine(store: SettingsStore, reminders: Reminders) {
    return createEngine({
      server: store.settings.server,
      network,
      pages,
      openSignIn: openInTab,
      signInOpen: mayComeBack,
      closeSignIn: closeTab,
      voted: () => void note({ store, reminders }, 'hasVoted'),
      reminding: {
        remind: async (poll, page, ahead) => {
          if (await mayNotify()) await reminders.remind(poll, ahead)
          else await askToNotify(poll, page)
        },
        unremind: (uri) => reminders.unremind(uri),
        saw: (poll, now) => reminders.saw(poll, now),
      },
      runCheck: (options, onProgress, signal) => checkPoll({ ...options, onProgress, signal }),
      signal: stop.signal,
    })
  }

  /** Browsers ask for a permission only where somebody clicks in a page of the extension's own. @param page its tab */
  async function askToNotify(poll: EndingPoll, page: number | undefined): Promise<void> {
    const query = new URLSearchParams({ ...poll, ...(page === undefined ? {} : { tab: String(page) }) })
    await browser.tabs.create({ url: browser.runtime.getURL(`/remind.html?${query}` as '/remind.html') })
  }

  /** Patterns take no port, and a script that runs can't be taken out of an open tab: neither shows polls. */
  const isShownIn = (store: SettingsStore, tab: number) => {
    const site = siteIn.get(tab)
    return store.isOn(tab) && (site === undefined || store.isShownOn(site))
  }

  const hostsOf = ({ settings: { server, hosts } }: SettingsStore) =>
    pollHosts(server, ...hosts.map((host) => `https://${host}`))

  const pageOf = (store: SettingsStore, uri: string) => pollPage(uri, hostsOf(store), store.settings.server)

  function settings({ store, reminders }: Kept, tab: number | undefined): ToPage {
    const { server, resultsFirst, second } = store.settings
    return {
      type: 'settings',
      hosts: hostsOf(store),
      server,
      // The extension's own pages show polls while others don't.
      on: tab === undefined || isShownIn(store, tab),
      resultsFirst,
      hasVoted: store.is('hasVoted'),
      knowsSignIn: store.is('hasSignedIn') || store.is('hasVoted'),
      reminders: reminders.pending.map(({ uri }) => uri),
      ...(second === '' ? {} : { second }),
    }
  }

  async function note(kept: Kept, fact: 'hasVoted' | 'hasSignedIn'): Promise<void> {
    if (await kept.store.note(fact)) pages.broadcast((tab) => settings(kept, tab))
  }

  let running = start()

  async function answer<T extends keyof Requests>(ask: Ask & { type: T }): Promise<Requests[T]['answer']>
  async function answer(ask: Ask): Promise<Requests[keyof Requests]['answer']> {
    const { store, reminders, accounts, acts, authored, index, live, endedLately } = await running
    const kept = { store, reminders }
    switch (ask.type) {
      case 'state':
        return {
          settings: store.settings,
          accounts: await accounts.all(),
          pageOn: store.isOn(ask.tab),
          reminders: reminders.pending,
          site: store.site,
        }
      case 'signIn': {
        const failed = await acts.signIn(ask.identifier)
        return failed ? { failed } : {}
      }
      case 'signOut':
        // The session is forgotten, whatever its PDS answers.
        await accounts.signOut(ask.did).catch(() => {})
        await index.forget(ask.did)
        return {}
      case 'mine':
        return authored.mine(ask.did, hostsOf(store)).catch((error: unknown) => ({ failed: reasonOf(error) }))
      case 'ended': {
        const ended = await endedLately(ask.did, reminders.told)
        return ended.map((poll) => ({ poll, page: pageOf(store, poll.uri) }))
      }
      case 'remind':
        await reminders.remind(ask.poll, live.connection?.ahead ?? 0)
        return {}
      case 'unremind':
        await reminders.unremind(ask.uri)
        return {}
      case 'save': {
        const before = store.settings.server
        await store.save({ ...ask.settings, sites: store.settings.sites })
        if (before !== ask.settings.server) {
          stop.abort()
          stop = new AbortController()
          running = Promise.resolve({ ...kept, ...startEngine(store, reminders) })
        }
        pages.broadcast((tab) => settings(kept, tab))
        return {}
      }
      case 'site':
        await store.setSite(ask.site, ask.on)
        await registerIn(store.settings.sites)
        pages.broadcast((tab) => settings(kept, tab))
        if (ask.on) await runInOpenTabs([ask.site])
        return { sites: store.settings.sites }
      case 'page':
        await store.setTab(ask.tab, ask.on)
        pages.broadcast((tab) => settings(kept, tab))
        return {}
      default:
        return ask satisfies never
    }
  }

  // An update of the extension, or of the browser, forgets them.
  void running.then(({ store }) => registerIn(store.settings.sites))
  void running.then(({ reminders }) => reminders.start())

  // All listeners are added while the worker starts: it may have been woken for one of these events.
  browser.runtime.onConnect.addListener((port) => {
    if (port.name !== PORT) return
    // A page of the extension's own that is open in a tab is none of a site's.
    const tab = isOwnPage(port.sender, own) ? undefined : port.sender?.tab?.id
    const site = tab === undefined ? undefined : new URL(port.sender!.url!).origin
    if (tab !== undefined) siteIn.set(tab, site!)
    const added = running.then((kept) => {
      pages.add(port, tab)
      pages.post(port, settings(kept, tab))
      return running
    })
    void added.then(({ live }) => {
      const { connection } = live
      if (connection) pages.post(port, connection)
    })
    port.onMessage.addListener((message: unknown) => {
      void added.then(async () => {
        const parts = await running
        parts.receive(port, message)
        // A keepalive comes from tabs that nobody uses, too.
        if (site !== undefined && (message as ToEngine).type !== 'keepalive') await parts.store.used(site)
      })
    })
    port.onDisconnect.addListener(() => {
      void added.then(async () => {
        ;(await running).live.forget(port)
        pages.remove(port)
      })
    })
  })
  browser.runtime.onMessage.addListener((ask: Ask, sender, respond) => {
    if (!isOwnPage(sender, own)) return
    void answer(ask).then(respond)
    return true
  })
  browser.tabs.onUpdated.addListener((tab, { url }) => {
    if (url === undefined) return
    void running.then(async (parts) => {
      if (await navigated(parts, tab, url)) await note(parts, 'hasSignedIn')
    })
  })
  browser.tabs.onRemoved.addListener((tab) => {
    siteIn.delete(tab)
    void running.then((parts) => Promise.all([closed(parts, tab), parts.store.setTab(tab, true)]))
  })
  browser.runtime.onInstalled.addListener(({ reason }) => {
    if (reason !== 'install' && reason !== 'update') return
    // Firefox does it by itself where the manifest says so.
    void running.then(({ store: { settings } }) =>
      runInOpenTabs(import.meta.env.FIREFOX ? settings.sites : sitesOf(settings)),
    )
  })
  const follow = () =>
    followNotifications((uri, clicked) => {
      void running.then(({ store, reminders }) =>
        Promise.all([
          reminders.seen(uri),
          ...(clicked ? [browser.tabs.create({ url: pageOf(store, uri) })] : []),
        ]),
      )
    })
  follow()
  browser.alarms.onAlarm.addListener(({ name }) => {
    if (name === ALARM) void running.then(({ reminders }) => reminders.ring())
  })
  browser.permissions.onAdded.addListener(({ origins = [] }) => {
    follow()
    void running.then(({ store: { settings } }) =>
      runInOpenTabs(sitesOf(settings).filter((it) => covers(origins, it))),
    )
  })
  browser.runtime.onStartup.addListener(() => {
    void running.then(({ store, acts }) => Promise.all([store.forgetTabs(), acts.forgetTabs()]))
  })
})
