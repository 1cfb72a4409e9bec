/** TIDs, atproto's record keys and revs that tell the time: https://atproto.com/specs/tid */

/** base32-sortable */
export const ALPHABET = '234567abcdefghijklmnopqrstuvwxyz'

const TID = /^[234567abcdefghij][234567abcdefghijklmnopqrstuvwxyz]{12}$/

export function isTid(value: unknown): value is string {
  return typeof value === 'string' && TID.test(value)
}

/** The time in a TID, in microseconds since 1970: after the year 2255 it is no longer exact. */
export function timeOfTid(tid: string): number {
  let time = 0
  for (let i = 0; i < 11; i++) time = time * 32 + ALPHABET.indexOf(tid[i]!)
  return time
}

/**
 * @param time microseconds since 1970
 * @param clock 0 to 1023: keeps apart what is made in the same microsecond
 */
export function tid(time: number, clock = 0): string {
  let text = ''
  for (let rest = time, i = 0; i < 11; i++, rest = Math.floor(rest / 32)) text = ALPHABET[rest % 32] + text
  return text + ALPHABET[clock >> 5] + ALPHABET[clock & 31]
}

/** The time in a TID as RFC 3339, to the microsecond. */
export function datetimeOfTid(tid: string): string {
  const time = timeOfTid(tid)
  const micros = String(time % 1000).padStart(3, '0')
  return `${new Date(Math.floor(time / 1000)).toISOString().slice(0, -1)}${micros}Z`
}
