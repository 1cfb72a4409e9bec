/** Keeping `tallies` right: the choices of `touched` voters are taken out, and put back in as they are afterwards. */
import { VERSION, type Step } from './batch.ts'
import { COUNTED, IS_EARLY } from './rules.ts'

const countTouched = (sign: '+' | '-'): Step => ({
  sql: `INSERT INTO tallies (poll, option, n, early, version)
    SELECT c.poll, c.option, ${sign} sum(c.n), ${sign} sum(CASE WHEN ${IS_EARLY} THEN c.n ELSE 0 END), ${VERSION}
    FROM touched t CROSS JOIN polls p ON p.id = t.poll CROSS JOIN ${COUNTED} c ON c.poll = t.poll AND c.voter = t.voter
    GROUP BY c.poll, c.option
    ON CONFLICT DO UPDATE SET n = n + excluded.n, early = early + excluded.early, version = excluded.version`,
})

export const takeOut = (): Step => countTouched('-')

export const putBack = (): Step[] => [countTouched('+'), { sql: 'DELETE FROM touched' }]

/** C7, for polls that this transaction changed: counts their early votes anew. @param ids a SELECT of polls `p` */
export function recountEarly(ids: string, argument: string): Step[] {
  const changed = `${ids} WHERE p.options_changed IS NOT NULL AND p.version = ${VERSION}`
  return [
    { sql: `UPDATE tallies SET early = 0 WHERE poll IN (${changed})`, args: [argument] },
    {
      sql: `UPDATE tallies SET early = e.n FROM (
          SELECT c.poll, c.option, sum(c.n) AS n FROM (${changed}) x
          CROSS JOIN polls p ON p.id = x.id CROSS JOIN ${COUNTED} c ON c.poll = p.id
          WHERE ${IS_EARLY} GROUP BY c.poll, c.option
        ) e WHERE tallies.poll = e.poll AND tallies.option = e.option`,
      args: [argument],
    },
  ]
}
