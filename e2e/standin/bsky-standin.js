/*
 * Stands in for bsky.app, which can't be run here: its DOM around posts as the real client draws it (test ids, roles,
 * anchors, wrappers), its theme classes, its pressable posts, and left screens that stay in the document. Posts are
 * read from the local PDS.
 */
const { accounts, posts: feed } = JSON.parse(document.getElementById('data').textContent)
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

/** As the client does: the page goes on, and everything is drawn anew. */
function useAccount(did) {
  const { accounts: known } = storage().session
  const used = accounts.find((it) => it.did === did)
  const others = known.filter((it) => it.did !== did)
  localStorage.setItem(
    'BSKY_STORAGE',
    JSON.stringify({ session: { accounts: used ? [used, ...others] : others, currentAccount: used } }),
  )
  for (const it of screens.values()) it.remove()
  screens.clear()
  drawBar()
  show()
}

function useTheme(name) {
  localStorage.setItem('standin-theme', name)
  document.documentElement.className = `theme--${name}`
}
useTheme(localStorage.getItem('standin-theme') ?? 'light')

const isWeb = (href) => href.startsWith('http')
/** The client opens a tab for web addresses only. */
const external = (href) => (isWeb(href) ? { target: '_blank', rel: 'noopener noreferrer' } : {})

/** Text with its links as the client shortens them. */
function richText(post) {
  const bytes = new TextEncoder().encode(post.text)
  const decode = (from, to) => new TextDecoder().decode(bytes.slice(from, to))
  const nodes = []
  let at = 0
  for (const { index, features } of post.facets ?? []) {
    const href = features[0].uri
    nodes.push(decode(at, index.byteStart))
    const { host, pathname } = isWeb(href) ? new URL(href) : { host: href, pathname: '' }
    nodes.push(
      el(
        'a',
        { href, ...external(href), role: 'link', class: 'css-link' },
        `${host}${pathname.slice(0, 13)}...`,
      ),
    )
    at = index.byteEnd
  }
  nodes.push(decode(at))
  return nodes
}

