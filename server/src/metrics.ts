/** What an operator watches, in Prometheus' words. */
import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client'

export type Metrics = ReturnType<typeof createMetrics>

export function createMetrics() {
  const registry = new Registry()
  const registers = [registry]
  collectDefaultMetrics({ register: registry })
  return {
    registry,
    /** What is asked for when it is measured. */
    gauges: (read: {
      watchers: () => number
      buffered: () => number
      queued: () => number
      ready: () => boolean
      hidden: () => number
      jetstream: () => boolean
      hints: () => number
    }) => {
      const gauge = (name: string, help: string, value: () => number) =>
        new Gauge({
          name,
          help,
          registers,
          collect() {
            this.set(value())
          },
        })
      gauge('pollz_watchers', 'open connections to /live', read.watchers)
      gauge('pollz_buffered_bytes', 'what watchers have not read yet', read.buffered)
      gauge('pollz_queued_events', "tap's events that wait to be stored", read.queued)
      gauge('pollz_ready', '1 if the database is writable and every tap connected', () =>
        Number(read.ready()),
      )
      gauge('pollz_jetstream', '1 if a Jetstream is connected', () => Number(read.jetstream()))
      gauge('pollz_waiting_hints', 'accounts named by Jetstream that wait to be read', read.hints)
      gauge('pollz_hidden', 'polls and accounts that the operator does not show', read.hidden)
    },
    answers: new Histogram({
      name: 'pollz_answer_seconds',
      help: 'from a request to its answer, by the class of its status',
      labelNames: ['status'],
      buckets: [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10],
      registers,
    }),
    refused: new Counter({
      name: 'pollz_refused_reads_total',
      help: 'reads from other servers that an address had too many of',
      registers,
    }),
    events: new Counter({
      name: 'pollz_events_total',
      help: "tap's events that were stored and acked",
      registers,
    }),
    setAside: new Counter({
      name: 'pollz_set_aside_total',
      help: 'events that could not be used, in whole or in part',
      registers,
    }),
    hints: new Counter({
      name: 'pollz_hints_total',
      help: 'records named by Jetstream that were read, by what came of it',
      labelNames: ['outcome'],
      registers,
    }),
    told: new Counter({
      name: 'pollz_past_voters_total',
      help: 'voters from before, named by the relay, that tap was told of',
      registers,
    }),
    reconciled: new Counter({
      name: 'pollz_reconciled_total',
      help: 'records that differed from their PDS and were read anew',
      registers,
    }),
    selfChecks: new Counter({
      name: 'pollz_self_checks_total',
      help: 'polls of its own that the server has checked by their proofs, by what came of it: right, wrong, unknown',
      labelNames: ['verdict'],
      registers,
    }),
    doubts: new Counter({
      name: 'pollz_doubts_total',
      help: 'writes of which nobody knows whether they were committed; they are sent again',
      registers,
    }),
    storeSeconds: new Histogram({
      name: 'pollz_store_seconds',
      help: 'from taking a batch to its commit',
      buckets: [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5],
      registers,
    }),
  }
}
