/** What somebody may have this server read from other servers. */

export type Budget = {
  /** the network address of a client, or the part of this server that reads by itself */
  name: string
  /** Takes so many reads from what is left; false where that is not enough. One read is a record or a name. */
  take: (reads: number) => Promise<boolean>
}

/** For what this server reads by itself. */
export const unlimited = (name: string): Budget => ({ name, take: async () => true })
