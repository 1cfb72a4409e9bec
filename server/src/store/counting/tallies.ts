/** Keeping `tallies` and `polls.edited` right: the choices of `touched` voters are taken out, and put back in changed. */
import { VERSION, type Step } from './batch.ts'
import { CHOICES, IS_EARLY } from './rules.ts'

const OF_TOUCHED = `CROSS JOIN ${CHOICES} c ON c.poll = t.poll AND c.voter = t.voter`

/** C7, by the side: how many early votes an edited poll has. */
const countTouched = (sign: '+' | '-'): Step[] => [
  {
    sql: `INSERT INTO tallies (poll, option, n, version)
      SELECT c.poll, c.option, ${sign} count(*), ${VERSION} FROM touched t ${OF_TOUCHED}
      GROUP BY c.poll, c.option
      ON CONFLICT DO UPDATE SET n = n + excluded.n, version = excluded.version`,
  },
  {
    sql: `UPDATE polls SET early = early ${sign} e.n FROM (
        SELECT c.poll, count(*) AS n
        FROM touched t CROSS JOIN polls p ON p.id = t.poll AND p.options_changed IS NOT NULL ${OF_TOUCHED}
        WHERE ${IS_EARLY} GROUP BY c.poll
      ) e WHERE polls.id = e.poll`,
  },
]

export const takeOut = (): Step[] => countTouched('-')

export const putBack = (): Step[] => [
  ...countTouched('+'),
  { sql: editedOf(`SELECT poll FROM touched`), result: 'polls' },
  {
    sql: `SELECT p.uri, coalesce(t.option, 0) AS option, coalesce(t.n, 0) AS n
      FROM (SELECT DISTINCT poll FROM touched) x JOIN polls p ON p.id = x.poll LEFT JOIN tallies t ON t.poll = x.poll`,
    result: 'tallies',
  },
  { sql: 'DELETE FROM touched' },
]

/** C7: whether polls are edited follows from their early votes. @param ids a SELECT of polls' numbers */
function editedOf(ids: string): string {
  return `UPDATE polls SET edited = early > 0, version = ${VERSION}
    WHERE id IN (${ids}) AND edited <> (early > 0) RETURNING uri`
}

/** C7, for polls whose options changed: counts their early votes anew. @param ids a SELECT of polls' numbers */
export const recountEarly = (ids: string, argument: string): Step[] => [
  {
    sql: `UPDATE polls SET early = (
        SELECT count(*) FROM polls p CROSS JOIN ${CHOICES} c ON c.poll = p.id WHERE p.id = polls.id AND ${IS_EARLY})
      WHERE id IN (${ids}) AND options_changed IS NOT NULL`,
    args: [argument],
  },
  { sql: editedOf(ids), args: [argument], result: 'polls' },
]
