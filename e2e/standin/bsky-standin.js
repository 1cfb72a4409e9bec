/*
 * Stands in for bsky.app, which can't be run here: its DOM around posts as the real client draws it (test ids, roles,
 * anchors, wrappers), its theme classes, its pressable posts, and left screens that stay in the document. Posts are
 * read from the local PDS.
 */
const { accounts, posts } = JSON.parse(document.getElementById('data').textContent)
const screens = new Map()

const el = (tag, attributes = {}, ...children) => {
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes))
    if (value !== undefined) element.setAttribute(name, value)
  element.append(...children)
  return element
}

const storage = () => JSON.parse(localStorage.getItem('BSKY_STORAGE') ?? '{"session":{"accounts":[]}}')

function account() {
  return storage().session.currentAccount
}

function useAccount(did) {
  const known = accounts.find((it) => it.did === did)
  localStorage.setItem(
    'BSKY_STORAGE',
    JSON.stringify({ session: { accounts: known ? [known] : [], currentAccount: known } }),
  )
  location.reload()
}

function useTheme(name) {
  localStorage.setItem('standin-theme', name)
  document.documentElement.className = `theme--${name}`
}
useTheme(localStorage.getItem('standin-theme') ?? 'light')

/** Text with its links as the client shortens them. */
function richText(post) {
  const bytes = new TextEncoder().encode(post.text)
  const decode = (from, to) => new TextDecoder().decode(bytes.slice(from, to))
  const nodes = []
  let at = 0
  for (const { index, features } of post.facets ?? []) {
    const href = features[0].uri
    nodes.push(decode(at, index.byteStart))
    const { host, pathname } = new URL(href)
    nodes.push(
      el(
        'a',
        { href, target: '_blank', rel: 'noopener noreferrer', role: 'link', class: 'css-link' },
        `${host}${pathname.slice(0, 13)}...`,
      ),
    )
    at = index.byteEnd
  }
  nodes.push(decode(at))
  return nodes
}

function card(external) {
  const { uri, title, description } = external
  return el(
    'a',
    { href: uri, role: 'link', target: '_blank', tabindex: '0', 'aria-label': title, class: 'css-card' },
    el('div', { class: 'css-title' }, title),
    el('div', {}, description),
    el('div', { class: 'css-domain' }, new URL(uri).host),
  )
}

function actions() {
  const ids = [
    'replyBtn',
    ...(account() ? ['repostBtn'] : []),
    'likeBtn',
    'postBookmarkBtn',
    'postShareBtn',
    'postDropdownBtn',
  ]
  return el(
    'div',
    { class: 'css-actions' },
    ...ids.map((id) => el('button', { 'data-testid': id }, id.replace('Btn', ''))),
  )
}

const path = (post) => `/profile/${post.handle}/post/${post.uri.split('/')[4]}`

/** @param surface feed, search, reply or opened */
function item(post, surface) {
  const opened = surface === 'opened'
  const testId = {
    feed: `feedItem-by-${post.handle}`,
    search: undefined,
    reply: `postThreadItem-by-${post.handle}`,
    opened: `postThreadItem-by-${post.handle}`,
  }[surface]
  const thread = surface === 'reply' || opened
  const root = el('div', {
    class: 'css-post',
    'data-testid': testId,
    ...(opened ? {} : { role: 'link', tabindex: '0' }),
  })
  const header = el('div', { class: 'css-header' }, el('b', {}, post.displayName), ` @${post.handle} · `)
  if (!opened)
    header.append(el('a', { href: path(post), 'data-tooltip': post.createdAt, role: 'link' }, 'now'))
  const text = el(
    'div',
    {
      'data-word-wrap': '1',
      dir: 'auto',
      class: opened ? 'css-text-big' : 'css-text',
      ...(thread ? {} : { 'data-testid': 'postText' }),
    },
    ...richText(post),
  )
  root.append(header, el('div', { class: 'css-text-wrapper' }, text))
  if (post.embed?.external) root.append(el('div', { class: 'css-embed' }, card(post.embed.external)))
  root.append(actions())
  if (!opened) {
    // As the client does: whatever reaches the post opens its thread.
    root.addEventListener('click', (event) => {
      if (!event.target.closest('a, button')) go(path(post))
      else if (event.target.closest('a[href^="/"]')) {
        event.preventDefault()
        go(path(post))
      }
    })
    root.addEventListener('keydown', (event) => event.key === 'Enter' && go(path(post)))
  }
  return root
}

function screen(pathname) {
  const thread = /^\/profile\/([^/]+)\/post\/([^/]+)$/.exec(pathname)
  if (thread) {
    const post = posts.find((it) => path(it) === pathname)
    return el('main', {}, post ? item(post, 'opened') : 'Post not found')
  }
  const profile = /^\/profile\/([^/]+)$/.exec(pathname)?.[1]
  const shown = posts.filter((post) => !profile || post.handle === profile)
  return el('main', {}, ...shown.map((post) => item(post, pathname === '/search' ? 'search' : 'feed')))
}

function show() {
  for (const it of screens.values()) {
    it.style.display = 'none'
    it.setAttribute('aria-hidden', 'true')
  }
  const { pathname } = location
  if (!screens.has(pathname)) {
    screens.set(pathname, screen(pathname))
    document.getElementById('root').append(screens.get(pathname))
  }
  screens.get(pathname).style.display = ''
  screens.get(pathname).removeAttribute('aria-hidden')
}

function go(pathname) {
  history.pushState(null, '', pathname)
  show()
}
addEventListener('popstate', show)
// The client's shortcuts: a widget that leaks its keys opens the composer.
addEventListener('keydown', (event) => {
  if (event.key === 'n') document.documentElement.setAttribute('data-composer-opened', '')
})

const bar = document.getElementById('standin-bar')
bar.append(
  el('b', {}, 'Stand-in for bsky.app: '),
  ...[undefined, ...accounts].map((it) => {
    const button = el(
      'button',
      { 'aria-pressed': String(account()?.did === it?.did) },
      it ? `@${it.handle}` : 'logged out',
    )
    button.onclick = () => useAccount(it?.did)
    return button
  }),
  ...['light', 'dim', 'dark'].map((name) => {
    const button = el('button', {}, name)
    button.onclick = () => useTheme(name)
    return button
  }),
)
for (const [name, pathname] of [
  ['Home', '/'],
  ['Search', '/search'],
]) {
  const button = el('button', {}, name)
  button.onclick = () => go(pathname)
  bar.append(button)
}
show()
