/** `all`: ingests and serves. Of the processes on one database that may ingest one does. */
export const ROLES = ['all', 'ingest', 'serve'] as const
export type Role = (typeof ROLES)[number]
