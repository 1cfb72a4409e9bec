/** The statements of one transaction, whose results are found by name and whose rows have named columns. */
import type { Client, InStatement, InValue, Row } from '@libsql/client'

/** Which statements' rows are read after the commit. */
export type ResultName = 'version' | 'namedPolls' | 'statuses'

export type Step = { sql: string; args?: InValue[]; result?: ResultName }

/** Commits the steps in one transaction. @returns the rows of all steps that have a result of that name */
export async function commit(client: Client, steps: Step[]): Promise<(name: ResultName) => Row[]> {
  const statements = steps.map(({ sql, args = [] }): InStatement => ({ sql, args }))
  const results = await client.batch(statements, 'write')
  return (name) => steps.flatMap(({ result }, i) => (result === name ? results[i]!.rows : []))
}

/** A table that a statement is given as one JSON argument: its columns are named here, and nowhere by number. */
export function given<const Columns extends readonly string[]>(...columns: Columns) {
  type Values = { [C in Columns[number]]: string | number | boolean | null }
  return {
    /** What stands after FROM, for the argument with this number. */
    table: (argument = 1) =>
      `(SELECT ${columns.map((name, i) => `value ->> ${i} AS ${name}`).join(', ')} FROM json_each(?${argument}))`,
    argument: (rows: Values[]) =>
      JSON.stringify(rows.map((row) => columns.map((name) => row[name as Columns[number]]))),
  }
}

/** The version of the transaction (`newVersion`), for its other statements. */
export const VERSION = `(SELECT value FROM state WHERE name = 'version')`

/**
 * Versions grow in the order of the commits, whatever the clocks of those who write say; they are near the time in ms,
 * so that they go on growing where a database was put back to an older state.
 */
export const newVersion = (): Step => ({
  sql: `UPDATE state SET value = max(value + 1, ?) WHERE name = 'version' RETURNING value AS version`,
  args: [Date.now()],
  result: 'version',
})
