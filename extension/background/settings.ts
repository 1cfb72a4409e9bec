/** What somebody has set. In IndexedDB, which needs no permission. */
import { openDB, type DBSchema, type IDBPDatabase } from 'idb'
import type { Settings } from '../requests.ts'

/** What is true of this browser from some time on. */
type Fact = 'hasVoted' | 'hasSignedIn'

interface SettingsStores extends DBSchema {
  settings: { key: 'settings'; value: Settings }
  facts: { key: Fact; value: true }
  /** tabs that show no polls until they are closed */
  offTabs: { key: number; value: true }
}

/** The settings, read once and then known. */
export class SettingsStore {
  settings: Settings
  #facts: Set<Fact>
  #db: IDBPDatabase<SettingsStores>
  #offTabs: Set<number>

  private constructor(
    db: IDBPDatabase<SettingsStores>,
    settings: Settings,
    facts: Fact[],
    offTabs: number[],
  ) {
    this.#db = db
    this.settings = settings
    this.#facts = new Set(facts)
    this.#offTabs = new Set(offTabs)
  }

  static async open(defaults: Settings): Promise<SettingsStore> {
    const db = await openDB<SettingsStores>('settings', 1, {
      upgrade(db) {
        for (const name of ['settings', 'facts', 'offTabs'] as const) db.createObjectStore(name)
      },
    })
    const saved = await db.get('settings', 'settings')
    return new SettingsStore(
      db,
      { ...defaults, ...saved },
      await db.getAllKeys('facts'),
      await db.getAllKeys('offTabs'),
    )
  }

  async save(settings: Settings): Promise<void> {
    this.settings = settings
    await this.#db.put('settings', settings, 'settings')
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
