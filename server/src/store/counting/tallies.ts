/** Keeping `tallies` right: the choices of `touched` voters are taken out, and put back in as they are afterwards. */
import { VERSION, type Step } from './batch.ts'
import { CHOICES, IS_EARLY, IS_EDITED } from './rules.ts'

const countTouched = (sign: '+' | '-'): Step => ({
  sql: `INSERT INTO tallies (poll, option, n, early, version)
    SELECT c.poll, c.option, ${sign} count(*), ${sign} count(CASE WHEN ${IS_EARLY} THEN 1 END), ${VERSION}
    FROM touched t CROSS JOIN polls p ON p.id = t.poll CROSS JOIN ${CHOICES} c ON c.poll = t.poll AND c.voter = t.voter
    GROUP BY c.poll, c.option
    ON CONFLICT DO UPDATE SET n = n + excluded.n, early = early + excluded.early, version = excluded.version`,
})

export const takeOut = (): Step => countTouched('-')

export const putBack = (): Step[] => [
  countTouched('+'),
  {
    sql: `SELECT p.uri, coalesce(t.option, 0) AS option, coalesce(t.n, 0) AS n, ${IS_EDITED} AS edited
      FROM (SELECT DISTINCT poll FROM touched) x JOIN polls p ON p.id = x.poll LEFT JOIN tallies t ON t.poll = x.poll`,
    result: 'tallies',
  },
  { sql: 'DELETE FROM touched' },
]

/** C7, for polls whose options may have changed: counts their early votes anew. @param ids a SELECT of polls' numbers */
export const recountEarly = (ids: string, argument: string): Step => ({
  sql: `UPDATE tallies SET early = (
      SELECT count(*) FROM polls p CROSS JOIN ${CHOICES} c ON c.poll = p.id
      WHERE p.id = tallies.poll AND c.option = tallies.option AND ${IS_EARLY})
    WHERE poll IN (${ids} WHERE p.options_changed IS NOT NULL)`,
  args: [argument],
})
