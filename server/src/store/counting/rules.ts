/**
 * The counting rules, C1 to C8 and C11 of the design, in SQL. A vote record is one row of `votes`, wherever its poll is: a
 * deleted or invalid one names poll 0. `CHOICES` says which rows count; the tallies are kept by taking the choices of
 * the touched voters out, changing the rows, and putting their choices back in.
 */

import { families } from '@pollz/shared/families'
import { ALPHABET } from '@pollz/shared/tid'
import { MAX_OPTIONS } from '../../ingest/choices.ts'

const TOGETHER = families
  .flatMap(({ together, votes }) => (together ? votes.map(({ id }) => id) : []))
  .join(', ')

/** The record key of a row: most have their poll's. */
const rkeyOf = (vote: string) =>
  `CASE ${vote}.rkey WHEN '' THEN (SELECT vote_rkey FROM polls WHERE id = ${vote}.poll) ELSE ${vote}.rkey END`

/** The time in a TID, in microseconds since 1970. */
export const timeOfRev = (rev: string) =>
  `(${Array.from({ length: 11 }, (_, i) => `(instr('${ALPHABET}', substr(${rev}, ${i + 1}, 1)) - 1 << ${50 - 5 * i})`).join(' + ')})`

/** C8: whether a row was made before its poll's end. Where it was seen live as of its rev, the two are compared as TIDs. */
const inTime = (vote: string) =>
  `NOT EXISTS (SELECT 1 FROM polls e WHERE e.id = ${vote}.poll AND e.ends_at IS NOT NULL
    AND CASE ${vote}.cast_at WHEN 0 THEN ${vote}.rev >= e.ends_rev
      ELSE coalesce(${vote}.cast_at, ${vote}.made) >= e.ends_at END)`

/** C11: in a family with a record for each option, a voter's records are their choices together. */
const isTogether = (vote: string) => `${vote}.family IN (${TOGETHER})`

/** C11: whether a row `v` names several options, or is one of several that count together. */
export const IS_SET = `(v.option < 0 OR ${isTogether('v')})`

/** C11: whether the poll of a row `v` allows several choices, and has each of those. */
const IS_ALLOWED = `EXISTS (SELECT 1 FROM polls m WHERE m.id = v.poll AND m.multiple
    AND CASE WHEN v.option < 0 THEN -v.option < 1 << json_array_length(m.options)
      ELSE v.option < json_array_length(m.options) END)`

/** C11: what a row `v` adds to the options beyond one vote for each voter. */
const BEYOND_ONE = `CASE
    WHEN v.option < 0 THEN ${Array.from({ length: MAX_OPTIONS }, (_, i) => `(-v.option >> ${i} & 1)`).join(' + ')} - 1
    WHEN ${isTogether('v')} THEN EXISTS (SELECT 1 FROM votes o
      WHERE o.poll = v.poll AND o.voter = v.voter AND o.option < v.option AND ${inTime('o')})
    ELSE 0 END`

/**
 * C2, C4, C5, C8, C11: what counts, if its option is one of the poll's: one row per voter and poll, or one for each of
 * a voter's options where those are records of their own. Several options are a set below zero (ingest/choices.ts).
 * C6 holds because this looks at rows alone.
 */
export const CHOICES = `(
  SELECT v.poll, v.voter, v.family, v.rkey, v.option, v.made, v.rev, ${BEYOND_ONE} AS beyond
  FROM votes v JOIN accounts a ON a.id = v.voter
  WHERE v.poll <> 0                                                   -- C1, C4: it names a poll
    AND a.status = 'active'                                           -- C5
    AND ${inTime('v')}                                                -- C8
    AND (NOT ${IS_SET} OR ${IS_ALLOWED})                              -- C11
    AND NOT EXISTS (                                                  -- C2: no later vote by the same voter
      SELECT 1 FROM votes o WHERE o.poll = v.poll AND o.voter = v.voter AND ${inTime('o')}
        AND (o.made > v.made OR (o.made = v.made AND ${rkeyOf('o')} > ${rkeyOf('v')}))
        AND (o.option = v.option OR NOT ${isTogether('v')}))          -- C11: or, of several, for the same option
)`

/** C11: beside its options a tally has this one: what they have beyond one vote for each voter. */
export const BEYOND = -1

/** The choices `c`, each as what it adds to the tallies: `n` to `option`. */
export const COUNTED = `(
  SELECT c.poll, c.voter, c.made,
    CASE WHEN i.column1 < 0 THEN ${BEYOND} WHEN c.option < 0 THEN i.column1 ELSE c.option END AS option,
    CASE WHEN i.column1 < 0 THEN c.beyond ELSE 1 END AS n
  FROM ${CHOICES} c CROSS JOIN (VALUES ${Array.from({ length: MAX_OPTIONS + 1 }, (_, i) => `(${i - 1})`).join(', ')}) i
  WHERE CASE WHEN i.column1 < 0 THEN c.beyond > 0
    WHEN c.option < 0 THEN -c.option >> i.column1 & 1
    ELSE i.column1 = 0 END
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
 * What `tallies` has to be, from the rows alone: as `CHOICES` says it, but read in one go. Most voters have one record
 * for a poll; which one counts is asked only of the others.
 */
export const RECOUNT = `
  WITH alone AS (
    SELECT poll, option, count(*) AS records FROM votes v
    WHERE poll <> 0                                                   -- C1, C4
      AND voter NOT IN (SELECT id FROM accounts WHERE status <> 'active')       -- C5
      AND (poll NOT IN (SELECT id FROM polls WHERE ends_at IS NOT NULL) OR ${inTime('v')})  -- C8
    GROUP BY poll, voter HAVING records = 1 AND NOT ${IS_SET}
  ), others AS (
    SELECT DISTINCT poll, voter FROM votes v
    WHERE poll <> 0 AND (rkey <> '' OR ${IS_SET})                     -- of two, one has a key of its own
  )
  SELECT poll, option, sum(n) AS n FROM (
    SELECT poll, option, 1 AS n FROM alone
    UNION ALL
    SELECT c.poll, c.option, c.n FROM others t CROSS JOIN ${COUNTED} c ON c.poll = t.poll AND c.voter = t.voter  -- C2, C11
      WHERE (SELECT count(*) > 1 OR max(${IS_SET}) FROM votes v
        WHERE v.poll = t.poll AND v.voter = t.voter AND ${inTime('v')})
  ) GROUP BY poll, option`
