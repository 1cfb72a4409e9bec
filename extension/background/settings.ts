/** What somebody has set. In IndexedDB, which needs no permission. */
import { openDB, type DBSchema, type IDBPDatabase } from 'idb'
import type { Settings } from '../requests.ts'
import { siteOr, sitesOf } from '../sites.ts'

/** What is true of this browser from some time on. */
type Fact = 'hasVoted' | 'hasSignedIn'

interface SettingsStores extends DBSchema {
  settings: { key: 'settings'; value: Settings }
  facts: { key: Fact; value: true }
  /** tabs that show no polls until they are closed */
  offTabs: { key: number; value: true }
  /** origin of the site that was used last */
  site: { key: 'site'; value: string }
}

/** The settings, read once and then known. */
export class SettingsStore {
  settings: Settings
  #facts: Set<Fact>
  #db: IDBPDatabase<SettingsStores>
  #offTabs: Set<number>
  #site: string | undefined

  private constructor(
    db: IDBPDatabase<SettingsStores>,
    settings: Settings,
    facts: Fact[],
    offTabs: number[],
    site: string | undefined,
  ) {
    this.#db = db
    this.settings = settings
    this.#facts = new Set(facts)
    this.#offTabs = new Set(offTabs)
    this.#site = site
  }

  static async open(defaults: Settings): Promise<SettingsStore> {
    const db = await openDB<SettingsStores>('settings', 2, {
      upgrade(db) {
        for (const name of ['settings', 'facts', 'offTabs', 'site'] as const)
          if (!db.objectStoreNames.contains(name)) db.createObjectStore(name)
      },
    })
    const saved = await db.get('settings', 'settings')
    return new SettingsStore(
      db,
      { ...defaults, ...saved },
      await db.getAllKeys('facts'),
      await db.getAllKeys('offTabs'),
      await db.get('site', 'site'),
    )
  }

  async save(settings: Settings): Promise<void> {
    this.settings = settings
    await this.#db.put('settings', settings, 'settings')
  }

  /** @param site its origin */
  async setSite(site: string, on: boolean): Promise<void> {
    const others = this.settings.sites.filter((it) => it !== site)
    await this.save({ ...this.settings, sites: on ? [...others, site] : others })
  }

  /** Origin of the site that was used last, of those that polls are shown on. */
  get site(): string {
    return siteOr(this.#site, this.settings)
  }

  async used(site: string): Promise<void> {
    if (site === this.#site || !this.isShownOn(site)) return
    this.#site = site
    await this.#db.put('site', site, 'site')
  }

  is(fact: Fact): boolean {
    return this.#facts.has(fact)
  }

  /** @returns whether it is news */
  async note(fact: Fact): Promise<boolean> {
    if (this.#facts.has(fact)) return false
    this.#facts.add(fact)
    await this.#db.put('facts', true, fact)
    return true
  }

  isOn(tab: number | undefined): boolean {
    return this.settings.on && !(tab !== undefined && this.#offTabs.has(tab))
  }

  /** @param site origin */
  isShownOn(site: string): boolean {
    return sitesOf(this.settings).includes(site)
  }

  async setTab(tab: number, on: boolean): Promise<void> {
    if (on === !this.#offTabs.has(tab)) return
    if (on) {
      this.#offTabs.delete(tab)
      await this.#db.delete('offTabs', tab)
    } else {
      this.#offTabs.add(tab)
      await this.#db.put('offTabs', true, tab)
    }
  }

  /** A browser that starts gives its tabs new numbers. */
  async forgetTabs(): Promise<void> {
    this.#offTabs.clear()
    await this.#db.clear('offTabs')
  }
}
