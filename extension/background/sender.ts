/**
 * Whether a message comes from a page of the extension's own: the popup, the options, the page for a new poll. Nobody else
 * may ask for what they do. The browser says who sends, not the sender.
 *
 * @param own the address that all of the extension's pages begin with, with its slash: `runtime.getURL('/')`
 */
export const isOwnPage = (sender: { url?: string } | undefined, own: string): boolean =>
  sender?.url?.startsWith(own) ?? false