function card({ uri, title, description }) {
  return el(
    'a',
    { href: uri, role: 'link', ...external(uri), tabindex: '0', 'aria-label': title, class: 'css-card' },
    el('div', { class: 'css-title' }, title),
    el('div', {}, description),
    el('div', { class: 'css-domain' }, isWeb(uri) ? new URL(uri).host : uri),
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
const byUri = (uri) => feed.find((it) => it.uri === uri)
const repliesTo = (post) => feed.filter((it) => it.reply?.parent.uri === post.uri).toReversed()

/** A quoted post: its links in the text are plain text, and it has no link to itself. */
function quote(post) {
  const root = el(
    'div',
    { role: 'link', tabindex: '0', 'aria-label': `Post by ${post.displayName}`, class: 'css-card' },
    el('div', { class: 'css-header' }, el('b', {}, post.displayName), ` @${post.handle}`),
    el(
      'div',
      { class: 'css-text-wrapper' },
      el('div', { 'data-word-wrap': '1', dir: 'auto', class: 'css-text' }, plainText(post)),
    ),
  )
  if (post.embed?.external) root.append(el('div', { class: 'css-embed' }, card(post.embed.external)))
  root.addEventListener('click', (event) => {
    event.stopPropagation()
    if (!event.target.closest('a, button')) go(path(post))
  })
  return root
}

const plainText = (post) =>
  richText(post)
    .map((it) => (typeof it === 'string' ? it : it.textContent))
    .join('')

/** @param surface feed, search, notification, reply or opened */
function item(post, surface) {
  const opened = surface === 'opened'
  const testId = {
    feed: `feedItem-by-${post.handle}`,
    search: undefined,
    notification: undefined,
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
  root.append(header)
  const rest = () => {
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
    const nodes = [el('div', { class: 'css-text-wrapper' }, text)]
    if (post.embed?.external) nodes.push(el('div', { class: 'css-embed' }, card(post.embed.external)))
    const quoted = post.embed?.record && byUri(post.embed.record.uri)
    if (quoted) nodes.push(el('div', { class: 'css-embed' }, quote(quoted)))
    return nodes
  }
  if (post.labels) {
    // A moderated post: what it says is there when somebody asks for it.
    const hider = el('button', { class: 'css-hider' }, 'Show hidden post')
    hider.onclick = (event) => {
      event.stopPropagation()
      hider.replaceWith(...rest())
    }
    root.append(hider)
  } else root.append(...rest())
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
  if (surface !== 'notification') return root
  return el('div', { 'data-testid': `feedItem-by-${post.handle}` }, root)
}

/** "x liked your post": an anchor, its text plain. */
const likeNotification = (post) =>
  el(
    'a',
    { href: path(post), 'data-testid': `feedItem-by-${post.handle}`, class: 'css-post', role: 'link' },
    `${post.displayName} liked your post: ${plainText(post)}`,
  )

/** Opened post, its parents above it, its replies below; in the tree view each reply holds its own. */
function thread(post) {
  const parents = []
  for (let it = post; it?.reply;) {
    it = byUri(it.reply.parent.uri)
    if (it) parents.unshift(it)
  }
  const replies = (to) =>
    repliesTo(to).map((it) => el('div', { class: 'css-branch' }, item(it, 'reply'), ...replies(it)))
  return [...parents.map((it) => item(it, 'reply')), item(post, 'opened'), ...replies(post)]
}

function screen(pathname) {
  const opened = /^\/profile\/([^/]+)\/post\/([^/]+)$/.exec(pathname)
  if (opened) {
    const post = feed.find((it) => path(it) === pathname)
    return el('main', {}, ...(post ? thread(post) : ['Post not found']))
  }
  const profile = /^\/profile\/([^/]+)$/.exec(pathname)?.[1]
  const shown = feed.filter((post) => !profile || post.handle === profile)
  if (pathname === '/notifications')
    return el('main', {}, ...shown.flatMap((it) => [item(it, 'notification'), likeNotification(it)]))
  const plain = ['/search', '/saved'].includes(pathname) || pathname.startsWith('/hashtag/')
  return el('main', {}, ...shown.map((post) => item(post, plain ? 'search' : 'feed')))
}

function show() {
  for (const it of screens.values()) {
    it.style.display = 'none'
    it.setAttribute('aria-hidden', 'true')
  }
  const { pathname, searchParams } = new URL(location)
  if (pathname === '/intent/compose') {
    history.replaceState(null, '', '/')
    show()
    compose(searchParams.get('text') ?? '')
    return
  }
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

/** The posts of a thread stand in the feed from then on. */
async function send(written) {
  const { did } = account() ?? {}
  if (!did) return
  for (const post of written) {
    const answer = await fetch(`/v1/post?${new URLSearchParams({ did, ...post })}`)
    feed.unshift(await answer.json())
  }
  screens.get('/')?.remove()
  screens.delete('/')
  show()
}

/** The composer: for each post of a thread an editor and the preview of a link's card; one toolbar, of the post in use. */
function compose(text) {
  if (document.querySelector('[data-testid="composePostView"]')) return
  const toolbar = el('div', { class: 'css-toolbar' }, el('button', { 'data-testid': 'openGifBtn' }, 'GIF'))
  const publish = el('button', { 'data-testid': 'composerPublishBtn' }, 'Post')
  const addPost = el('button', { class: 'css-add' }, 'Add post')
  const posts = el('div', {})
  const dialog = el(
    'div',
    { role: 'dialog', 'aria-modal': 'true', 'aria-label': 'Composer', class: 'css-dialog' },
    el('div', { class: 'css-actions' }, publish, addPost),
    posts,
  )
  publish.onclick = async () => {
    const written = [...posts.children].map((view) => ({
      text: view.querySelector('.ProseMirror').textContent,
      link: view.querySelector('.css-card')?.href ?? '',
    }))
    dialog.remove()
    await send(written)
  }
  addPost.onclick = () => add('')
  dialog.addEventListener('keydown', (event) => event.stopPropagation())
  document.body.append(dialog)
  add(text)

  function add(text) {
    const preview = el('div', {})
    const editor = createEditor(text, attach)
    const view = el('div', { 'data-testid': 'composePostView' }, editor, preview)
    // The toolbar is where somebody writes.
    editor.addEventListener('focus', () => toolbar.parentElement !== view && view.append(toolbar))
    posts.append(view)
    editor.focus()

    /** One card for a post, which stays whatever becomes of the text, until somebody takes it away. */
    async function attach(link) {
      if (preview.firstChild) return
      const shown = el('div', {}, 'Loading')
      const remove = el('button', { 'aria-label': 'Remove attachment' }, '×')
      remove.onclick = () => preview.replaceChildren()
      preview.append(shown, remove)
      try {
        const answer = await fetch(`/v1/extract?url=${encodeURIComponent(link)}`)
        shown.replaceChildren(card({ ...(await answer.json()), uri: link }))
      } catch {
        shown.replaceChildren(`No card for ${link}`)
      }
    }
  }
}

/**
 * As ProseMirror does it: the text and what is selected in it are the editor's own state, drawn as paragraphs. It reads
 * what somebody has changed in the DOM after they have, and what they have selected when the browser says so.
 *
 * @param attach called with a link that is to have a card: pasted, or typed with a space behind it
 */
function createEditor(text, attach) {
  const dom = el('div', { class: 'ProseMirror', contenteditable: 'true', 'aria-label': 'Write' })
  /** `from`, `to`: what is selected, in characters of the text */
  let state = { text, from: text.length, to: text.length }
  const before = []
  const suggested = new Set()
  const observer = new MutationObserver(() => {
    const read = [...dom.childNodes].map((it) => it.textContent).join('\n')
    change({ text: read, ...(selected() ?? { from: read.length, to: read.length }) })
  })

  /** @param at where in a node; returns characters of the text */
  function offsetOf(node, at) {
    const paragraphs = [...dom.childNodes]
    const index = node === dom ? at : paragraphs.findIndex((it) => it.contains(node))
    const range = document.createRange()
    if (node !== dom) {
      range.setStart(paragraphs[index], 0)
      range.setEnd(node, at)
    }
    const lines = paragraphs.slice(0, index).map((it) => it.textContent.length + 1)
    const offset = lines.reduce((sum, it) => sum + it, range.toString().length)
    return Math.min(offset, paragraphs.map((it) => it.textContent).join('\n').length)
  }
  function selected() {
    const { rangeCount, anchorNode, anchorOffset, focusNode, focusOffset } = getSelection()
    if (rangeCount === 0 || document.activeElement !== dom || !dom.contains(anchorNode)) return undefined
    const [from, to] = [offsetOf(anchorNode, anchorOffset), offsetOf(focusNode, focusOffset)]
    return { from: Math.min(from, to), to: Math.max(from, to) }
  }
  function pointOf(offset) {
    let left = offset
    for (const paragraph of dom.childNodes) {
      const { length } = paragraph.textContent
      if (left > length) {
        left -= length + 1
        continue
      }
      const texts = document.createTreeWalker(paragraph, NodeFilter.SHOW_TEXT)
      while (texts.nextNode()) {
        if (left <= texts.currentNode.length) return [texts.currentNode, left]
        left -= texts.currentNode.length
      }
      return [paragraph, 0]
    }
    return [dom, 0]
  }
  function draw() {
    observer.disconnect()
    const paragraphs = state.text.split('\n').map((line) => {
      const parts = line.split(/(https?:\/\/\S+)/).filter((it) => it !== '')
      const nodes = parts.map((it) => (it.startsWith('http') ? el('span', { class: 'autolink' }, it) : it))
      return el('p', {}, ...(nodes.length > 0 ? nodes : [el('br', { class: 'ProseMirror-trailingBreak' })]))
    })
    dom.replaceChildren(...paragraphs)
    if (document.activeElement === dom) select()
    observer.observe(dom, { childList: true, characterData: true, subtree: true })
  }
  const select = () => getSelection().setBaseAndExtent(...pointOf(state.from), ...pointOf(state.to))
  function change(next, isPaste = false) {
    if (next.text !== state.text) before.push(state)
    state = next
    draw()
    const links = [...state.text.matchAll(/https?:\/\/\S+/g)]
    for (const { 0: link, index } of links) {
      if (suggested.has(link) || !(isPaste || /\s/.test(state.text.charAt(index + link.length)))) continue
      suggested.add(link)
      attach(link)
    }
    // What has gone may come again.
    for (const it of suggested) if (!links.some(([link]) => link === it)) suggested.delete(it)
  }

  document.addEventListener('selectionchange', () => {
    state = { ...state, ...selected() }
  })
  dom.addEventListener('focus', select)
  dom.addEventListener('paste', (event) => {
    event.preventDefault()
    const pasted = event.clipboardData.getData('text/plain')
    const at = state.from + pasted.length
    change(
      { text: state.text.slice(0, state.from) + pasted + state.text.slice(state.to), from: at, to: at },
      true,
    )
  })
  dom.addEventListener('keydown', (event) => {
    if (event.key !== 'z' || !event.ctrlKey) return
    event.preventDefault()
    state = before.pop() ?? state
    draw()
  })
  draw()
  change(state, true)
  return dom
}

// The client's shortcuts: a widget that leaks its keys opens the composer, and Escape closes it from anywhere.
addEventListener('keydown', (event) => {
  if (event.key === 'n') compose('')
})
document.addEventListener(
  'keydown',
  (event) => {
    if (event.key === 'Escape') document.querySelector('.css-dialog')?.remove()
  },
  true,
)

function drawBar() {
  const button = (name, click, attributes = {}) => {
    const it = el('button', attributes, name)
    it.onclick = click
    return it
  }
  document.getElementById('standin-bar').replaceChildren(
    el('b', {}, 'Stand-in for bsky.app: '),
    ...[undefined, ...accounts].map((it) =>
      button(it ? `@${it.handle}` : 'logged out', () => useAccount(it?.did), {
        'aria-pressed': String(account()?.did === it?.did),
      }),
    ),
    ...['light', 'dim', 'dark'].map((name) => button(name, () => useTheme(name))),
    ...[
      ['Home', '/'],
      ['Search', '/search'],
      ['Notifications', '/notifications'],
      ['Saved', '/saved'],
    ].map(([name, pathname]) => button(name, () => go(pathname))),
    button('New post', () => compose('')),
  )
}
drawBar()
show()
