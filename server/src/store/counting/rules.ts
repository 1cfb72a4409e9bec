/**
 * The counting rules, C1 to C8 of the design, in SQL. A vote record is one row of `votes`, wherever its poll is: a
 * deleted or invalid one names poll 0. `CHOICES` says which rows count; the tallies are kept by taking the choices of
 * the touched voters out, changing the rows, and putting their choices back in.
 */

/** The record key of a row: most have their poll's. */
const rkeyOf = (vote: string) =>
  `CASE ${vote}.rkey WHEN '' THEN (SELECT vote_rkey FROM polls WHERE id = ${vote}.poll) ELSE ${vote}.rkey END`

/** C8: whether a row was made before its poll's end. */
const inTime = (vote: string) =>
  `NOT EXISTS (SELECT 1 FROM polls e
    WHERE e.id = ${vote}.poll AND e.ends_at IS NOT NULL AND e.ends_at <= coalesce(nullif(${vote}.cast_at, 0), ${vote}.made))`

/**
 * C2, C4, C5, C8: one row per voter and poll, the one that counts if its option is one of the poll's.
 * C6 holds because this looks at rows alone.
 */
export const CHOICES = `(
  SELECT v.poll, v.voter, v.family, v.rkey, v.option, v.made, v.rev
  FROM votes v JOIN accounts a ON a.id = v.voter
  WHERE v.poll <> 0                                                   -- C1, C4: it names a poll
    AND a.status = 'active'                                           -- C5
    AND ${inTime('v')}                                                -- C8
    AND NOT EXISTS (                                                  -- C2: no later vote by the same voter
      SELECT 1 FROM votes o WHERE o.poll = v.poll AND o.voter = v.voter AND ${inTime('o')}
        AND (o.made > v.made OR (o.made = v.made AND ${rkeyOf('o')} > ${rkeyOf('v')})))
)`

/** C1: a poll that is there. C5: its author is active. */
export const POLL_IS_THERE = `p.options IS NOT NULL`

/** C1: whether a choice names one of the options of its poll `p`. */
export const IS_OPTION = `c.option < json_array_length(p.options)`

/** C7: whether a choice of poll `p` is no older than the poll, and the options changed after it. */
export const IS_EARLY = `c.made >= p.first_made AND c.made < p.options_changed`

/** C7: whether an early vote for one of the options of poll `p` counts. */
export const IS_EDITED = `p.options_changed IS NOT NULL AND EXISTS (SELECT 1 FROM tallies c
  WHERE c.poll = p.id AND c.early > 0 AND ${IS_OPTION})`

/**
 * What `tallies` has to be, from the rows alone: as `CHOICES` says it, but read in one go. Most voters have one record
 * for a poll; which one counts is asked only of the others.
 */
export const RECOUNT = `
  WITH alone AS (
    SELECT poll, option, count(*) AS records FROM votes v
    WHERE poll <> 0                                                   -- C1, C4
      AND voter NOT IN (SELECT id FROM accounts WHERE status <> 'active')       -- C5
      AND (poll NOT IN (SELECT id FROM polls WHERE ends_at IS NOT NULL) OR ${inTime('v')})  -- C8
    GROUP BY poll, voter HAVING records = 1
  ), others AS (
    SELECT DISTINCT poll, voter FROM votes WHERE poll <> 0 AND rkey <> ''  -- of two, one has a key of its own
  )
  SELECT poll, option, count(*) AS n FROM (
    SELECT poll, option FROM alone
    UNION ALL
    SELECT c.poll, c.option FROM others t CROSS JOIN ${CHOICES} c ON c.poll = t.poll AND c.voter = t.voter  -- C2
      WHERE (SELECT count(*) FROM votes v WHERE v.poll = t.poll AND v.voter = t.voter AND ${inTime('v')}) > 1
  ) GROUP BY poll, option`
