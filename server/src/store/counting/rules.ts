/**
 * The counting rules, C1 to C8 and C11 of the design, in SQL. A vote record is one row of `votes`, wherever its poll is: a
 * deleted or invalid one names poll 0. `CHOICES` says which rows count; the tallies are kept by taking the choices of
 * the touched voters out, changing the rows, and putting their choices back in.
 */

import { families } from '@pollz/shared/families'
import { ALPHABET } from '@pollz/shared/tid'

const TOGETHER = families
  .flatMap(({ together, votes }) => (together ? votes.map(({ id }) => id) : []))
  .join(', ')

/** The record key of a row of poll `q`: most have their poll's. */
const rkeyOf = (vote: string) => `CASE ${vote}.rkey WHEN '' THEN q.vote_rkey ELSE ${vote}.rkey END`

/** The time in a TID, in microseconds since 1970: five bits in each of its characters but the last two. */
export const timeOfRev = (rev: string) =>
  `(SELECT sum(instr('${ALPHABET}', substr(${rev}, key + 1, 1)) - 1 << value)
    FROM json_each('[50,45,40,35,30,25,20,15,10,5,0]'))`

/** C8: whether a row was made before the end of its poll `q`. Where it was seen live as of its rev, the two are compared as TIDs. */
const inTime = (vote: string) =>
  `(q.ends_at IS NULL OR CASE ${vote}.cast_at WHEN 0 THEN ${vote}.rev < q.ends_rev
    ELSE coalesce(${vote}.cast_at, ${vote}.made) < q.ends_at END)`

/** C11: in a family with a record for each option, a voter's records are their choices together. */
const isTogether = (vote: string) => `${vote}.family IN (${TOGETHER})`

/** C11: whether a row `v` names several options, or is one of several that count together. */
export const IS_SET = `(v.option < 0 OR ${isTogether('v')})`

/** C11: whether poll `q` allows several choices, and has each of those of a row `v`. */
const IS_ALLOWED = `q.multiple AND CASE WHEN v.option < 0 THEN -v.option < 1 << json_array_length(q.options)
    ELSE v.option < json_array_length(q.options) END`

/** C11: the number of a row `v` in `choice_options`: of one voter's several records, all but that for the first option are 256 on. */
const CHOICE = `v.option + CASE WHEN ${isTogether('v')} AND EXISTS (SELECT 1 FROM votes o
    WHERE o.poll = v.poll AND o.voter = v.voter AND o.option < v.option AND ${inTime('o')}) THEN 256 ELSE 0 END`

/** Whether two rows are of one voter's votes for a poll; in one collection, which is the poll's or, C11, that of an option. */
const isBeside = (one: string, other: string) =>
  `${one}.poll = ${other}.poll AND ${one}.voter = ${other}.voter AND ${one}.family = ${other}.family`

/**
 * C2, C4, C5, C8, C11: what counts, if its option is one of the poll's: one row per voter and poll, or one for each of
 * a voter's options where those are records of their own. Several options are a set below zero (ingest/choices.ts).
 * C6 holds because this looks at rows alone. Beside the first row `f` of a voter it chooses once: one may have thousands,
 * and to compare each with each would hold up everybody's. The joins are crossed so that SQLite keeps their order.
 */
export const CHOICES = `(
  SELECT v.poll, v.voter, v.family, v.rkey, v.option, v.made, v.rev, ${CHOICE} AS choice
  FROM votes f CROSS JOIN accounts a ON a.id = f.voter CROSS JOIN polls q ON q.id = f.poll
  CROSS JOIN votes v ON ${isBeside('v', 'f')} AND v.rkey = (          -- C2: the latest vote of the voter
    SELECT rkey FROM (
      SELECT o.rkey, o.made, ${rkeyOf('o')} AS own_rkey FROM votes o
      WHERE ${isBeside('o', 'f')} AND ${inTime('o')}                  -- C8
    ) ORDER BY made DESC, own_rkey DESC LIMIT 1)
  WHERE f.poll <> 0                                                   -- C1, C4: it names a poll
    AND NOT EXISTS (SELECT 1 FROM votes o WHERE ${isBeside('o', 'f')} AND o.rkey < f.rkey)
    AND a.status = 'active'                                           -- C5
    AND (NOT ${IS_SET} OR ${IS_ALLOWED})                              -- C11
)`

