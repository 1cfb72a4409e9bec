/**
 * Preloaded by clock.ts into a process and each of its threads: the wall clock is off by the ms that a file says. Timers
 * and performance.now() are not, as when a real clock is set.
 */
import { readFileSync } from 'node:fs'

/** In ms: asking for the time is not to cost a look at the file each. */
const LOOK_EVERY = 10

const file = process.env['TEST_CLOCK']
const RealDate = Date
const realNow = Date.now
let offset = 0
let looked = -Infinity

function now() {
  if (performance.now() - looked > LOOK_EVERY) {
    offset = Number(readFileSync(file, 'utf8'))
    looked = performance.now()
  }
  return realNow() + offset
}

RealDate.now = now
globalThis.Date = new Proxy(RealDate, {
  construct: (target, args, newTarget) =>
    Reflect.construct(target, args.length > 0 ? args : [now()], newTarget),
  apply: () => new RealDate(now()).toString(),
})
