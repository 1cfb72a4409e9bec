/** The lists of the home page: polls that come, and that change places. Their tallies come by themselves. */
import { pollPath } from '@pollz/shared/links'
import { profileUrl } from '@pollz/shared/network'
import type { Texts } from '@pollz/widget/texts'
import type { mountPolls } from './mount.ts'
import { state } from './state.ts'

const EVERY = 10_000
const LISTED = 10

type Listed = { uri: string; repo: string; handle?: string; options: string[]; createdAt: string }

export function followLists(mounted: ReturnType<typeof mountPolls>, texts: Texts, signal: AbortSignal): void {
  const lists = [...document.querySelectorAll<HTMLElement>('[data-list]')]
  if (lists.length === 0) return
  const timer = setInterval(() => {
    if (document.visibilityState === 'visible') for (const list of lists) void refresh(list)
  }, EVERY)
  signal.addEventListener('abort', () => clearInterval(timer))

  const uriOf = (item: Element) => item.querySelector('[data-pollz]')!.getAttribute('data-pollz')!

  async function refresh(list: HTMLElement): Promise<void> {
    const query = new URLSearchParams({ limit: String(LISTED), sort: list.dataset['list']! })
    const polls = await fetch(`/api/polls?${query}`).then(
      (response): Promise<Listed[]> | undefined => (response.ok ? response.json() : undefined),
      () => undefined,
    )
    if (!polls) return
    const items = new Map([...list.children].map((item) => [uriOf(item), item]))
    if ([...items.keys()].join(' ') === polls.map(({ uri }) => uri).join(' ')) return
    for (const [uri, item] of items) {
      if (polls.some((poll) => poll.uri === uri)) continue
      mounted.forget(item.querySelector('[data-pollz]')!)
      item.remove()
    }
    for (const poll of polls) list.append(items.get(poll.uri) ?? create(poll))
    list.previousElementSibling?.toggleAttribute('hidden', polls.length > 0)
  }

  function create({ uri, repo, handle, options, createdAt }: Listed): HTMLElement {
    const item = document.createElement('li')
    const author = document.createElement('p')
    author.className = 'author'
    const person = document.createElement('a')
    person.href = profileUrl(handle ?? repo)
    person.textContent = handle === undefined ? repo : `@${handle}`
    const time = document.createElement('a')
    time.href = `/poll/${pollPath(uri, state.hosts, state.publicUrl)}`
    time.textContent = texts.date(createdAt)
    author.append(person, ' · ', time)
    item.append(author, mounted.create(uri, options.length))
    return item
  }
}