/** C11: beside its options a tally has this one: what they have beyond one vote for each voter. */
export const BEYOND = -1

/**
 * The choices `c`, each as what it adds to the tallies: `n` to `option`. That stands in a table, because a statement that
 * works it out is longer, and each transaction pays for its length.
 */
export const COUNTED = `(
  SELECT c.poll, c.voter, c.made, x.option, x.n
  FROM ${CHOICES} c CROSS JOIN choice_options x ON x.choice = c.choice
)`

/** Voters of the poll of some rows `t` of its tally, all of them for options that it has. */
export const VOTERS = `sum(CASE t.option WHEN ${BEYOND} THEN -t.n ELSE t.n END)`

/** C1: a poll that is there. C5: its author is active. */
export const POLL_IS_THERE = `p.options IS NOT NULL`

/** C1: whether a choice names one of the options of its poll `p`, or several, which `CHOICES` has checked. */
export const IS_OPTION = `c.option < json_array_length(p.options)`

/** C7: whether a choice of poll `p` is no older than the poll, and the options changed after it. */
export const IS_EARLY = `c.made >= p.first_made AND c.made < p.options_changed`

/** C7: whether an early vote for one of the options of poll `p` counts. */
export const IS_EDITED = `p.options_changed IS NOT NULL AND EXISTS (SELECT 1 FROM tallies c
  WHERE c.poll = p.id AND c.early > 0 AND ${IS_OPTION})`

/**
 * When what counts of poll ?1 was made, of the voters after ?2 and up to ?3: votes by option and by how many steps of ?5
 * after ?4 (ms since 1970). As `RECOUNT` has it, which rows count is asked only of those who have several.
 */
export const HISTORY = `
  WITH alone AS (
    SELECT v.voter, v.option, v.made, count(*) AS records FROM votes v CROSS JOIN polls q ON q.id = v.poll
    WHERE v.poll = ?1 AND v.voter > ?2 AND v.voter <= ?3
      AND v.voter NOT IN (SELECT id FROM accounts WHERE status <> 'active')     -- C5
    GROUP BY v.voter HAVING records = 1 AND NOT ${IS_SET} AND ${inTime('v')}    -- C8
  ), others AS (
    SELECT v.voter, count(*) AS records, max(${IS_SET}) AS sets FROM votes v
    WHERE v.poll = ?1 AND v.voter > ?2 AND v.voter <= ?3
    GROUP BY v.voter HAVING records > 1 OR sets
  ), counted AS (
    SELECT option, made, 1 AS n FROM alone
    UNION ALL
    SELECT c.option, c.made, c.n FROM others t CROSS JOIN ${COUNTED} c ON c.poll = ?1 AND c.voter = t.voter  -- C2, C11
  )
  SELECT option, CAST((made / 1000 - ?4) / ?5 AS INTEGER) AS point, sum(n) AS votes FROM counted GROUP BY option, point`

/**
 * What `tallies` has to be, from the rows alone: as `CHOICES` says it, but read in one go. Most voters have one record
 * for a poll; which one counts is asked only of the others.
 */
export const RECOUNT = `
  WITH alone AS (
    SELECT poll, option, count(*) AS records FROM votes v
    WHERE poll <> 0                                                   -- C1, C4
      AND voter NOT IN (SELECT id FROM accounts WHERE status <> 'active')       -- C5
      AND (poll NOT IN (SELECT id FROM polls WHERE ends_at IS NOT NULL)
        OR (SELECT ${inTime('v')} FROM polls q WHERE q.id = v.poll))  -- C8
    GROUP BY poll, voter HAVING records = 1 AND NOT ${IS_SET}
  ), others AS (
    SELECT DISTINCT poll, voter FROM votes v
    WHERE poll <> 0 AND (rkey <> '' OR ${IS_SET})                     -- of two, one has a key of its own
  )
  SELECT poll, option, sum(n) AS n FROM (
    SELECT poll, option, 1 AS n FROM alone
    UNION ALL
    SELECT c.poll, c.option, c.n FROM others t CROSS JOIN ${COUNTED} c ON c.poll = t.poll AND c.voter = t.voter  -- C2, C11
      WHERE (SELECT count(*) > 1 OR max(${IS_SET}) FROM polls q CROSS JOIN votes v ON v.poll = q.id
        WHERE q.id = t.poll AND v.voter = t.voter AND ${inTime('v')})
  ) GROUP BY poll, option`
