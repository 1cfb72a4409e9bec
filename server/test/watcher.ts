/** A client of /live, and what it is told. */
import { once } from 'node:events'
import { parseJson, serverMessage, type ServerMessage } from '@pollz/shared/wire'
import { WebSocket } from 'ws'

/**
 * @param server its base URL
 * @returns the socket, open; `messages`: all but the pings, each checked by the schema
 */
export async function connectWatcher(
  server: string,
): Promise<{ socket: WebSocket; messages: ServerMessage[] }> {
  const socket = new WebSocket(`${server.replace('http', 'ws')}/live`)
  const messages: ServerMessage[] = []
  socket.on('message', (data) => {
    const parsed = parseJson(serverMessage, data.toString())
    if (!parsed.ok) throw new Error(parsed.reason)
    if (parsed.message.type !== 'ping') messages.push(parsed.message)
  })
  // It rejects where the server refuses the connection.
  await once(socket, 'open')
  return { socket, messages }
}
