/** Addresses of what the browser build made, by what it is. */
declare module 'virtual:manifest' {
  const manifest: Record<'page' | 'embed' | 'callback' | 'style' | 'icon', string>
  export default manifest
}
